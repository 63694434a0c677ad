"""The S3 store against MinIO and versitygw, and its signatures against botocore's."""

import hashlib
import http.server
import random
import subprocess
import threading

import pytest

from services import harness
from store.store_client import Failed, Store, driver_path


@pytest.fixture
def bucket(s3, unique):
    return s3.make_bucket(unique("store"))


@pytest.fixture
def open_store(tmp_path):
    opened = []

    def make(s3, bucket, *options, prefix="", **env):
        store = Store(tmp_path, f"s3://{bucket}/{prefix}", {**s3.env(), **env}, *options)
        opened.append(store)
        return store

    yield make
    for store in opened:
        if not store.process.stdin.closed:
            store.close()
        text = store.logged()
        assert "weirtest-secret" not in text and "Signature=" not in text


def test_objects_are_put_read_listed_and_deleted(s3, bucket, open_store):
    store = open_store(s3, bucket, prefix="some/where")
    assert store.get("a") is None
    assert store.put("a", b"1") and store.put("a", b"22") and store.put("empty", b"")
    assert store.get("a") == b"22" and store.get("empty") == b""
    assert store.list() == [("a", 2), ("empty", 0)]
    assert s3.keys(bucket) == ["some/where/a", "some/where/empty"]
    assert store.delete("a") and store.delete("a")
    assert store.get("a") is None and store.list() == [("empty", 0)]


KEYS = ["dt=2024-01-01/country=DE/part-1.parquet", "a b+c&d", "100%/%41", "käse/日本/🚀", "q?x=1#y", "<tag>&amp;\"'",
        "tilde~(x)!*$,;:@", "a=b=c"]


def test_keys_of_all_kinds_survive(s3, bucket, open_store):
    store = open_store(s3, bucket, prefix="p=1/ü")
    for key in KEYS:
        assert store.put(key, key.encode())
    assert s3.keys(bucket) == sorted("p=1/ü/" + key for key in KEYS)
    for key in KEYS:
        assert store.get(key) == key.encode()
    assert [key for key, _ in store.list()] == sorted(KEYS, key=str.encode)
    assert store.list("käse/") == [("käse/日本/🚀", len("käse/日本/🚀".encode()))]
    store.upload(0, KEYS[0] + ".2")
    store.write(0, b"x")
    assert store.ask("prepare", 0)[0] and store.ask("publish", 0)[0] and store.ask("close", 0)
    assert store.get(KEYS[0] + ".2") == b"x"
    for key in KEYS:
        assert store.delete(key)
    assert store.list() == [(KEYS[0] + ".2", 1)]


def test_listings_go_over_pages(s3, bucket, open_store):
    from concurrent.futures import ThreadPoolExecutor

    client = s3.client()
    keys = [f"m/{n:05d}" for n in range(2100)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: client.put_object(Bucket=bucket, Key=key, Body=b""), keys))
    store = open_store(s3, bucket)
    assert [key for key, _ in store.list("m/")] == keys
    assert [key for key, _ in store.list("m/", "m/01995")] == keys[1996:]
    assert store.list("m/", "m/99999") == []
    assert store.list("none") == []


def test_of_32_racers_one_puts_a_new_object(s3, bucket, tmp_path):
    stores = []
    for number in range(32):
        directory = tmp_path / str(number)
        directory.mkdir()
        stores.append(Store(directory, f"s3://{bucket}/race", s3.env()))
    try:
        for round_number in range(4):
            for number, store in enumerate(stores):
                store.send("put_new", f"manifest-{round_number}", store._file(f"owner {number}".encode()))
            won = [number for number, store in enumerate(stores) if store.answer()[0]]
            assert len(won) == 1
            assert stores[0].get(f"manifest-{round_number}") == f"owner {won[0]}".encode()
        assert stores[0].put("manifest-0", b"again", new=True) is None
    finally:
        for store in stores:
            store.close()


@pytest.mark.parametrize("size", [0, 1, 5 << 20, (20 << 20) + 12345])
def test_an_upload_is_invisible_until_it_is_published(s3, bucket, open_store, size):
    data = random.Random(size).randbytes(size)
    store = open_store(s3, bucket, "part_size=5MiB")
    store.upload(0, "d/big")
    store.write(0, data, piece=300_001)
    assert store.ask("prepare", 0)[0]
    assert store.get("d/big") is None and s3.keys(bucket) == []
    assert open_parts(s3, bucket, "d/big") == ["d/big"]
    assert store.ask("publish", 0)[0]
    assert hashlib.sha256(store.get("d/big")).digest() == hashlib.sha256(data).digest()
    assert store.ask("publish", 0)[0]  # again is fine
    store.ask("close", 0)
    assert s3.keys(bucket) == ["d/big"] and open_parts(s3, bucket, "d/big") == []


def open_parts(s3, bucket, key):
    # MinIO lists open uploads by their exact key only.
    uploads = s3.client().list_multipart_uploads(Bucket=bucket, Prefix=key).get("Uploads", [])
    return [upload["Key"] for upload in uploads]


def test_closing_without_publishing_leaves_nothing(s3, bucket, open_store):
    store = open_store(s3, bucket, "part_size=5MiB")
    for prepares in (False, True):
        store.upload(0, "gone")
        store.write(0, bytes(12 << 20))
        if prepares:
            store.ask("prepare", 0)
        assert open_parts(s3, bucket, "gone") == ["gone"]
        store.ask("close", 0)
        assert open_parts(s3, bucket, "gone") == []
    store.upload(0, "unbegun")
    store.ask("close", 0)
    assert s3.keys(bucket) == []


def test_several_uploads_are_under_way_on_one_store(s3, bucket, open_store):
    store = open_store(s3, bucket, "part_size=5MiB")
    data = {slot: random.Random(slot).randbytes((6 << 20) * (slot + 1)) for slot in range(3)}
    for slot in data:
        store.upload(slot, f"k{slot}")
    for at in range(0, 18 << 20, 2 << 20):
        for slot, content in data.items():
            store.write(slot, content[at:at + (2 << 20)])
    store.put("between", b"x")
    for slot in data:
        store.ask("prepare", slot)
    for slot in data:
        store.ask("publish", slot)
        store.ask("close", slot)
    for slot, content in data.items():
        assert store.get(f"k{slot}") == content


def test_a_publication_whose_answer_was_lost_is_recognised(s3, bucket, open_store):
    store = open_store(s3, bucket)
    store.upload(0, "lost")
    store.write(0, b"data")
    store.ask("prepare", 0)
    # What a first attempt would have done, had its answer not been lost:
    client = s3.client()
    upload = client.list_multipart_uploads(Bucket=bucket, Prefix="lost")["Uploads"][0]["UploadId"]
    parts = client.list_parts(Bucket=bucket, Key="lost", UploadId=upload)["Parts"]
    client.complete_multipart_upload(Bucket=bucket, Key="lost", UploadId=upload, MultipartUpload={
        "Parts": [{"PartNumber": p["PartNumber"], "ETag": p["ETag"]} for p in parts]})
    assert store.ask("publish", 0)[0]
    store.ask("close", 0)
    assert store.get("lost") == b"data"


def test_an_upload_that_somebody_aborted_is_not_published(minio, unique, open_store):
    # On MinIO alone: versitygw 1.8 answers 200 to the completion of an unknown upload when the key exists.
    s3, bucket = minio, minio.make_bucket(unique("store"))
    store = open_store(s3, bucket)
    store.upload(0, "stolen")
    store.write(0, b"data")
    store.ask("prepare", 0)
    client = s3.client()
    upload = client.list_multipart_uploads(Bucket=bucket, Prefix="stolen")["Uploads"][0]["UploadId"]
    client.abort_multipart_upload(Bucket=bucket, Key="stolen", UploadId=upload)
    store.put("stolen", b"somebody else's")
    with pytest.raises(Failed) as failed:
        store.ask("publish", 0)
    assert "NoSuchUpload" in failed.value.message
    store.ask("close", 0)
    assert store.get("stolen") == b"somebody else's"


# --- refusals -----------------------------------------------------------------------------------


def refused(tmp_path, url, env, *options):
    with pytest.raises(Failed) as failed:
        Store(tmp_path, url, env, *options)
    logged = (tmp_path / "driver.log").read_text(errors="replace")
    for secret in ("weirtest-secret", "not-the-secret"):
        assert secret not in str(failed.value) and secret not in logged
    assert "Signature=" not in logged
    assert failed.value.hint
    return failed.value


def test_a_wrong_secret_is_named_not_shown(s3, bucket, tmp_path):
    error = refused(tmp_path, f"s3://{bucket}", {**s3.env(), "AWS_SECRET_ACCESS_KEY": "not-the-secret"})
    assert "secret key is wrong" in error.message and bucket in error.message
    assert "AWS_SECRET_ACCESS_KEY" in error.hint and error.cls == 1


def test_an_unknown_access_key_is_named(s3, bucket, tmp_path):
    error = refused(tmp_path, f"s3://{bucket}", {**s3.env(), "AWS_ACCESS_KEY_ID": "nobody"})
    assert "does not know the access key" in error.message and error.cls == 1


def test_a_missing_bucket_is_named(s3, tmp_path, unique):
    name = unique("nowhere")
    error = refused(tmp_path, f"s3://{name}/x", s3.env())
    assert "no such bucket" in error.message and name in error.message and "create the bucket" in error.hint


def test_options_beat_the_environment(s3, bucket, tmp_path):
    env = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "not-the-secret", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    with Store(tmp_path, f"s3://{bucket}", env, f"endpoint={s3.endpoint}", f"access_key_id={s3.access_key}",
               f"secret_access_key={s3.secret_key}", "region=us-east-1") as store:
        assert store.put("k", b"v")
        assert s3.secret_key not in store.logged()


def test_another_region_is_told_with_the_right_one(s3, bucket, tmp_path):
    error = refused(tmp_path, f"s3://{bucket}", {**s3.env(), "AWS_REGION": "eu-north-1"})
    assert "region" in error.message and "region" in error.hint
    assert "us-east-1" in error.hint + error.detail


def test_nobody_at_the_endpoint(tmp_path):
    port = harness.free_port()
    error = refused(tmp_path, "s3://bucket/x", {
        "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "not-the-secret",
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}"})
    assert f"127.0.0.1:{port}" in error.message and "endpoint" in error.hint and error.cls == 3


def test_no_credentials_say_where_they_belong(tmp_path):
    error = refused(tmp_path, "s3://bucket/x", {"HOME": str(tmp_path), "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1"})
    assert "no S3 credentials" in error.message and "AWS_ACCESS_KEY_ID" in error.hint


@pytest.mark.parametrize("url, options", [
    ("s3://", ()), ("s3:///key", ()), ("s3://a", ()), ("s3://bad bucket/x", ()), ("s3://-b-/x", ()),
    ("s3://bucket", ("endpoint=ftp://x",)), ("s3://bucket", ("endpoint=http://user:pw@host",)),
    ("s3://bucket", ("endpoint=http://",)), ("s3://bucket", ("endpoint=http://a/?x",))])
def test_malformed_urls_and_endpoints_are_refused_without_a_request(tmp_path, url, options):
    error = refused(tmp_path, url, {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "not-the-secret"}, *options)
    assert error.cls == 1 and "pw@" not in str(error)


class FakeS3(http.server.BaseHTTPRequestHandler):
    """Answers what the test put into `script`: (status, body, headers), the last one again and again."""

    protocol_version = "HTTP/1.1"
    script, seen = [], []
    head = None  # what HEAD gets, whatever the script

    def handle_one(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        type(self).seen.append((self.command, self.path, dict(self.headers), body))
        if self.command == "HEAD" and self.head is not None:
            entry = self.head
        else:
            entry = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        status, text, headers = entry
        if status is None:  # cut the connection
            self.close_connection = True
            return
        data = text.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_one

    def log_message(self, *_):
        pass


@pytest.fixture
def fake(tmp_path):
    handler = type("Fake", (FakeS3,), {"script": [], "seen": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    handler.env = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "not-the-secret", "AWS_SESSION_TOKEN": "session-tok",
                   "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{server.server_port}"}
    yield handler
    server.shutdown()
    server.server_close()


def s3_error(code, message="x"):
    return f"<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"


LISTED = (200, "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>", {})


def test_a_wrong_clock_is_told(fake, tmp_path):
    fake.script[:] = [(403, s3_error("RequestTimeTooSkewed", "The difference is too large."), {})]
    error = refused(tmp_path, "s3://bucket", fake.env)
    assert "clock" in error.message and "timedatectl" in error.hint and len(fake.seen) == 1


def test_a_region_redirect_names_the_region(fake, tmp_path):
    fake.script[:] = [(301, s3_error("PermanentRedirect"), {"x-amz-bucket-region": "ap-south-1"})]
    error = refused(tmp_path, "s3://bucket", fake.env)
    assert "region" in error.message and "ap-south-1" in error.hint


def test_a_token_that_the_server_echoes_is_not_shown(fake, tmp_path):
    fake.script[:] = [(403, s3_error("AccessDenied", "you sent session-tok and not-the-secret"), {})]
    error = refused(tmp_path, "s3://bucket", fake.env)
    assert "session-tok" not in str(error)
    assert fake.seen[0][2]["x-amz-security-token"] == "session-tok"
    assert "x-amz-security-token" in fake.seen[0][2]["Authorization"]


def test_overload_is_asked_again(fake, tmp_path):
    busy = (503, s3_error("SlowDown"), {})
    fake.script[:] = [busy, (None, "", {}), LISTED]
    with Store(tmp_path, "s3://bucket", fake.env) as store:
        assert len(fake.seen) == 3
        fake.script[:] = [busy, (500, s3_error("InternalError"), {}), (400, s3_error("RequestTimeout"), {}),
                          (None, "", {}), (200, "", {})]
        assert store.put("k", b"body")
        assert len(fake.seen) == 8
        assert {body for _, _, _, body in fake.seen[3:]} == {b"body"}


def test_retries_have_an_end(fake, tmp_path):
    fake.script[:] = [LISTED, (503, s3_error("SlowDown"), {})]
    with Store(tmp_path, "s3://bucket", fake.env, "max_retries=2") as store:
        with pytest.raises(Failed) as failed:
            store.put("k", b"v")
    assert failed.value.cls == 3 and "SlowDown" in failed.value.message and len(fake.seen) == 4


def test_a_lost_answer_to_a_conditional_put_is_settled_by_reading_back(fake, tmp_path):
    fake.script[:] = [LISTED, (200, "", {})]
    with Store(tmp_path, "s3://bucket", fake.env, "max_retries=2") as store:
        cut, lost, conflict = (None, "", {}), (412, s3_error("PreconditionFailed"), {}), (409, s3_error("ConditionalRequestConflict"), {})

        def put(*script, head=(404, "", {})):
            fake.seen.clear()
            fake.script[:] = script
            fake.head = head
            return store.put("k", b"v", new=True)

        class Echo(dict):
            """Only the server knows the id that was put."""

            def items(self):
                return [("x-amz-meta-weir-put", fake.seen[0][2]["x-amz-meta-weir-put"])]

        another, ours = (200, "", {"x-amz-meta-weir-put": "another's"}), (200, "", Echo())
        assert put(lost, head=another) is None
        assert put(lost) is None
        assert put(conflict, (200, "", {})) is True
        assert put(cut, lost, head=another) is None
        assert put(cut, lost, head=ours) is True
        assert put(cut, head=ours) is True
        assert put(cut, head=another) is None
        with pytest.raises(Failed) as failed:
            put(cut)
        assert failed.value.cls == 3
        assert all(headers["If-None-Match"] == "*" for method, _, headers, _ in fake.seen if method == "PUT")


def test_an_error_inside_a_200_is_an_error(fake, tmp_path):
    fake.script[:] = [LISTED, (200, "<R><UploadId>u&amp;1</UploadId></R>", {}), (200, "", {"ETag": '"e"'}), (200, s3_error("InternalError"), {}),
                      (200, s3_error("InvalidPart", "gone"), {})]
    with Store(tmp_path, "s3://bucket", fake.env) as store:
        store.upload(0, "k")
        store.write(0, b"data")
        store.ask("prepare", 0)
        with pytest.raises(Failed) as failed:
            store.ask("publish", 0)
        assert "InvalidPart" in failed.value.message
        fake.script[:] = [(204, "", {})]
    paths = [path for _, path, _, _ in fake.seen]
    assert "uploadId=u%261" in paths[2]
    # Nobody knows whether it was completed: it is not aborted.
    assert not any(method == "DELETE" for method, _, _, _ in fake.seen)


@pytest.mark.parametrize("body", [
    "", "<", "garbage", "<ListBucketResult>", "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
    "<ListBucketResult><Contents><Key>&#xffffffff;&#0;&bogus;&</Key><Size>-1</Size></Contents></ListBucketResult>",
    "<ListBucketResult><Contents><Key></Key></Contents><Contents></ListBucketResult>"])
def test_odd_listings_are_no_crash(fake, tmp_path, body):
    fake.script[:] = [LISTED, (200, body, {})]
    with Store(tmp_path, "s3://bucket/pre", fake.env) as store:
        try:
            assert store.list() == []
        except Failed as error:
            assert "list" in error.message


# --- faults on the way --------------------------------------------------------------------------


def test_a_reset_in_the_middle_of_an_upload_is_repaired(minio, toxiproxy, tmp_path, unique):
    bucket = minio.make_bucket(unique("toxic"))
    name = unique("s3")
    listen = toxiproxy.add_proxy(name, f"127.0.0.1:{minio.port}")
    env = {**minio.env(), "AWS_ENDPOINT_URL_S3": f"http://{listen}"}
    data = random.Random(7).randbytes(12 << 20)
    with Store(tmp_path, f"s3://{bucket}", env, "part_size=5MiB", "request_timeout=5s") as store:
        store.upload(0, "k")
        toxiproxy.toxic(name, "limit_data", stream="upstream", bytes=3 << 20)
        store.send("write", 0, store._file(data), 1 << 20)
        healer = threading.Timer(1.0, toxiproxy.reset)
        healer.start()
        assert store.answer()[0]
        assert store.ask("prepare", 0)[0]
        healer.join()
        assert store.ask("publish", 0)[0]
        store.ask("close", 0)
        assert store.get("k") == data
        assert "again in" in store.logged()


@pytest.mark.parametrize("piece", [1 << 20, 12 << 20], ids=["small_pieces", "one_piece"])
@pytest.mark.parametrize("down_at", ["write", "prepare"])
def test_an_outage_longer_than_all_retries_loses_nothing(minio, toxiproxy, tmp_path, unique, down_at, piece):
    bucket = minio.make_bucket(unique("outage"))
    name = unique("s3")
    listen = toxiproxy.add_proxy(name, f"127.0.0.1:{minio.port}")
    env = {**minio.env(), "AWS_ENDPOINT_URL_S3": f"http://{listen}"}
    first, second = random.Random(8).randbytes(4 << 20), random.Random(9).randbytes(12 << 20)
    with Store(tmp_path, f"s3://{bucket}", env, "part_size=5MiB", "request_timeout=2s", "max_retries=1") as store:
        store.upload(0, "k")
        assert store.ask("write", 0, store._file(first), 1 << 20)[0]
        if down_at == "write":
            toxiproxy.enable(name, False)
            if piece > len(second) // 2:  # taken whole, although nothing of it can be sent
                assert store.ask("write", 0, store._file(second), piece)[0]
                data = first + second
            else:
                data = first
        else:
            assert store.ask("write", 0, store._file(second), piece)[0]
            data = first + second
            toxiproxy.enable(name, False)
        for _ in range(2):
            with pytest.raises(Failed) as failed:
                store.ask("prepare", 0)
            assert failed.value.cls == 3, failed.value
        toxiproxy.enable(name, True)
        assert store.ask("prepare", 0)[0]
        assert store.ask("publish", 0)[0]
        store.ask("close", 0)
        assert store.get("k") == data


def test_a_server_that_falls_silent_is_asked_again(minio, toxiproxy, tmp_path, unique):
    bucket = minio.make_bucket(unique("silent"))
    name = unique("s3")
    listen = toxiproxy.add_proxy(name, f"127.0.0.1:{minio.port}")
    env = {**minio.env(), "AWS_ENDPOINT_URL_S3": f"http://{listen}"}
    with Store(tmp_path, f"s3://{bucket}", env, "request_timeout=1s") as store:
        toxiproxy.toxic(name, "timeout", stream="downstream", timeout=0)
        store.send("put_new", "k", store._file(b"v"))
        threading.Timer(1.5, toxiproxy.reset).start()
        # The server did store it although its answer never came: not a loss against ourselves.
        assert store.answer()[0] is True
        assert store.get("k") == b"v"


def test_tls_trusts_the_bundle_that_is_given(tmp_path, unique):
    with harness.S3Minio(S3_TLS=1) as tls:
        bucket = tls.make_bucket(unique("tls"))
        error = refused(tmp_path, f"s3://{bucket}", tls.env())
        assert "certificate" in error.detail.lower() or "SSL" in error.detail
        with Store(tmp_path, f"s3://{bucket}", {**tls.env(), "AWS_CA_BUNDLE": str(tls.directory / "certs" / "ca.crt")}) as store:
            assert store.put("k=1/v", b"v") and store.get("k=1/v") == b"v"
            store.upload(0, "big")
            store.write(0, bytes(9 << 20))
            assert store.ask("prepare", 0)[0] and store.ask("publish", 0)[0]
            store.ask("close", 0)
            assert store.get("big") == bytes(9 << 20)


# --- signatures ---------------------------------------------------------------------------------


@pytest.mark.parametrize("service", ["s3", "kinesis"])
def test_signatures_equal_botocores(tmp_path, service):
    from botocore.auth import S3SigV4Auth, SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    from urllib.parse import quote

    rng = random.Random(42)
    alphabet = "abcXYZ019-._~ =+&%/:;,?#@!$'()*äß日🚀"
    access, secret = "AKID", "s3cr3t/key+=="
    process = subprocess.Popen([driver_path(), "--sign", "eu-central-1", service], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True, bufsize=1, env=harness.weir_env())

    def text(most, letters=alphabet):
        return "".join(rng.choice(letters) for _ in range(rng.randrange(1, most)))

    auth = (S3SigV4Auth if service == "s3" else SigV4Auth)(Credentials(access, secret), service, "eu-central-1")
    try:
        for number in range(300):
            date = f"2024{rng.randrange(1, 13):02d}{rng.randrange(1, 29):02d}T{rng.randrange(24):02d}{rng.randrange(60):02d}00Z"
            # botocore cleans /./ and // of other services' paths; ours have none.
            path = "/" + text(30) if service == "s3" else "/" + text(30, alphabet.replace("/", "").replace(".", ""))
            query = [(f"{text(8)}{i}", text(12) if rng.random() < 0.8 else "") for i in range(rng.randrange(5))]
            more = [(f"x-amz-meta-{i}", text(10, "ab  c=;").strip() or "v") for i in range(rng.randrange(3))]
            payload = hashlib.sha256(str(number).encode()).hexdigest()
            query_text = "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in query)
            url = "https://host.example.com:8443" + quote(path, safe="/-_.~") + ("?" + query_text if query else "")
            headers = [("host", "host.example.com:8443"), ("x-amz-content-sha256", payload), ("X-Amz-Date", date), *more]
            request = AWSRequest(method="PUT", url=url, headers=dict(headers))
            request.context["timestamp"] = date
            request.context["payload_signing_enabled"] = True
            canonical = auth.canonical_request(request) if service != "s3" else auth.canonical_request(request)
            want = auth.signature(auth.string_to_sign(request, canonical), request)
            words = [date, access, secret, "PUT", path, payload, len(query), *[w for pair in query for w in pair],
                     len(headers), *[w for pair in headers for w in pair]]
            process.stdin.write("\t".join(str(word) for word in words) + "\n")
            got = process.stdout.readline().split("\t")[0]
            assert got.endswith(f"Signature={want}"), f"{url}\n{canonical}\n{got}"
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(10)
