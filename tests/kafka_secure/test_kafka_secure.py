"""Kafka behind SASL, TLS and tokens, and Event Hubs as one such Kafka: each way in from both sides, each refusal with what to do,
and no secret in anything that weir says."""

import concurrent.futures
import json
import signal
import time

import pytest

from services.fake_cloud import SECRET, FakeCloud
from services.harness import Kafka, Weir, run_weir

KEY = "cGxhbnRlZC1ldmVudC1odWJzLWtleQ=="
CONNECTION = f"Endpoint=sb://localhost/;SharedAccessKeyName=weir;SharedAccessKey={KEY}"
NAMESPACE = "https://weir-test.servicebus.windows.net"
PASSWORD = "planted-kafka-password"
SECRETS = (KEY, PASSWORD, SECRET, "eyJ")  # the last: how tokens begin


@pytest.fixture(scope="module")
def cloud():
    with FakeCloud() as fake:
        fake.jwks = fake.signs()
        yield fake


@pytest.fixture(scope="module")
def broker(cloud):
    with Kafka(secure=True, KAFKA_PASSWORD=PASSWORD, KAFKA_JWKS_URL=cloud.jwks, KAFKA_CONNECTION_STRING=CONNECTION,
               KAFKA_AUDIENCE=f"weir-kafka,{NAMESPACE}") as kafka:
        yield kafka


def text_of(options):
    return ", ".join(f"{name if '.' not in name else chr(39) + name + chr(39)} = '{value}'" for name, value in options.items())


def source(options, **more):
    return f"CREATE SOURCE events (n BIGINT) WITH (format = 'json', {text_of({**options, **more})});\n"


def sink(options, select="SELECT n FROM events", **more):
    return f"CREATE SINK out WITH ({text_of({**options, **more})}) AS {select};\n"


def user(mechanism, brokers, **more):
    return {"connector": "kafka", "brokers": brokers, "sasl_mechanism": mechanism, "sasl_username": "weir",
            "sasl_password": PASSWORD, **more}


def ways(broker, cloud):
    """By name: the options of each way in."""
    ca = {"ssl_ca_location": broker.certs / "ca.crt"}
    return {
        "plain": user("PLAIN", broker.sasl_brokers, security_protocol="SASL_PLAINTEXT"),
        "plain over tls": user("PLAIN", broker.sasl_tls_brokers, **ca),
        "scram-sha-256": user("SCRAM-SHA-256", broker.sasl_tls_brokers, **ca),
        "scram-sha-512": user("SCRAM-SHA-512", broker.sasl_tls_brokers, **ca),
        "oauthbearer": {"connector": "kafka", "brokers": broker.oauth_brokers, "sasl_mechanism": "OAUTHBEARER",
                        "sasl_oauthbearer_token_endpoint_url": cloud.url + "/oidc/token", "sasl_oauthbearer_client_id": "weir",
                        "sasl_oauthbearer_client_secret": SECRET, "sasl_oauthbearer_scope": "kafka", **ca},
        "mutual tls": {"connector": "kafka", "brokers": broker.mtls_brokers, "ssl_certificate_location": broker.certs / "client.crt",
                       "ssl_key_location": broker.certs / "client.key", **ca},
        "properties of librdkafka": {
            "connector": "kafka", "brokers": broker.sasl_tls_brokers, "kafka.security.protocol": "SASL_SSL",
            "kafka.sasl.mechanism": "SCRAM-SHA-512", "kafka.sasl.username": "weir", "kafka.sasl.password": PASSWORD,
            "kafka.ssl.ca.location": broker.certs / "ca.crt"},
    }


ALL = ("plain", "plain over tls", "scram-sha-256", "scram-sha-512", "oauthbearer", "mutual tls", "properties of librdkafka")
ONCE = ("oauthbearer", "scram-sha-512", "mutual tls")


def check_silence(*texts):
    for text in texts:
        for secret in SECRETS:
            assert secret not in text, f"a secret is told: ...{text[max(0, text.find(secret) - 300):text.find(secret) + 60]}"


@pytest.fixture
def pipeline(tmp_path):
    def write(*parts):
        path = tmp_path / "p.sql"
        path.write_text("".join(parts))
        return path
    return write


def test_each_way_in_from_both_sides(broker, cloud, unique, tmp_path):
    topics = {way: (broker.create_topic(unique("in"), partitions=2), broker.create_topic(unique("out"))) for way in ALL}

    def goes(way):
        topic, out = topics[way]
        broker.produce(topic, [{"n": i} for i in range(200)])
        options, debug = ways(broker, cloud)[way], {"kafka.debug": "all"}
        once = {"guarantee": "exactly_once"} if way in ONCE else {}
        sql, state = tmp_path / f"{way}.sql", tmp_path / way
        sql.write_text(source(options, topic=topic, **debug) + sink(options, topic=out, **once, **debug))
        said = [run_weir("run", sql, "--bounded", "--log-level", "debug", "--state", state, code=0)]
        assert sorted(row["n"] for row in broker.read_json(out)) == list(range(200)), way
        if once:  # recovery asks for what was committed
            broker.produce(topic, [{"n": i} for i in range(200, 250)])
            said.append(run_weir("run", sql, "--bounded", "--quiet", "--state", state, code=0))
            assert sorted(row["n"] for row in broker.read_json(out)) == list(range(250)), way
        said.append(run_weir("explain", sql, code=0))
        check_silence(*(text for result in said for text in (result.stdout, result.stderr)))
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        list(pool.map(goes, ALL))


# What is wrong, over which way; where the error has to lead.
REFUSALS = {
    "another authority": ("plain over tls", {"ssl_ca_location": "other-ca.crt"}, "ssl_ca_location"),
    "no authority": ("scram-sha-512", {"ssl_ca_location": None}, "ssl_ca_location"),
    "a missing file": ("scram-sha-512", {"ssl_ca_location": "no-such.crt"}, "ssl_ca_location"),
    "a wrong password": ("plain", {"sasl_password": PASSWORD + "-not"}, "sasl_password"),
    "a wrong scram password": ("scram-sha-256", {"sasl_password": PASSWORD + "-not"}, "sasl_password"),
    "a wrong client secret": ("oauthbearer", {"sasl_oauthbearer_client_secret": SECRET + "-not"}, "sasl_oauthbearer_client_secret"),
    "no certificate": ("mutual tls", {"ssl_certificate_location": None, "ssl_key_location": None}, "ssl_certificate_location"),
    "no tls": ("plain over tls", {"security_protocol": "sasl_plaintext", "ssl_ca_location": None}, "security_protocol"),
}


@pytest.mark.parametrize("side", ["source", "sink"])
def test_refusals_say_what_to_do(broker, cloud, unique, tmp_path, side):
    topic = broker.create_topic(unique("in"))

    def refused(wrong):
        way, changes, hint = REFUSALS[wrong]
        right = ways(broker, cloud)[way]
        options = {name: value for name, value in {**right, **changes}.items() if value is not None}
        if "ssl_ca_location" in changes and "ssl_ca_location" in options:
            options["ssl_ca_location"] = broker.certs / options["ssl_ca_location"]
        sql = tmp_path / f"{wrong}.sql"
        sql.write_text(source(options, topic=topic) + "CREATE SINK out WITH (connector='blackhole') AS SELECT n FROM events;"
                       if side == "source" else source(right, topic=topic) + sink(options, topic=topic))
        result = run_weir("run", sql, "--quiet", "--bounded", "--log-level", "debug", "--state", "none")
        error = result.stderr[result.stderr.rfind("\nweir: "):]
        assert result.code in (1, 2) and hint in error and "hint:" in error, (wrong, result)
        check_silence(result.stdout, result.stderr)
    with concurrent.futures.ThreadPoolExecutor(len(REFUSALS)) as pool:  # they mostly wait
        list(pool.map(refused, REFUSALS))


# --- Event Hubs -----------------------------------------------------------------------------------


def hubs(broker, **more):
    return {"connector": "eventhubs", "brokers": broker.sasl_tls_brokers, "kafka.ssl.ca.location": broker.certs / "ca.crt", **more}


def entra(broker, **more):
    return hubs(broker, **{"namespace": "weir-test", "brokers": broker.oauth_brokers, **more})


def test_dead_letters_come_back_from_secured_topics(broker, cloud, unique, tmp_path):
    def goes(by):
        topic, bad, out = (broker.create_topic(unique(stem)) for stem in ("in", "bad", "out"))
        broker.produce(topic, [b'{"n": 1}', b'{"n": "x"}', b'{"n": 3}'])
        options = ways(broker, cloud)["oauthbearer"] if by == "kafka" else hubs(broker)
        where = "topic" if by == "kafka" else "hub"
        sql, state, env = tmp_path / f"{by}.sql", tmp_path / by, {"EVENTHUBS_CONNECTION_STRING": CONNECTION}
        sql.write_text(source(options, on_error="bad", **{where: topic}) + sink(options, **{where: out}) +
                       f"CREATE SINK bad WITH ({text_of({**options, where: bad})});")
        said = [run_weir("run", sql, "--quiet", "--bounded", "--state", state, env=env, code=0),
                run_weir("dlq", "list", sql, "--state", state, env=env, code=0),
                run_weir("dlq", "show", sql, "--state", state, env=env, code=0)]
        assert "1 can be replayed" in said[1].stdout and "x" in said[2].stdout and topic in said[2].stdout, by
        sql.write_text(sql.read_text().replace("n BIGINT", "n TEXT"))
        said.append(run_weir("dlq", "replay", sql, "--state", state, env=env, code=0))
        assert sorted(str(row["n"]) for row in broker.read_json(out)) == ["1", "3", "x"], by
        check_silence(*(text for one in said for text in (one.stdout, one.stderr)))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(goes, ["kafka", "eventhubs"]))


def test_event_hubs_in_and_out(broker, cloud, unique, tmp_path):
    def goes(by):
        hub, out = broker.create_topic(unique("hub"), partitions=3), broker.create_topic(unique("out"))
        broker.produce(hub, [{"n": i} for i in range(300)])
        group, debug = unique("group"), {"kafka.debug": "all"}
        env = cloud.entra_env() if by == "entra" else {"PLANTED": CONNECTION}
        options = entra(broker) if by == "entra" else hubs(broker)
        if by == "environment":  # of another hub: that part is not sent
            env["EVENTHUBS_CONNECTION_STRING"] = f"{CONNECTION};EntityPath=another"
        elif by == "option":
            options["connection_string"] = "${PLANTED}"
        sql = tmp_path / f"{by}.sql"
        sql.write_text(source(options, consumer_group=group, hub=hub, **debug) + sink(options, hub=out, key="n", **debug))
        result = run_weir("run", sql, "--bounded", "--log-level", "debug", "--state", "none", env=env, code=0)
        assert sorted(row["n"] for row in broker.read_json(out)) == list(range(300)), by
        assert sum(broker.committed(group, hub).values()) == 300, by
        assert {message.key() for message in broker.read_all(out)} == {str(i).encode() for i in range(300)}
        said = [result, run_weir("explain", sql, env=env, code=0), run_weir("check", sql, env=env, code=0)]
        check_silence(*(text for one in said for text in (one.stdout, one.stderr)))
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        list(pool.map(goes, ["environment", "option", "entra"]))


def test_event_hubs_refuse(broker, cloud, unique, tmp_path):
    hub = broker.create_topic(unique("hub"))
    bad_key = KEY[::-1]

    def refused(wrong, hint):
        env = {"EVENTHUBS_CONNECTION_STRING": CONNECTION.replace(KEY, bad_key) if wrong == "key" else CONNECTION}
        options = hubs(broker)
        if wrong == "authority":
            options["kafka.ssl.ca.location"] = broker.certs / "other-ca.crt"
        elif wrong == "secret":
            options, env = entra(broker), cloud.entra_env(AZURE_CLIENT_SECRET=SECRET + "-not")
        sql = tmp_path / f"{wrong}.sql"
        sql.write_text(source(options, hub=hub) + "CREATE SINK out WITH (connector='blackhole') AS SELECT n FROM events;")
        result = run_weir("run", sql, "--quiet", "--bounded", "--log-level", "debug", "--state", "none", env=env)
        assert result.code == 1 and hint in result.stderr[result.stderr.rfind("\nweir: "):], result
        check_silence(result.stderr, result.stdout)
        assert bad_key not in result.stderr
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        list(pool.map(refused, ["key", "authority", "secret"], ["key", "kafka.ssl.ca.location", "AZURE_CLIENT_ID"]))


def test_tokens_are_renewed_while_it_runs(broker, cloud, unique, pipeline):
    """Tokens of 12 s: the brokers end a connection whose token is over, and librdkafka signs in anew before."""
    hub, out = broker.create_topic(unique("hub")), broker.create_topic(unique("out"))
    sql = pipeline(source(entra(broker), hub=hub), sink(entra(broker), hub=out))
    cloud.token_seconds = 12
    asked = cloud.count("/tenant/")
    try:
        with Weir("run", sql, "--quiet", "--state", "none", env=cloud.entra_env()) as weir:
            for i in range(7):
                broker.produce(hub, [{"n": i}])
                weir.wait_for(lambda i=i: len(broker.read_json(out)) > i, f"row {i}", seconds=10)
                time.sleep(2.2)
            weir.signal(signal.SIGTERM)
            assert weir.wait() == 0
            assert "warning" not in weir.stderr() and "error" not in weir.stderr(), weir.stderr()
    finally:
        cloud.token_seconds = 3600
    assert [row["n"] for row in broker.read_json(out)] == list(range(7))
    assert cloud.count("/tenant/") - asked >= 4  # two clients, twice at least
    assert json.dumps([claims[2].get("scope") for claims in cloud.asked if claims[1].startswith("/tenant/")]).count(NAMESPACE) >= 4
