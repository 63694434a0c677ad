"""Prepared uploads outlive their process: tickets, what an earlier run left, races; on every kind of store."""

import json
import threading

import pytest

from store.store_client import Failed, Store

BIG = bytes(range(256)) * (46 << 10)  # 11.5 MiB: three parts of 5 MiB


class Place:
    """Where a store lies: opens handles of it, each a process of its own."""

    def __init__(self, request, tmp_path, unique):
        self.tmp_path, self.opened, self.kind = tmp_path, [], request.param
        self.service = None if self.kind == "local" else request.getfixturevalue(self.kind)
        self.options = ["part_size=5MiB"]
        if self.service:
            scheme = {"azurite": "az", "gcs": "gs"}.get(self.kind, "s3")
            self.bucket = self.service.make_bucket(unique("ticket"))
            self.url, self.env = f"{scheme}://{self.bucket}/pre", self.service.env()
        else:
            self.url, self.env = str(tmp_path / "lake"), {}

    def open(self):
        directory = self.tmp_path / f"handle-{len(self.opened)}"
        directory.mkdir()
        self.opened.append(Store(directory, self.url, self.env, *self.options))
        return self.opened[-1]

    def unpublished(self):
        """Keys, with the prefix of the store, of what was begun and is neither published nor gone."""
        if self.kind == "azurite":
            return uncommitted(self.service, self.bucket)
        if self.kind == "gcs":
            return self.service.keys(self.bucket, "pre/_staging/")
        if self.service:
            return sorted(self.service.open_uploads(self.bucket))
        return sorted(str(path.relative_to(self.tmp_path)) for path in (self.tmp_path / "lake").rglob(".*.tmp"))

    def close(self):
        for store in self.opened:
            if not store.process.stdin.closed:
                store.close()


def uncommitted(azurite, bucket):
    """Blobs that are blocks only; those with a committed version are not among them."""
    container = azurite.client().get_container_client(bucket)
    committed = {blob.name for blob in container.list_blobs()}
    return sorted({blob.name for blob in container.list_blobs(include=["uncommittedblobs"])} - committed)


@pytest.fixture(params=["local", "minio", "versitygw", "azurite", "gcs"])
def place(request, tmp_path, unique):
    place = Place(request, tmp_path, unique)
    yield place
    place.close()


def prepare(store, key, data, slot=0):
    store.upload(slot, key)
    store.write(slot, data)
    store.ask("prepare", slot)
    return store.ticket(slot)


@pytest.mark.parametrize("data", [b"", b"small", BIG], ids=["empty", "small", "big"])
@pytest.mark.parametrize("ends", ["kept", "killed"])
def test_another_process_publishes_a_prepared_upload_once_or_twice(place, data, ends):
    first = place.open()
    ticket = prepare(first, "d/part-own1", data)
    assert json.loads(ticket)["key"] == "d/part-own1" and json.loads(ticket)["bytes"] == len(data)
    if ends == "kept":
        first.ask("keep", 0)
        first.close()
    else:
        first.process.kill()
        first.process.stdin.close()
    second = place.open()
    assert second.list() == [] and second.get("d/part-own1") is None
    assert second.ask("publish_ticket", ticket)[0]
    assert second.get("d/part-own1") == data
    assert second.ask("publish_ticket", ticket)[0]
    assert place.open().ask("publish_ticket", ticket)[0]
    assert second.get("d/part-own1") == data and place.unpublished() == []


def test_a_published_uploads_ticket_is_still_good(place):
    store = place.open()
    ticket = prepare(store, "d/x", b"data")
    store.ask("publish", 0)
    store.ask("close", 0)
    assert store.ask("publish_ticket", ticket)[0] and store.get("d/x") == b"data"


def test_a_ticket_without_its_upload_is_refused(place):
    store = place.open()
    ticket = prepare(store, "d/x", b"data")
    store.ask("close", 0)  # not kept: it is gone
    if place.kind == "azurite":  # ... after a week: another's, then
        ticket = json.dumps({**json.loads(ticket), "id": "0123456789abcdef" * 2})
    with pytest.raises(Failed) as failed:
        store.ask("publish_ticket", ticket)
    assert failed.value.cls == 4 and "d/x" in failed.value.message + failed.value.detail
    assert store.list() == []


@pytest.mark.parametrize("ticket", ["", "{}", "[]", '{"key":1}', '{"key":"x"}', '{"key":"../x","temporary":"../y"}',
                                    '{"key":"a/x","temporary":"b/.x.0123456789abcdef.tmp"}',
                                    '{"key":"x","upload_id":"u","put_id":"p","etags":["<"]}', "{" * 1000,
                                    '{"key":"x","id":"../../../../../../../../../../../../","pieces":1}',
                                    '{"key":"x","id":"0123456789abcdef0123456789abcdef","pieces":-1}',
                                    '{"key":"x","id":"0123456789abcdef0123456789abcdef","pieces":"1"}'])
def test_damaged_tickets_are_refused(place, ticket):
    store = place.open()
    store.put("b/y", b"1")
    with pytest.raises(Failed):
        store.ask("publish_ticket", ticket)
    assert [key for key, _ in store.list()] == ["b/y"]


def test_what_an_owner_left_is_abandoned_and_nobody_elses(place):
    first = place.open()
    for slot, key in enumerate(["t/a-own1", "t/x=1/b-own1", "t/x=1/c-own2", "u/d-own1", "t/named-own1"]):
        prepare(first, key, b"data", slot)
    begun = "t/begun-own1"
    first.upload(5, begun)
    first.write(5, BIG)  # not prepared
    named = first.ticket(4)
    first.process.kill()
    first.process.stdin.close()
    # Google shows no object of an upload that has not ended, Azure none before its first block is there.
    before = len(place.unpublished())
    assert before == 6 or (before == 5 and place.kind in ("gcs", "azurite"))
    second = place.open()
    second.put("t/whole-own1", b"1")
    assert second.ask("abandon", "t/", "own1", "named")[0]
    left = " ".join(place.unpublished())
    # Azure drops blocks by itself, after a week.
    assert len(place.unpublished()) == (before if place.kind == "azurite" else 3)
    assert "c-own2" in left and "d-own1" in left and "named-own1" in left
    assert second.ask("publish_ticket", named)[0]
    assert [key for key, _ in second.list()] == ["t/named-own1", "t/whole-own1"]
    assert second.ask("abandon", "", "own", "")[0]
    assert place.kind == "azurite" or place.unpublished() == []
    assert second.ask("abandon", "", "own", "")[0]


def test_ranges_are_parts_of_objects(place):
    store = place.open()
    store.put("x", b"0123456789")
    assert store.get_range("x", 0, 4) == b"0123" and store.get_range("x", 7, 2) == b"78"
    assert store.get_range("x", 7, 100) == b"789" and store.get_range("x", 7, 2**64 - 1) == b"789"
    assert store.get_range("x", 10, 5) == b"" and store.get_range("x", 1000, 5) == b""
    assert store.get_range("x", 3, 0) == b""
    assert store.get_range("none", 0, 1) is None
    store.put("empty", b"")
    assert store.get_range("empty", 0, 10) == b""


def test_of_racing_handles_one_puts_each_manifest(place):
    handles = [place.open() for _ in range(6)]
    wins = []

    def race(number, store):
        for round in range(20):
            if store.put(f"manifest/{round:020}.json", b"%d" % number, new=True):
                wins.append((round, number))

    threads = [threading.Thread(target=race, args=(i, store)) for i, store in enumerate(handles)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(round for round, _ in wins) == list(range(20))
    for round, number in wins:
        assert handles[0].get(f"manifest/{round:020}.json") == b"%d" % number
