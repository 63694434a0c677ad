"""Many uploads at once: begun together, then waited for; direct ones appear when they are prepared."""

import pytest

from store.store_client import Failed, Store
from store.test_tickets import place  # noqa: F401: the fixture

SIZES = [0, 10, 5 << 20, (5 << 20) + 1, 12 << 20, 3000, 1, 70000]  # parts are of 5 MiB


def data_of(slot):
    return bytes([65 + slot]) * SIZES[slot]


def write(store, direct):
    for slot in range(8):
        store.upload(slot, f"lake/day={slot % 3}/{slot}")
        if direct:
            store.ask("direct", slot)
        store.write(slot, data_of(slot))


def begin(store, direct):
    write(store, direct)
    for slot in range(8):
        store.ask("prepare_begin", slot)


def expect_all(store):
    assert store.list() == [(f"lake/day={slot % 3}/{slot}", SIZES[slot])
                            for slot in sorted(range(8), key=lambda slot: (slot % 3, slot))]
    for slot in range(8):
        assert store.get(f"lake/day={slot % 3}/{slot}") == data_of(slot)


@pytest.mark.parametrize("publish_begins", [True, False], ids=["published-together", "one-by-one"])
def test_uploads_are_prepared_and_published_together(place, publish_begins):  # noqa: F811
    store = place.open()
    begin(store, direct=False)
    for slot in reversed(range(8)):
        store.ask("prepare", slot)
        store.ask("prepare", slot)
    # Azure's blobs without any block are not there at all.
    assert store.list() == [] and len(place.unpublished()) in (7, 8)
    for slot in range(8 if publish_begins else 0):
        store.ask("publish_begin", slot)
    for slot in range(8):
        store.ask("publish", slot)
        store.ask("publish", slot)
    expect_all(store)
    store.close()
    assert place.unpublished() == []


def test_direct_uploads_appear_when_they_are_prepared(place):  # noqa: F811
    store = place.open()
    begin(store, direct=True)
    for slot in range(8):
        store.ask("prepare", slot)
    expect_all(store)
    store.close()
    assert place.unpublished() == []
    expect_all(place.open())


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "usual"])
def test_begun_uploads_that_are_closed_harm_nobody(place, direct):  # noqa: F811
    store = place.open()
    begin(store, direct)
    for slot in range(0, 8, 2):
        store.ask("close", slot)
    for slot in range(1, 8, 2):
        store.ask("prepare", slot)
        store.ask("publish", slot)
    for slot in range(1, 8, 2):
        assert store.get(f"lake/day={slot % 3}/{slot}") == data_of(slot)


def test_what_a_server_did_not_take_is_sent_again(minio, toxiproxy, tmp_path, unique):
    """The server is away when all is begun: prepare fails, and the same prepare succeeds later."""
    bucket, name = minio.make_bucket(unique("many")), unique("s3")
    listen = toxiproxy.add_proxy(name, f"127.0.0.1:{minio.port}")
    env = {**minio.env(), "AWS_ENDPOINT_URL_S3": f"http://{listen}"}
    with Store(tmp_path, f"s3://{bucket}/pre", env, "part_size=5MiB", "max_retries=1") as store:
        write(store, direct=True)
        toxiproxy.enable(name, False)
        for slot in range(8):
            store.ask("prepare_begin", slot)
        for slot in range(8):
            with pytest.raises(Failed) as failed:
                store.ask("prepare", slot)
            assert failed.value.cls == 3, failed.value
        toxiproxy.enable(name, True)
        for slot in range(8):
            store.ask("prepare", slot)
        expect_all(store)
