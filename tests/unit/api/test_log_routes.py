"""``/v1``: the topics, records and groups of a real log."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from api.app import create_app
from api.records import read_page
from api.services import Services
from connect.runtime.herder import Herder
from log_core import Append, Log
from log_core.records import encode
from tests.unit.api.fake_herder import FakeHerder
from tests.unit.api.serving import Caller, serving


def put(log: Log, topic: str, partition: int, *values: bytes | None, key: Any = None) -> None:
    count = len(values)
    keys = [key] * count
    log.append([Append(topic, partition, encode(keys, list(values), [1000] * count))])


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with Log(tmp_path / "data") as log:
        log.create_topic("t", 2)
        log.create_topic("connect-configs", 1, {"cleanup.policy": "compact"})
        yield log


@pytest.fixture
def call(log: Log) -> Iterator[Caller]:
    services = Services(cast(Herder, FakeHerder()), log, lambda: b"")
    with serving(create_app(services)) as caller:
        yield caller


def offsets(reply: Any) -> list[tuple[int, int]]:
    return [(r["partition"], r["offset"]) for r in reply.json["records"]]


def test_topics(call: Caller, log: Log) -> None:
    put(log, "t", 1, b"1", b"2")
    (topic,) = call("GET", "/v1/topics").json
    assert (topic["name"], topic["internal"], topic["config"]) == ("t", False, {})
    first, second = topic["partitions"]
    assert first == {"partition": 0, "start_offset": 0, "end_offset": 0, "size_bytes": 0}
    assert (second["end_offset"], second["size_bytes"] > 60) == (2, True)
    names = [t["name"] for t in call("GET", "/v1/topics?internal=true").json]
    assert names == ["connect-configs", "t"]
    assert call("GET", "/v1/topics/connect-configs").json["internal"] is True
    assert call("GET", "/v1/topics/x").message == "Topic x not found"


def test_pages_follow_each_other(call: Caller, log: Log) -> None:
    put(log, "t", 0, *(str(n).encode() for n in range(5)))
    put(log, "t", 1, b"5", b"6")
    page = call("GET", "/v1/topics/t/records?limit=3")
    assert offsets(page) == [(0, 0), (0, 1), (0, 2)]
    assert page.json["next"] == {"0": 3, "1": 0}
    page = call("GET", "/v1/topics/t/records?limit=3&positions=0:3,1:0")
    assert offsets(page) == [(0, 3), (0, 4), (1, 0)]
    page = call("GET", "/v1/topics/t/records?positions=0:5,1:1")
    assert offsets(page) == [(1, 1)]
    assert page.json["next"] == {"0": 5, "1": 2}
    assert offsets(call("GET", "/v1/topics/t/records?positions=0:5,1:2")) == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("from=beginning", [(0, 0), (0, 1), (0, 2), (1, 0)]),
        ("from=-2", [(0, 1), (0, 2), (1, 0)]),
        ("from=-99", [(0, 0), (0, 1), (0, 2), (1, 0)]),
        ("from=2", [(0, 2)]),
        ("from=end", []),
        ("from=@0", [(0, 0), (0, 1), (0, 2), (1, 0)]),
        ("from=@9999999999999", []),
        ("from=1&partition=0", [(0, 1), (0, 2)]),
    ],
)
def test_where_to_begin(call: Caller, log: Log, query: str, expected: list[Any]) -> None:
    put(log, "t", 0, b"0", b"1", b"2")
    put(log, "t", 1, b"3")
    assert offsets(call("GET", f"/v1/topics/t/records?{query}")) == expected


@pytest.mark.parametrize(
    "query",
    [
        "from=x", "from=@x", "from=--1", "from=1e3", "limit=0", "limit=x", "limit=99999", "wait=99",
        "partition=2", "partition=-1", "positions=0", "positions=0:x", "positions=9:1",
        "positions=", "wait=nan", "from=" + "9" * 5000,
    ],
)  # fmt: skip
def test_bad_parameters(call: Caller, query: str) -> None:
    reply = call("GET", f"/v1/topics/t/records?{query}")
    assert reply.status == 400, reply
    assert reply.message


def test_a_deleted_position_is_an_error(call: Caller, log: Log) -> None:
    reply = call("GET", "/v1/topics/t/records?positions=0:7")
    assert (reply.status, reply.json["code"]) == (416, "log.offset_out_of_range")


def test_payloads(call: Caller, log: Log) -> None:
    values = [
        b'{"price": 1.10,\n "big": 123456789012345678901234567890}',
        b"plain text",
        b"\xff\x00",
        None,
        b'"quoted"',
        b"12",
        b"NaN",
        b"",
        "ü{".encode(),
    ]
    headers = [(("h", b"1"), ("h", None), ("raw", b"\xfe"))] * len(values)
    batch = encode([b"k"] * len(values), values, [5] * len(values), headers)
    log.append([Append("t", 0, batch)])
    reply = call("GET", "/v1/topics/t/records")
    records = reply.json["records"]
    assert [r["value"] for r in records[1:]] == [
        "plain text", {"$base64": "/wA="}, None, "quoted", 12, "NaN", "", "ü{",
    ]  # fmt: skip
    assert b'"value":{"price": 1.10,  "big": 123456789012345678901234567890}' in reply.raw
    assert records[0]["headers"] == [["h", 1], ["h", None], ["raw", {"$base64": "/g=="}]]
    assert (records[0]["key"], records[0]["timestamp"]) == ("k", 5)
    assert len(reply.raw.splitlines()) == 1 + len(values) + 1


def test_waiting_for_a_record(call: Caller, log: Log) -> None:
    replies: list[Any] = []

    def ask() -> None:
        replies.append(call("GET", "/v1/topics/t/records?from=end&wait=30"))

    reader = threading.Thread(target=ask)
    reader.start()
    while reader.is_alive() and not replies:  # whenever the reader begins, a record comes after it
        put(log, "t", 1, b"1")
        reader.join(timeout=0.05)
    reader.join()
    assert len(replies[0].json["records"]) >= 1


def test_nobody_waits_for_a_server_that_stops(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "wait", lambda *_: pytest.fail("it waits"))
    page = read_page(log, "t", {0: 0}, 10, 30.0, stopping=lambda: True)
    assert (page.lines, page.next) == ([], {0: 0})


def test_many_who_wait_do_not_stop_the_others(call: Caller, log: Log) -> None:
    readers = [
        threading.Thread(target=call, args=("GET", "/v1/topics/t/records?from=end&wait=30"))
        for _ in range(60)
    ]
    for reader in readers:
        reader.start()
    assert call("GET", "/connectors").status == 200
    while any(reader.is_alive() for reader in readers):
        put(log, "t", 0, b"1")
        for reader in readers:
            reader.join(timeout=0.01)


def test_compacted_gaps_are_passed(call: Caller, log: Log) -> None:
    log.create_topic("c", 1, {"cleanup.policy": "compact", "segment.bytes": "1024"})
    for n in range(200):
        put(log, "c", 0, str(n).encode(), key=b"same")
    log.clean(10**10)
    found, positions = [], "0:0"
    for _ in range(300):
        page = call("GET", f"/v1/topics/c/records?positions={positions}&limit=7").json
        found += [r["value"] for r in page["records"]]
        if not page["records"]:
            break
        positions = f"0:{page['next']['0']}"
    assert len(found) < 200
    assert found[-1] == 199
    assert page["next"] == {"0": 200}


def test_groups(call: Caller, log: Log) -> None:
    put(log, "t", 0, b"1", b"2", b"3")
    log.append([], group=("connect-s", {("t", 0): 1}))
    assert call("GET", "/v1/groups").json == [
        {"group": "connect-s", "topic": "t", "partition": 0, "offset": 1, "end_offset": 3, "lag": 2}
    ]


def test_a_closed_log_is_said(call: Caller, log: Log) -> None:
    log.close()
    reply = call("GET", "/v1/topics/t/records")
    assert (reply.status, reply.json["code"]) == (503, "log.unavailable")
