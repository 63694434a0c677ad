"""Who weir is to the clouds: keys, signatures, tokens of every origin, wrong ones, and ones that expire in the middle of an upload."""

import datetime
import time

import pytest

from services.fake_cloud import SECRET, FakeCloud
from services.harness import Azurite, free_port
from store.store_client import Failed, Store

BIG = bytes(range(256)) * (80 << 10)  # 20 MiB: four parts of 5 MiB


@pytest.fixture
def fake():
    with FakeCloud() as running:
        yield running


@pytest.fixture(scope="module")
def azurite_tls():
    """Takes bearer tokens of the right audience and age."""
    with Azurite(AZURITE_TLS=1, AZURITE_OAUTH=1) as running:
        yield running


def opened(tmp_path, url, env, *options):
    return Store(tmp_path, url, {"HOME": str(tmp_path), **env}, "part_size=5MiB", *options)


def works(store):
    assert store.put("a", b"1", new=True) and store.get("a") == b"1" and not store.put("a", b"2", new=True)
    store.upload(0, "dir/big")
    store.write(0, BIG)
    store.ask("prepare", 0)
    assert store.list() == [("a", 1)]
    store.ask("publish", 0)
    store.ask("close", 0)
    assert store.get("dir/big") == BIG and [key for key, _ in store.list()] == ["a", "dir/big"]


def write_slowly(store, seconds):
    """An upload whose pieces are seconds apart, so that what signs the first is too old for the last."""
    store.upload(1, "dir/slow")
    for _ in range(4):
        store.write(1, BIG[:6 << 20])
        time.sleep(seconds / 4)
    store.ask("prepare", 1)
    store.ask("publish", 1)
    store.ask("close", 1)
    assert len(store.get("dir/slow")) == 24 << 20


def refused(tmp_path, url, env, *words):
    with pytest.raises(Failed) as failed:
        opened(tmp_path, url, env)
    said = f"{failed.value.message} {failed.value.detail} {failed.value.hint}"
    for word in words:
        assert word in said, said
    log = (tmp_path / "driver.log").read_text(errors="replace")
    for secret in (SECRET, "planted", "federated-token"):
        assert secret not in said + log, said
    return failed.value


# --- Azure ----------------------------------------------------------------------------------------


def test_azure_connection_strings_name_account_key_and_endpoint(azurite, unique, tmp_path):
    bucket = azurite.make_bucket(unique("conn"))
    text = (f"DefaultEndpointsProtocol=http;AccountName={azurite.account};AccountKey={azurite.key};"
            f"BlobEndpoint={azurite.endpoint};")
    with opened(tmp_path, f"az://{bucket}/p", {"AZURE_STORAGE_CONNECTION_STRING": text}) as store:
        works(store)
        assert azurite.key not in store.logged()
    (tmp_path / "option").mkdir()
    with opened(tmp_path / "option", f"az://{bucket}/q", {}, f"connection_string={text}") as store:
        works(store)


def test_azure_abfss_urls_name_the_account(azurite, unique, tmp_path):
    bucket = azurite.make_bucket(unique("abfss"))
    url = f"abfss://{bucket}@{azurite.account}.dfs.core.windows.net/p"
    with opened(tmp_path, url, {"AZURE_STORAGE_KEY": azurite.key}, f"endpoint={azurite.endpoint}") as store:
        works(store)
    assert azurite.keys(bucket) == ["p/a", "p/dir/big"]


@pytest.mark.parametrize("odd", ["a b+c%20d", "ümlaut/日本", "k=1/ts=2024-01-01 00%3A00/x.parquet", "q?&=#x", "'(quoted)';:@$,!~*"])
@pytest.mark.parametrize("cloud", ["azurite", "gcs"])
def test_odd_names_are_signed_as_they_are_sent(request, cloud, unique, tmp_path, odd):
    service = request.getfixturevalue(cloud)
    bucket = service.make_bucket(unique("odd"))
    with opened(tmp_path, service.url(bucket, "pre fix"), service.env()) as store:
        assert store.put(odd, b"1", new=True) and not store.put(odd, b"2", new=True) and store.get(odd) == b"1"
        store.upload(0, odd + ".up")
        store.write(0, b"data")
        store.ask("prepare", 0)
        store.ask("publish", 0)
        assert [key for key, _ in store.list()] == [odd, odd + ".up"] and store.list(odd[:3], odd) == [(odd + ".up", 4)]
    assert service.keys(bucket) == ["pre fix/" + odd, "pre fix/" + odd + ".up"]
    assert service.read(bucket, "pre fix/" + odd + ".up") == b"data"


def sas(azurite, bucket, key=None, hours=1, permission="rwdlac"):
    from azure.storage.blob import generate_container_sas

    expiry = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=hours)
    return generate_container_sas(azurite.account, bucket, account_key=key or azurite.key, permission=permission, expiry=expiry)


def test_azure_sas(azurite, unique, tmp_path):
    bucket = azurite.make_bucket(unique("sas"))
    env = {**azurite.env(), "AZURE_STORAGE_KEY": "", "AZURE_STORAGE_SAS_TOKEN": "?" + sas(azurite, bucket)}
    with opened(tmp_path, f"az://{bucket}/p", env) as store:
        works(store)
        assert "sig=" not in store.logged()


@pytest.mark.parametrize("how", ["expired", "wrong key", "no list permission"])
def test_azure_refuses_a_bad_sas_in_words(azurite, unique, tmp_path, how):
    bucket = azurite.make_bucket(unique("badsas"))
    token = {"expired": lambda: sas(azurite, bucket, hours=-1), "wrong key": lambda: sas(azurite, bucket, "cGxhbnRlZA=="),
             "no list permission": lambda: sas(azurite, bucket, permission="r")}[how]()
    env = {**azurite.env(), "AZURE_STORAGE_KEY": "", "AZURE_STORAGE_SAS_TOKEN": token}
    failed = refused(tmp_path, f"az://{bucket}/p", env, "AZURE_STORAGE_SAS_TOKEN")
    assert failed.cls == 1 and token.split("sig=")[1] not in str(failed)


def test_azure_refuses_a_wrong_key_and_a_missing_container_in_words(azurite, unique, tmp_path):
    bucket = azurite.make_bucket(unique("wrong"))
    wrong = {**azurite.env(), "AZURE_STORAGE_KEY": "cGxhbnRlZC1rZXktb2Ytc29tZS1sZW5ndGg="}
    assert refused(tmp_path, f"az://{bucket}/p", wrong, "cannot open", "key").cls == 1
    assert refused(tmp_path, f"az://{unique('none')}/p", azurite.env(), "no such container").cls == 1
    nobody = {**azurite.env(), "AZURE_STORAGE_BLOB_ENDPOINT": f"http://127.0.0.1:{free_port()}/x"}
    refused(tmp_path, f"az://{bucket}/p", nobody, "no answer from")


IDENTITIES = {
    "client secret": lambda fake, tmp_path: fake.entra_env(),
    "workload identity": lambda fake, tmp_path: fake.entra_env(AZURE_CLIENT_SECRET="", AZURE_FEDERATED_TOKEN_FILE=federated(tmp_path)),
    "managed identity": lambda fake, tmp_path: {"AZURE_POD_IDENTITY_AUTHORITY_HOST": fake.url},
    "app service": lambda fake, tmp_path: {"IDENTITY_ENDPOINT": fake.url + "/msi/token", "IDENTITY_HEADER": SECRET},
}


def federated(tmp_path):
    (tmp_path / "token").write_text("federated-token\n")
    return str(tmp_path / "token")


@pytest.mark.parametrize("identity", IDENTITIES)
def test_azure_tokens_are_fetched_kept_and_refreshed_in_the_middle_of_an_upload(azurite_tls, fake, unique, tmp_path, identity):
    bucket = azurite_tls.make_bucket(unique("token"))
    fake.token_seconds = 8
    env = {"AZURE_STORAGE_ACCOUNT": azurite_tls.account, "AZURE_STORAGE_BLOB_ENDPOINT": azurite_tls.endpoint,
           "SSL_CERT_FILE": str(azurite_tls.directory / "certs" / "ca.crt"), **IDENTITIES[identity](fake, tmp_path)}
    with opened(tmp_path, f"az://{bucket}/p", env) as store:
        works(store)
        assert 1 <= len(fake.asked) <= 3, "a token is kept"
        write_slowly(store, 12)
        assert len(fake.asked) >= 2, "and refreshed"
        logged = store.logged()
    assert all(token not in logged for token in fake.tokens) and SECRET not in logged and "federated-token" not in logged


def test_azure_tells_what_the_token_endpoint_said(azurite_tls, fake, unique, tmp_path):
    env = {"AZURE_STORAGE_ACCOUNT": azurite_tls.account, "AZURE_STORAGE_BLOB_ENDPOINT": azurite_tls.endpoint,
           "SSL_CERT_FILE": str(azurite_tls.directory / "certs" / "ca.crt"), **fake.entra_env()}
    wrong = {**env, "AZURE_CLIENT_SECRET": "planted-wrong"}
    failed = refused(tmp_path, "az://bucket/p", wrong, "AADSTS7000215", "AZURE_CLIENT_ID")
    assert failed.cls == 1
    fake.refuse = (503, {"error": "temporarily_unavailable"})
    assert refused(tmp_path, "az://bucket/p", env, "no token", "503").cls == 3


@pytest.mark.parametrize("host", ["http://127.evil.example", "http://localhost.evil.example/", "http://example", "ftp://127.0.0.1"])
def test_azure_secrets_go_to_https_or_this_machine_only(fake, tmp_path, host):
    env = {**fake.entra_env(), "AZURE_STORAGE_ACCOUNT": "acc", "AZURE_AUTHORITY_HOST": host}
    refused(tmp_path, "az://bucket/p", env, "AZURE_AUTHORITY_HOST")
    refused(tmp_path, "az://bucket/p", {**fake.entra_env(), "AZURE_STORAGE_ACCOUNT": "acc", "AZURE_STORAGE_BLOB_ENDPOINT": host + "/acc"},
            "http://")


def test_azure_wants_a_certificate_that_it_can_trust(azurite_tls, unique, tmp_path):
    bucket = azurite_tls.make_bucket(unique("tls"))
    env = {k: v for k, v in azurite_tls.env().items()}
    refused(tmp_path, f"az://{bucket}/p", env, "no answer from", "certificate")
    with opened(tmp_path, f"az://{bucket}/p", {**env, "SSL_CERT_FILE": str(azurite_tls.directory / "certs" / "ca.crt")}) as store:
        works(store)


@pytest.mark.parametrize("what", ["before", "after", 503])
def test_azure_a_request_whose_answer_is_lost_is_settled_by_reading_back(azurite, fake, unique, tmp_path, what):
    bucket = azurite.make_bucket(unique("lost"))
    env = {**azurite.env(), "AZURE_STORAGE_BLOB_ENDPOINT": f"{fake.gate(azurite.endpoint)}/{azurite.account}"}
    with opened(tmp_path, f"az://{bucket}/p", env) as store:
        fake.trouble = lose(lambda method, path, _: method == "PUT" and "comp=" not in path, what)
        assert store.put("m/1", b"ours", new=True) and store.get("m/1") == b"ours"
        assert not store.put("m/1", b"theirs", new=True) and store.get("m/1") == b"ours"
        for slot, comp in enumerate(("comp=block&", "comp=blocklist")):
            fake.trouble = lose(lambda method, path, _, comp=comp: comp in path, what)
            store.upload(slot, f"d/{slot}")
            store.write(slot, BIG)
            store.ask("prepare", slot)
            ticket = store.ticket(slot)
            store.ask("publish", slot)
            store.ask("close", slot)
            assert store.get(f"d/{slot}") == BIG and store.ask("publish_ticket", ticket)[0]
    assert azurite.keys(bucket) == ["p/d/0", "p/d/1", "p/m/1"]


@pytest.mark.parametrize("cloud", ["azurite", "gcs"])
def test_a_store_that_only_fails_is_said_to_be_worth_another_try(request, cloud, fake, unique, tmp_path):
    service = request.getfixturevalue(cloud)
    bucket = service.make_bucket(unique("fails"))
    if cloud == "azurite":
        env = {**service.env(), "AZURE_STORAGE_BLOB_ENDPOINT": f"{fake.gate(service.endpoint)}/{service.account}"}
        store = opened(tmp_path, f"az://{bucket}/p", env, "max_retries=1")
    else:
        store = opened(tmp_path, f"gs://{bucket}/p", google_env(fake, tmp_path, "service account"), "max_retries=1",
                       f"endpoint={fake.gate(service.endpoint)}")
    with store:
        store.upload(0, "d/x")
        store.write(0, b"data")
        fake.trouble = lose(lambda method, path, _: method in ("PUT", "POST"), 503, times=1000)
        for words in (("prepare", 0), ("put_new", "a", store._file(b"1"))):
            with pytest.raises(Failed) as failed:
                store.ask(*words)
            assert failed.value.cls == 3 and "503" in failed.value.message + failed.value.detail
        fake.trouble = lose(lambda *_: False, None)
        store.ask("prepare", 0)  # what was written is still there
        store.ask("publish", 0)
        assert store.get("d/x") == b"data" and store.get("a") is None


# --- Google ---------------------------------------------------------------------------------------


def google_env(fake, tmp_path, how):
    if how == "service account":
        return {"GOOGLE_APPLICATION_CREDENTIALS": fake.service_account(tmp_path / "key.json")}
    return {"GCE_METADATA_HOST": fake.url.removeprefix("http://")}


def google_store(fake, gcs, tmp_path, bucket, env):
    return opened(tmp_path, f"gs://{bucket}/p", env, f"endpoint={fake.gate(gcs.endpoint)}")


@pytest.mark.parametrize("how", ["service account", "metadata server"])
def test_google_tokens_are_fetched_kept_and_refreshed_in_the_middle_of_an_upload(gcs, fake, unique, tmp_path, how):
    bucket = gcs.make_bucket(unique("token"))
    fake.token_seconds = 8
    path = "/google/token" if how == "service account" else "/computeMetadata/"
    with google_store(fake, gcs, tmp_path, bucket, google_env(fake, tmp_path, how)) as store:
        works(store)
        assert 1 <= fake.count(path) <= 3, "a token is kept"
        write_slowly(store, 12)
        assert fake.count(path) >= 2, "and refreshed"
        logged = store.logged()
    assert all(token not in logged for token in fake.tokens) and "PRIVATE KEY" not in logged
    assert all(asked[3].get("Authorization", "").startswith("Bearer ") for asked in fake.asked if "storage" in asked[1])


def test_google_a_token_that_is_revoked_is_fetched_anew(gcs, fake, unique, tmp_path):
    bucket = gcs.make_bucket(unique("revoked"))
    with google_store(fake, gcs, tmp_path, bucket, google_env(fake, tmp_path, "service account")) as store:
        assert store.put("a", b"1")
        time.sleep(10.5)  # one that was given out a moment ago would be refused again
        fake.tokens.clear()
        assert store.put("b", b"2") and store.get("b") == b"2"
        assert fake.count("/google/token") == 2


def test_google_refuses_a_wrong_key_in_words(gcs, fake, unique, tmp_path):
    bucket = gcs.make_bucket(unique("wrong"))
    env = google_env(fake, tmp_path, "service account")
    fake.service_account(tmp_path / "other.json")  # the server forgets the first one's key
    with pytest.raises(Failed) as failed:
        google_store(fake, gcs, tmp_path, bucket, env)
    said = f"{failed.value.message} {failed.value.detail}"
    assert failed.value.cls == 1 and "invalid_grant" in said and "PRIVATE" not in said
    refused(tmp_path, f"gs://{unique('none')}/p", gcs.env(), "no such bucket")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"type":"service_account"}', '{"type":"external_account"}',
                                  '{"type":"service_account","client_email":"x","private_key":"-----BEGIN PRIVATE KEY-----\\nplanted"}',
                                  '{"type":"service_account","client_email":"x","private_key":"x","token_uri":"http://elsewhere/"}'])
def test_google_damaged_key_files_are_refused_by_name(tmp_path, text):
    (tmp_path / "key.json").write_text(text)
    failed = refused(tmp_path, "gs://bucket/p", {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "key.json")}, "key.json")
    assert failed.cls == 1


def lose(path, what, times=1):
    """Trouble at the gate for the first requests to a path."""
    left = [times]

    def trouble(method, at, headers):
        if path(method, at, headers) and left[0] > 0:
            left[0] -= 1
            return what
        return None

    return trouble


@pytest.mark.parametrize("what", ["before", "after", 503])
def test_google_a_put_whose_answer_is_lost_is_settled_by_reading_back(gcs, fake, unique, tmp_path, what):
    bucket = gcs.make_bucket(unique("lost"))
    with google_store(fake, gcs, tmp_path, bucket, google_env(fake, tmp_path, "service account")) as store:
        fake.trouble = lose(lambda method, path, _: "uploadType=multipart" in path, what)
        assert store.put("m/1", b"ours", new=True) and store.get("m/1") == b"ours"
        assert not store.put("m/1", b"theirs", new=True)
        fake.trouble = lose(lambda method, path, _: "rewriteTo" in path, what)
        store.upload(0, "d/x")
        store.write(0, b"data")
        store.ask("prepare", 0)
        store.ask("publish", 0)
        store.ask("close", 0)
        assert store.get("d/x") == b"data"
    assert gcs.keys(bucket) == ["p/d/x", "p/m/1"]


@pytest.mark.parametrize("what", ["before", "after", "half", 503])
@pytest.mark.parametrize("piece", ["first", "middle", "last"])
def test_google_a_session_is_asked_how_much_it_has_when_an_answer_is_lost(gcs, fake, unique, tmp_path, piece, what):
    bucket = gcs.make_bucket(unique("session"))
    fake.sessions = {}
    begins = {"first": "bytes 0-", "middle": f"bytes {5 << 20}-", "last": f"bytes {15 << 20}-"}[piece]
    with google_store(fake, gcs, tmp_path, bucket, google_env(fake, tmp_path, "service account")) as store:
        fake.trouble = lose(lambda method, path, headers: (headers.get("Content-Range") or "").startswith(begins), what)
        store.upload(0, "d/x")
        store.write(0, BIG + b"tail")
        store.ask("prepare", 0)
        store.ask("publish", 0)
        store.ask("close", 0)
        assert store.get("d/x") == BIG + b"tail"
    asked = [headers["Content-Range"] for method, _, _, headers in fake.asked if "Content-Range" in headers]
    assert any(span.startswith("bytes */") for span in asked), asked
    assert gcs.keys(bucket) == ["p/d/x"]


# --- AWS ------------------------------------------------------------------------------------------


def aws_env(fake, tmp_path, how):
    return {
        "web identity": {"AWS_WEB_IDENTITY_TOKEN_FILE": federated(tmp_path), "AWS_ROLE_ARN": "arn:aws:iam::1:role/r",
                         "AWS_ENDPOINT_URL_STS": fake.url + "/sts"},
        "container": {"AWS_CONTAINER_CREDENTIALS_FULL_URI": fake.url + "/container/role",
                      "AWS_CONTAINER_AUTHORIZATION_TOKEN": SECRET},
        "instance": {"AWS_EC2_METADATA_SERVICE_ENDPOINT": fake.url},
    }[how]


def minio_keys(minio):
    """Keys for a while, as MinIO's STS gives them out."""
    import boto3

    sts = boto3.client("sts", endpoint_url=minio.endpoint, aws_access_key_id=minio.access_key,
                       aws_secret_access_key=minio.secret_key, region_name=minio.region)

    def make():
        keys = sts.assume_role(RoleArn="arn:aws:iam::1:role/r", RoleSessionName="weir", DurationSeconds=900)["Credentials"]
        return keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"]

    return make


@pytest.mark.parametrize("how", ["web identity", "container", "instance"])
def test_aws_roles_give_keys_that_are_refreshed_in_the_middle_of_an_upload(minio, fake, unique, tmp_path, how):
    bucket = minio.make_bucket(unique("role"))
    fake.aws_keys, fake.token_seconds = minio_keys(minio), 8
    env = {"AWS_REGION": minio.region, "AWS_ENDPOINT_URL_S3": minio.endpoint, **aws_env(fake, tmp_path, how)}
    with opened(tmp_path, f"s3://{bucket}/p", env) as store:
        works(store)
        before = len(fake.asked)
        write_slowly(store, 12)
        assert len(fake.asked) > before, "refreshed"
        logged = store.logged()
    assert SECRET not in logged and "federated-token" not in logged


@pytest.mark.parametrize("how", ["web identity", "container", "instance"])
def test_aws_roles_that_are_refused_say_so(minio, fake, unique, tmp_path, how):
    env = {"AWS_REGION": minio.region, "AWS_ENDPOINT_URL_S3": minio.endpoint, **aws_env(fake, tmp_path, how)}
    fake.refuse = (403, {"Code": "AccessDenied"})
    words = {"web identity": "web identity", "container": "container", "instance": "no role"}[how]
    refused(tmp_path, f"s3://{unique('none')}/p", env, words)
