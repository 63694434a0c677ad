"""What no server that runs here has: the clouds' token endpoints and metadata servers, and a gate that lets pass only requests
with a token of theirs. Threads of the test's own process; everything that was asked is kept in `asked`.

    with FakeCloud() as fake:
        fake.token_seconds = 4
        env = fake.entra_env()                         # weir signs in with a client secret
        endpoint = fake.gate("http://127.0.0.1:4443")  # in front of a storage emulator
"""

import base64
import http.client
import http.server
import json
import threading
import time
import urllib.parse

SECRET = "planted-secret"


def _b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwt(claims, key=None):
    """A token that reads like one of Entra ID; without a key nobody could check its signature."""
    parts = [_b64url(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT", "kid": "k"}, claims)]
    signature = b"signature" * 20
    if key is not None:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        signature = key.sign(".".join(parts).encode(), padding.PKCS1v15(), hashes.SHA256())
    return ".".join([*parts, _b64url(signature)])


def iso(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


class FakeCloud:
    def __init__(self):
        self.token_seconds = 3600
        self.asked = []  # (method, path without its query, form or query as a dict, headers)
        self.refuse = None  # (status, JSON) for every request for a token
        self.tokens = {}  # token -> when it expires
        self.aws_keys = None  # () -> (access, secret, session token)
        self.google_key = None  # the service account's private key
        self.signing_key = None  # of tokens that somebody is going to check
        self.trouble = lambda method, path, headers: None  # at the gate: "before", "after", "half" (of a piece) or a status
        self.sessions = None  # {}: resumable uploads end here, as Google's rules are, and go on as wholes
        self._upstream = None
        self._number = 0
        self._lock = threading.Lock()

    def __enter__(self):
        fake = self

        class Handler(_Handler):
            cloud = fake

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exception):
        self._server.shutdown()
        self._server.server_close()

    # --- how weir finds it

    def entra_env(self, **more):
        return {"AZURE_AUTHORITY_HOST": self.url, "AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_ID": "client",
                "AZURE_CLIENT_SECRET": SECRET, **more}

    def service_account(self, path):
        """Writes a key file whose private key this server knows; returns its path."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa

        self.google_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = self.google_key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                            serialization.NoEncryption()).decode()
        path.write_text(json.dumps({"type": "service_account", "client_email": "weir@project.iam.gserviceaccount.com",
                                    "private_key_id": "key-1", "private_key": pem, "token_uri": self.url + "/google/token"}))
        return str(path)

    def signs(self):
        """From now on tokens of Entra ID and /oidc/token are signed; a Kafka broker checks them by the keys at the URL returned."""
        from cryptography.hazmat.primitives.asymmetric import rsa

        self.signing_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        return self.url + "/oidc/jwks"

    def gate(self, upstream):
        self._upstream = urllib.parse.urlsplit(upstream).netloc
        return self.url

    # --- what it gives out

    def new_token(self, text=None):
        with self._lock:
            self._number += 1
            token = text or f"token-{self._number}"
            self.tokens[token] = time.time() + self.token_seconds
        return token

    def count(self, path):
        return sum(asked[1].startswith(path) for asked in self.asked)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cloud = None

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", headers=()):
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_any(self):
        split = urllib.parse.urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        is_form = "urlencoded" in (self.headers.get("Content-Type") or "")
        words = dict(urllib.parse.parse_qsl(body.decode() if is_form else split.query))
        self.cloud.asked.append((self.command, split.path, words, dict(self.headers)))
        if split.path.startswith(("/storage/", "/upload/", "/download/", "/devstoreaccount1/")):
            self.pass_on(body, signed=split.path.startswith("/devstoreaccount1/"))
            return
        for prefix, serve in ROUTES.items():
            if split.path.startswith(prefix):
                if self.cloud.refuse is not None:
                    self.answer(*self.cloud.refuse)
                else:
                    serve(self, split.path, words)
                return
        self.answer(404, {"error": "not_found", "error_description": "nothing is here"})

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any

    # --- the gate

    def cut(self):
        """Ends the connection within the answer: when none has begun, libcurl sends the request once more by itself."""
        self.send_response(503)
        self.send_header("Content-Length", "10")
        self.end_headers()
        self.wfile.write(b"cut")
        self.close_connection = True

    def pass_on(self, body, signed):
        """signed: the server behind judges by itself who asks."""
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        trouble = self.cloud.trouble(self.command, self.path, self.headers)
        if trouble == "before":
            self.cut()
            return
        if isinstance(trouble, int):
            self.answer(trouble, {"error": {"code": trouble, "message": "injected", "errors": [{"reason": "backendError"}]}})
            return
        if not signed and self.cloud.tokens.get(token, 0) < time.time():
            self.answer(401, {"error": {"code": 401, "message": "Invalid Credentials", "errors": [{"reason": "authError"}]}})
            return
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        if self.cloud.sessions is not None and query.get("uploadType") == "resumable":
            status, data, headers = self.session(query, body, trouble == "half")
        else:
            status, data, headers = self.upstream(self.command, self.path, body, {
                k: v for k, v in self.headers.items() if k != "Host" and (signed or k != "Authorization")})
        if trouble in ("after", "half"):
            self.cut()
            return
        self.answer(status, data, headers)

    def upstream(self, method, path, body, headers):
        connection = http.client.HTTPConnection(self.cloud._upstream, timeout=60)
        connection.request(method, path, body, headers)
        reply = connection.getresponse()
        data = reply.read()
        connection.close()
        return reply.status, data, [(k, v) for k, v in reply.getheaders()
                                    if k.lower() not in ("content-length", "transfer-encoding", "connection")]

    def session(self, query, body, half):
        """A resumable upload's beginning, piece or question: the emulators' own get questions or preconditions wrong."""
        sessions, path = self.cloud.sessions, urllib.parse.urlsplit(self.path).path
        if self.command == "POST":
            sessions[str(len(sessions))] = (json.loads(body), bytearray())
            return 200, b"", [("Location", f"https://storage.example{path}?uploadType=resumable&upload_id={len(sessions) - 1}")]
        resource, data = sessions[query["upload_id"]]
        span, total = self.headers["Content-Range"].removeprefix("bytes ").split("/")
        if span != "*":
            first, last = map(int, span.split("-"))
            assert last - first + 1 == len(body) and (total != "*" or len(body) % (256 << 10) == 0), self.headers["Content-Range"]
            if first > len(data):
                return 503, b"", []
            data += body[len(data) - first:(512 << 10) if half else None]
        if total == str(len(data)):
            edge = "weir-session"
            whole = (f"--{edge}\r\nContent-Type: application/json\r\n\r\n{json.dumps(resource)}\r\n--{edge}\r\n"
                     "Content-Type: application/octet-stream\r\n\r\n").encode() + data + f"\r\n--{edge}--\r\n".encode()
            return self.upstream("POST", path + "?uploadType=multipart", whole, {"Content-Type": f"multipart/related; boundary={edge}"})
        return 308, b"", [("Range", f"bytes=0-{len(data) - 1}")] if data else []

    # --- token endpoints

    def give_token(self, token, **more):
        seconds = int(self.cloud.token_seconds)
        self.answer(200, {"access_token": self.cloud.new_token(token), "token_type": "Bearer", "expires_in": seconds, **more})

    def azure_jwt(self, resource):
        now = int(time.time())
        self.cloud._number += 1
        return jwt({"aud": resource, "iss": "https://sts.windows.net/tenant/", "nbf": now - 5, "iat": now,
                    "exp": now + int(self.cloud.token_seconds) + 1, "tid": "tenant", "jti": str(self.cloud._number),
                    "sub": "client"}, self.cloud.signing_key)

    def oidc(self, path, form):
        """A token endpoint of OpenID Connect: client credentials, in the header; and the keys that its tokens are checked by."""
        if path == "/oidc/jwks":
            numbers = self.cloud.signing_key.public_key().public_numbers()
            self.answer(200, {"keys": [{"kty": "RSA", "kid": "k", "alg": "RS256", "use": "sig", **{
                name: _b64url(n.to_bytes((n.bit_length() + 7) // 8, "big")) for name, n in (("e", numbers.e), ("n", numbers.n))}}]})
            return
        basic = base64.b64decode((self.headers.get("Authorization") or "").removeprefix("Basic ")).decode()
        who = [urllib.parse.unquote(word) for word in basic.split(":")]
        if who != ["weir", SECRET] or form != {"grant_type": "client_credentials", "scope": "kafka"}:
            self.answer(401, {"error": "invalid_client", "error_description": "no such client"})
            return
        self.give_token(self.azure_jwt("weir-kafka"))

    def entra(self, path, form):
        by_secret = form.get("client_secret") == SECRET
        by_assertion = (form.get("client_assertion", "").startswith("federated-") and
                        form.get("client_assertion_type") == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
        if path != "/tenant/oauth2/v2.0/token" or form.get("client_id") != "client" or not (by_secret or by_assertion):
            self.answer(401, {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."})
            return
        assert form["grant_type"] == "client_credentials" and form["scope"].endswith("/.default"), form
        self.give_token(self.azure_jwt(form["scope"].removesuffix("/.default")))

    def azure_machine(self, _path, query):
        if self.headers.get("Metadata") != "true":
            self.answer(400, {"error": "bad_request_102"})
            return
        token = self.cloud.new_token(self.azure_jwt(query["resource"]))
        self.answer(200, {"access_token": token, "expires_in": str(int(self.cloud.token_seconds)), "token_type": "Bearer",
                          "expires_on": str(int(time.time() + self.cloud.token_seconds)), "resource": query["resource"]})

    def app_service(self, _path, query):
        if self.headers.get("X-IDENTITY-HEADER") != SECRET:
            self.answer(403, {"error": "forbidden"})
            return
        token = self.cloud.new_token(self.azure_jwt(query["resource"]))
        self.answer(200, {"access_token": token, "expires_on": str(int(time.time() + self.cloud.token_seconds))})

    def google(self, _path, form):
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        try:
            head, claims, signature = form["assertion"].split(".")
            raw = {part: base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in (head, claims, signature)}
            self.cloud.google_key.public_key().verify(raw[signature], f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
            said = json.loads(raw[claims])
            now = time.time()
            good = (form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer" and json.loads(raw[head])["alg"] == "RS256"
                    and said["aud"] == self.cloud.url + "/google/token" and said["scope"].startswith("https://www.googleapis.com/auth/")
                    and said["iss"].endswith("gserviceaccount.com") and abs(said["iat"] - now) < 300
                    and 0 < said["exp"] - said["iat"] <= 3600)
        except Exception:  # pylint: disable=broad-except
            good = False
        if good:
            self.give_token(None)
        else:
            self.answer(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})

    def google_machine(self, _path, _query):
        if self.headers.get("Metadata-Flavor") != "Google":
            self.answer(403, {"error": "forbidden"})
            return
        self.give_token(None)

    # --- AWS

    def aws_json(self):
        access, secret, token = self.cloud.aws_keys()
        return {"Code": "Success", "AccessKeyId": access, "SecretAccessKey": secret, "Token": token,
                "Expiration": iso(time.time() + self.cloud.token_seconds)}

    def sts(self, _path, form):
        if form.get("Action") != "AssumeRoleWithWebIdentity" or not form.get("WebIdentityToken", "").startswith("federated-"):
            self.answer(400, b"<ErrorResponse><Error><Code>InvalidIdentityToken</Code></Error></ErrorResponse>")
            return
        keys = self.aws_json()
        self.answer(200, f"""<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
          <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{keys['AccessKeyId']}</AccessKeyId>
          <SecretAccessKey>{keys['SecretAccessKey']}</SecretAccessKey><SessionToken>{keys['Token']}</SessionToken>
          <Expiration>{keys['Expiration']}</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
          </AssumeRoleWithWebIdentityResponse>""".encode())

    def container(self, _path, _query):
        if self.headers.get("Authorization") != SECRET:
            self.answer(401, {"code": "InvalidAuthorization"})
            return
        self.answer(200, self.aws_json())

    def imds(self, path, _query):
        if path == "/latest/api/token":
            if self.command != "PUT" or not self.headers.get("X-aws-ec2-metadata-token-ttl-seconds"):
                self.answer(400)
            else:
                self.answer(200, b"imds-token")
        elif self.headers.get("X-aws-ec2-metadata-token") != "imds-token":
            self.answer(401)
        elif path == "/latest/meta-data/iam/security-credentials/":
            self.answer(200, b"the-role")
        elif path == "/latest/meta-data/iam/security-credentials/the-role":
            self.answer(200, self.aws_json())
        else:
            self.answer(404)


ROUTES = {"/tenant/": _Handler.entra, "/metadata/identity/": _Handler.azure_machine, "/msi": _Handler.app_service,
          "/oidc/": _Handler.oidc, "/google/token": _Handler.google, "/computeMetadata/": _Handler.google_machine, "/sts": _Handler.sts,
          "/container": _Handler.container, "/latest/": _Handler.imds}
