"""Stands before a Kinesis emulator: checks AWS signatures (version 4), which emulators do not, and fails calls on demand.

usage: kinesis_gate.py PORT UPSTREAM_PORT

Keys are weirtest / weirtest-secret; GATE_TOKEN: a session token that must come along.
POST /_gate {"target": "GetRecords", "type": "ProvisionedThroughputExceededException", "status": 400, "count": 2} makes the next two
such calls fail ("target" left out: any call; "skip": so many pass before; "records": true: a PutRecords succeeds, every other record
of it does not; "cut": true: the connection breaks in the middle of the answer). GET /_gate tells how often each call came and how
many were refused.
"""

import collections
import datetime
import hashlib
import hmac
import http.client
import json
import os
import re
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEYS = {"weirtest": "weirtest-secret"}
TOKEN = os.environ.get("GATE_TOKEN")
PORT, UPSTREAM = int(sys.argv[1]), int(sys.argv[2])
FORM = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, ?"
                  r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$")

lock = threading.Lock()
rules = []
calls = collections.Counter()
refused = collections.Counter()


def keyed(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def complaint(headers, path, body):
    """None for a good signature, else the type of the error."""
    found = FORM.match(headers.get("Authorization", ""))
    if not found:
        return "MissingAuthenticationTokenException"
    key, day, region, service, signed, signature = found.groups()
    if key not in KEYS or service != "kinesis" or (TOKEN and headers.get("X-Amz-Security-Token") != TOKEN):
        return "UnrecognizedClientException"
    when = headers.get("X-Amz-Date", "")
    try:
        at = datetime.datetime.strptime(when, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    except ValueError:
        return "IncompleteSignatureException"
    if when[:8] != day or abs((datetime.datetime.now(datetime.timezone.utc) - at).total_seconds()) > 300:
        return "InvalidSignatureException"
    names = signed.split(";")
    must = {"host"} | {name.lower() for name in headers.keys() if name.lower().startswith("x-amz-")}
    if names != sorted(names) or not must <= set(names):
        return "InvalidSignatureException"
    lines = "".join(f"{name}:{' '.join(headers.get(name, '').split())}\n" for name in names)
    canonical = "\n".join(["POST", path, "", lines, signed, hashlib.sha256(body).hexdigest()])
    scope = f"{day}/{region}/{service}/aws4_request"
    signing = keyed(keyed(keyed(keyed(b"AWS4" + KEYS[key].encode(), day), region), service), "aws4_request")
    wanted = keyed(signing, "\n".join(["AWS4-HMAC-SHA256", when, scope, hashlib.sha256(canonical.encode()).hexdigest()])).hex()
    return None if hmac.compare_digest(wanted, signature) else "InvalidSignatureException"


def rule_for(target):
    with lock:
        calls[target] += 1
        for rule in rules:
            if rule["count"] <= 0 or rule.get("target") not in (None, target):
                continue
            if rule.get("skip", 0) > 0:
                rule["skip"] -= 1
                continue
            rule["count"] -= 1
            refused[target] += 1
            return rule
    return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, value):
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        with lock:
            self.answer(200, {"calls": calls, "refused": refused, "left": sum(max(r["count"], 0) for r in rules)})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/_gate":
            with lock:
                rules.append(json.loads(body))
            return self.answer(200, {})
        bad = complaint(self.headers, self.path, body)
        if bad:
            return self.answer(403 if bad == "InvalidSignatureException" else 400, {"__type": bad, "message": "refused by the gate"})
        target = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        rule = rule_for(target)
        if rule and rule.get("records"):
            return self.put_half(body)
        if rule and not rule.get("cut"):
            return self.answer(rule.get("status", 400), {"__type": rule["type"], "message": "injected"})
        return self.pass_on(body, cut=bool(rule))

    def ask(self, body):
        upstream = http.client.HTTPConnection("127.0.0.1", UPSTREAM)
        skipped = ("connection", "transfer-encoding", "content-length")
        upstream.request("POST", self.path, body, {k: v for k, v in self.headers.items() if k.lower() not in skipped})
        return upstream, upstream.getresponse()

    def put_half(self, body):
        """Every other record is throttled, the rest goes through."""
        asked = json.loads(body)
        records = asked["Records"]
        asked["Records"] = records[::2]
        upstream, answer = self.ask(json.dumps(asked).encode())
        told = iter(json.loads(answer.read())["Records"])
        upstream.close()
        throttled = {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "injected"}
        done = [next(told) if i % 2 == 0 else throttled for i in range(len(records))]
        self.answer(200, {"FailedRecordCount": len(records) // 2, "Records": done})

    def pass_on(self, body, cut):
        upstream, answer = self.ask(body)
        length = answer.getheader("Content-Length")
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "date", "server"):
                self.send_header(name, value)
        if length is None:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while piece := answer.read1(65536):
            if cut:
                piece = piece[:len(piece) // 2]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if length is None else piece)
            self.wfile.flush()
            if cut:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                upstream.close()
                return
        if length is None:
            self.wfile.write(b"0\r\n\r\n")
        upstream.close()


ThreadingHTTPServer.daemon_threads = True
ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
