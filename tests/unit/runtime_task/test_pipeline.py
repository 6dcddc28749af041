"""The pipeline: order, partitions, tolerance, dead letters, runs of schemas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from connect.data import Batch, Constant, Plain, Struct
from connect.errors import ConfigError, DecodeError, RecordError, SchemaMismatch
from connect.log import Records, TopicPartition
from connect.runtime.building import build_chain, build_sink, build_source
from connect.runtime.chain import Chain, Step, Tolerance
from connect.runtime.partitioner import murmur2
from connect.runtime.pipeline import Converters, SinkPipeline, SourcePipeline
from connect.transform import Predicate, Transform
from tests.kit.fakes import FAKE_PLUGINS  # noqa: F401  puts the fakes on the path

ALL = Tolerance(True)
IN = TopicPartition("in", 2)


class Function(Transform):
    """A transform of a plain function."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def apply(self, batch: Batch) -> Iterable[Batch]:
        return self.function(batch)  # type: ignore[no-any-return]


class Odd(Predicate):
    """True for odd ids."""

    def __init__(self, config: Any = None) -> None:
        pass

    def test(self, batch: Batch) -> Sequence[bool]:
        assert isinstance(batch.keys, Struct)
        return [number % 2 == 1 for number in batch.keys["id"]]  # type: ignore[union-attr]


def batch(ids: Sequence[int], topic: str = "t", positions: Sequence[int] | None = None) -> Batch:
    from tailrace_fakes import numbered

    made = numbered(topic, 0, max(ids) + 1).take(list(ids))
    return replace(made, positions=list(positions if positions is not None else ids))


def converters(key: Any = None, value: Any = None) -> Converters:
    from tailrace_fakes import ReprConverter

    return Converters(key or ReprConverter(is_key=True), value or ReprConverter())


def source(
    *steps: Step,
    tolerance: Tolerance = ALL,
    pair: Converters | None = None,
    partitions: Mapping[str, int] | None = None,
) -> SourcePipeline:
    return SourcePipeline(
        Chain(steps, tolerance), pair or converters(), tolerance, partitions=partitions or {}
    )


def sink(
    *steps: Step, tolerance: Tolerance = ALL, headers: bool = True, pair: Converters | None = None
) -> SinkPipeline:
    return SinkPipeline(
        Chain(steps, tolerance),
        pair or converters(),
        tolerance,
        dead_letter_topic="dead",
        context_headers=headers,
        connector="c",
        task=3,
        clean=lambda text: text.replace("secret", "***"),
    )


def ids(payloads: Sequence[bytes | None]) -> list[int]:
    return [eval(payload)[0] for payload in payloads if payload is not None]


def fetched(*numbers: int, first: int = 100) -> Records:
    keys = [repr((n,)).encode() for n in numbers]
    values = [repr((n, f"name {n}", "c")).encode() for n in numbers]
    offsets = list(range(first, first + len(numbers)))
    return Records(IN, keys, values, [7] * len(numbers), None, offsets)


# -- source --------------------------------------------------------------------------------------


def test_batches_that_meet_in_one_partition_are_merged_in_the_order_of_the_source() -> None:
    parts = [
        batch(range(4), positions=[0, 3, 6, 7]),
        batch(range(10, 12), positions=[1, 4]),
        batch(range(20, 22), positions=[2, 5]),
        batch(range(30, 31), "other", positions=[8]),
    ]
    first, second = source().encode(parts).records
    assert ids(first.keys) == [0, 10, 20, 1, 11, 21, 2, 3]
    assert ids(first.values) == ids(first.keys)
    assert [t - 1_700_000_000_000 for t in first.timestamps] == ids(first.keys)
    assert (second.partition, ids(second.keys)) == (TopicPartition("other", 0), [30])


def test_a_transform_that_routes_two_tables_into_one_topic_keeps_their_order() -> None:
    into_one = Step(Function(lambda rows: [replace(rows, topic="one")]))
    parts = [batch([1, 3, 5], "a", [1, 3, 5]), batch([0, 2, 4], "b", [0, 2, 4])]
    [records] = source(into_one).encode(parts).records
    assert (records.partition.topic, ids(records.keys)) == ("one", [0, 1, 2, 3, 4, 5])


def test_a_predicate_leaves_the_other_rows_alone_and_the_order_as_it_was() -> None:
    def shout(rows: Batch) -> list[Batch]:
        assert isinstance(rows.values, Struct)
        names = [name.upper() for name in rows.values["name"]]  # type: ignore[union-attr]
        return [replace(rows, values=rows.values.with_column("name", names))]

    for negate in (False, True):
        step = Step(Function(shout), Odd(), negate)
        [records] = source(step).encode([batch(range(6))]).records
        names = [eval(value)[1] for value in records.values if value]
        loud = [name.isupper() for name in names]
        assert loud == [(n % 2 == 1) is not negate for n in range(6)]


def test_headers_meet_rows_without_headers() -> None:
    plain = batch([0, 2], positions=[0, 2])
    marked = replace(batch([1], positions=[1]), headers=Constant((("h", b"1"),), 1))
    [records] = source().encode([plain, marked]).records
    assert records.headers is not None
    assert list(records.headers) == [(), (("h", b"1"),), ()]


def test_keys_are_dealt_as_kafka_deals_them() -> None:
    records = source(partitions={"t": 3}).encode([batch(range(50))]).records
    assert [r.partition.partition for r in records] == [0, 1, 2]
    for each in records:
        for key in each.keys:
            assert key is not None
            assert (murmur2(key) & 0x7FFFFFFF) % 3 == each.partition.partition
        assert ids(each.keys) == sorted(ids(each.keys))
        assert ids(each.keys) == ids(each.values)
    assert sorted(n for each in records for n in ids(each.keys)) == list(range(50))


def test_rows_without_a_key_share_a_partition_and_the_next_poll_takes_the_next() -> None:
    pipeline = source(partitions={"t": 3})
    keyless = replace(batch(range(5)), keys=None)
    used = [[r.partition.partition for r in pipeline.encode([keyless]).records] for _ in range(4)]
    assert all(len(each) == 1 for each in used)
    assert len({each[0] for each in used}) == 3


def test_a_source_may_choose_the_partition() -> None:
    chosen = replace(batch([1, 2]), partition=2)
    [records] = source(partitions={"t": 3}).encode([chosen]).records
    assert records.partition == TopicPartition("t", 2)


def test_tombstones_and_empty_batches() -> None:
    tombstones = replace(batch([1, 2]), values=None)
    none = batch([1]).take([])
    [records] = source().encode([none, tombstones]).records
    assert list(records.values) == [None, None]
    assert source().encode([none]).records == []


def refuse(*bad: int) -> Step:
    """A transform that refuses ids."""

    def check(rows: Batch) -> list[Batch]:
        assert isinstance(rows.keys, Struct)
        numbers = list(rows.keys["id"])  # type: ignore[arg-type]
        named = {row: f"id {number}" for row, number in enumerate(numbers) if number in bad}
        if named:
            raise RecordError("refused", named, code="test.refused")
        return [rows]

    return Step(Function(check))


class Picky:
    """A converter that refuses ids, one by one."""

    def __init__(self, *bad: int, is_key: bool = False) -> None:
        from tailrace_fakes import ReprConverter

        self.bad = bad
        self.inner = ReprConverter(is_key=is_key)

    def encode(self, topic: str, data: Struct | Plain) -> list[bytes | None]:
        for row, values in enumerate(data.rows()):
            if values[0] in self.bad:
                raise SchemaMismatch("does not fit", {row: "bad"})
        return self.inner.encode(topic, data)

    def decode(self, topic: str, payloads: Sequence[bytes | None]) -> Any:
        for row, payload in enumerate(payloads):
            if payload and eval(payload)[0] in self.bad:
                raise DecodeError("can't be read", {row: "bad"})
        return self.inner.decode(topic, payloads)


def test_exactly_the_named_rows_are_left_out_at_every_stage() -> None:
    pair = converters(Picky(2, 3, is_key=True), Picky(5, 0))
    records, rejected = source(refuse(7, 9), pair=pair).encode([batch(range(10))])
    assert ids(records[0].keys) == ids(records[0].values) == [1, 4, 6, 8]
    assert [(r.position, r.stage) for r in sorted(rejected, key=lambda r: r.position)] == [
        (0, "VALUE_CONVERTER"), (2, "KEY_CONVERTER"), (3, "KEY_CONVERTER"),
        (5, "VALUE_CONVERTER"), (7, "TRANSFORMATION"), (9, "TRANSFORMATION"),
    ]  # fmt: skip


def test_without_tolerance_the_first_bad_row_fails_and_is_named() -> None:
    with pytest.raises(RecordError) as caught:
        source(refuse(2, 4), tolerance=Tolerance()).encode([batch(range(5))])
    assert caught.value.code == "test.refused"
    assert "TRANSFORMATION failed for topic t, row 2 of the poll: id 2 (2 of 5" in str(caught.value)
    with pytest.raises(RecordError, match="topic in, partition 2, offset 102: bad"):
        sink(tolerance=Tolerance(), pair=converters(value=Picky(2))).decode(fetched(0, 1, 2))


@pytest.mark.parametrize("error", [ValueError("a bug"), ConfigError("k", "bad"), OSError()])
def test_only_errors_of_records_are_tolerated(error: Exception) -> None:
    def fail(rows: Batch) -> list[Batch]:
        raise error

    with pytest.raises(type(error)):
        source(Step(Function(fail))).encode([batch([1])])
    with pytest.raises(type(error)):
        sink(Step(Function(fail))).decode(fetched(1))


def test_an_error_that_names_no_row_is_not_tolerated() -> None:
    def fail(rows: Batch) -> list[Batch]:
        raise RecordError("something", {})

    with pytest.raises(RecordError):
        source(Step(Function(fail))).encode([batch([1])])


# -- sink ----------------------------------------------------------------------------------------


def test_fetched_records_become_a_batch_with_their_offsets() -> None:
    [found], rejected = sink().decode(fetched(4, 5, 6))
    assert rejected == []
    assert (found.topic, found.partition, list(found.positions)) == ("in", 2, [100, 101, 102])
    assert isinstance(found.values, Struct)
    assert list(found.values["id"]) == [4, 5, 6]  # type: ignore[arg-type]


def test_columns_of_nothing_but_nulls_need_no_schema() -> None:
    records = fetched(1, 2)._replace(keys=[None, None], values=[None, None])
    [found], _ = sink().decode(records)
    assert found.keys is None
    assert found.values is None
    mixed = fetched(1, 2)._replace(values=[None, fetched(1, 2).values[1]])
    [found], _ = sink().decode(mixed)
    assert isinstance(found.values, Struct)
    assert next(iter(found.values.rows())) is None


def test_what_a_predicate_splits_comes_back_in_the_order_of_the_offsets() -> None:
    same = Step(Function(lambda rows: [rows]), Odd())
    batches, _ = sink(same).decode(fetched(*range(6)))
    assert [list(b.positions) for b in batches] == [[100, 101, 102, 103, 104, 105]]
    routed = Step(Function(lambda rows: [replace(rows, topic="odd")]), Odd())
    batches, _ = sink(routed).decode(fetched(0, 2, 1, 3, 4, 5))
    assert [(b.topic, list(b.positions)) for b in batches] == [
        ("in", [100, 101]), ("odd", [102, 103]), ("in", [104]), ("odd", [105]),
    ]  # fmt: skip


def test_rejected_records_become_dead_letters_with_their_own_bytes() -> None:
    records = fetched(0, 1, 2, 3)._replace(headers=[(("mine", b"x"),), (), (), ()])
    pipeline = sink(refuse(3), pair=converters(value=Picky(0)))
    batches, rejected = pipeline.decode(records)
    assert [list(b.positions) for b in batches] == [[101, 102]]
    [letters] = pipeline.dead_letters(records, rejected)
    assert letters.partition == TopicPartition("dead", 0)
    assert letters.keys == [records.keys[0], records.keys[3]]
    assert letters.values == [records.values[0], records.values[3]]
    assert letters.headers is not None
    assert letters.headers[0][0] == ("mine", b"x")
    headers = {name.removeprefix("__connect.errors."): value for name, value in letters.headers[1]}
    stacktrace = headers.pop("exception.stacktrace")
    assert stacktrace is not None
    assert b"RecordError" in stacktrace
    assert headers == {
        "topic": b"in",
        "partition": b"2",
        "offset": b"103",
        "connector.name": b"c",
        "task.id": b"3",
        "stage": b"TRANSFORMATION",
        "class.name": f"{__name__}.Function".encode(),
        "exception.class.name": b"connect.errors.RecordError",
        "exception.message": b"id 3",
    }
    assert list(headers)[:3] == ["topic", "partition", "offset"]


def test_dead_letters_without_context_headers() -> None:
    pipeline = sink(refuse(1), headers=False)
    records = fetched(1)
    [letters] = pipeline.dead_letters(records, pipeline.decode(records).rejected)
    assert letters.headers == [()]


def test_a_batch_comes_again_without_the_rows_a_sink_refused() -> None:
    class Refusing:
        def __init__(self) -> None:
            self.seen: list[list[int]] = []

        def put(self, rows: Batch) -> None:
            self.seen.append(list(rows.positions))
            bad = {row: "no" for row, p in enumerate(rows.positions) if p in (101, 103)}
            if bad:
                raise RecordError("refused", {min(bad): "no"})

    task = Refusing()
    pipeline = sink()
    [rows], _ = pipeline.decode(fetched(0, 1, 2, 3))
    rejected = pipeline.put(task, rows)  # type: ignore[arg-type]
    assert task.seen == [[100, 101, 102, 103], [100, 102, 103], [100, 102]]
    assert [(r.position, r.stage) for r in rejected] == [(101, "TASK_PUT"), (103, "TASK_PUT")]
    with pytest.raises(RecordError, match="offset 101"):
        sink(tolerance=Tolerance()).put(Refusing(), rows)  # type: ignore[arg-type]


# -- building ------------------------------------------------------------------------------------

REPR = {"key.converter": "repr", "value.converter": "repr"}


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"transforms": "a"}, "transforms.a.type"),
        ({"transforms": "a", "transforms.a.type": "nothing"}, "transforms.a.type"),
        ({"transforms": "a,a", "transforms.a.type": "filter"}, "transforms"),
        (
            {"transforms": "a", "transforms.a.type": "filter", "transforms.a.predicate": "p"},
            "transforms.a.predicate",
        ),
        (
            {"transforms": "a", "transforms.a.type": "filter", "transforms.a.negate": "true"},
            "transforms.a.negate",
        ),
        (
            {"transforms": "a", "transforms.a.type": "filter", "transforms.a.negate": "yes"},
            "transforms.a.negate",
        ),
        (
            {"transforms": "a", "transforms.a.type": "filter", "transforms.a.plugin.version": "1"},
            "transforms.a.plugin.version",
        ),
        ({"predicates": "p", "predicates.p.type": "topic_name_matches"}, "predicates.p.pattern"),
        ({"header.converter": "com.example.Headers"}, "header.converter"),
        ({"key.converter.schemas.enable": "false"}, "key.converter.schemas.enable"),
        ({"value.converter": "io.confluent.connect.avro.AvroConverter"}, "value.converter"),
        (
            {"value.converter": "json", "value.converter.schemas.enable": "maybe"},
            "value.converter.schemas.enable",
        ),
    ],
)
def test_a_setting_that_can_not_be_used_is_named_by_its_whole_key(
    values: dict[str, str], key: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        build_source(values, REPR, {})
    assert caught.value.key == key


def test_a_connectors_converter_takes_only_its_own_settings() -> None:
    defaults = {**REPR, "value.converter": "json", "value.converter.schemas.enable": "false"}
    build_sink({"name": "c", "value.converter": "repr"}, defaults)
    build_sink({"name": "c"}, defaults)
    with pytest.raises(ConfigError):
        build_sink({"name": "c"}, {"key.converter": "repr"})


def test_steps_are_built_in_order_with_their_predicates() -> None:
    chain = build_chain(
        {
            "transforms": "drop, route",
            "transforms.drop.type": "org.apache.kafka.connect.transforms.Filter",
            "transforms.drop.predicate": "named",
            "transforms.drop.negate": "TRUE",
            "transforms.route.type": "org.apache.kafka.connect.transforms.RegexRouter",
            "transforms.route.regex": "(.*)",
            "transforms.route.replacement": "x.$1",
            "predicates": "named",
            "predicates.named.type": "TopicNameMatches",
            "predicates.named.pattern": "t.*",
        },
        ALL,
    )
    assert [(step.predicate is not None, step.negate) for step in chain.steps] == [
        (True, True),
        (False, False),
    ]
    kept, _ = chain.apply(batch([1], "table"))
    dropped, _ = chain.apply(batch([1], "other"))
    assert ([b.topic for b in kept], dropped) == (["x.table"], [])
