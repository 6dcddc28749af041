"""murmur2 against the values of Kafka's own unit test (UtilsTest.testMurmur2)."""

from __future__ import annotations

import pytest

from connect.runtime.partitioner import Partitioner, murmur2


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_kafkas(data: bytes, expected: int) -> None:
    assert murmur2(data) == expected & 0xFFFFFFFF


def test_a_key_stays_in_its_partition_whatever_was_dealt_before() -> None:
    dealer = Partitioner()
    keys = [str(n).encode() for n in range(200)]
    first = dealer.assign(keys, 7)
    dealer.next_round()
    assert dealer.assign(keys[::-1], 7) == first[::-1]
    assert set(first) == set(range(7))
    assert Partitioner().assign(keys, 7) == first
