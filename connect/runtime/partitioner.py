"""Which partition a key belongs to: Kafka's murmur2, so that every log places a key alike."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

_M: Final = 0x5BD1E995
_SEED: Final = 0x9747B28C
_32: Final = 0xFFFFFFFF
_CACHED: Final = 1 << 16


def murmur2(data: bytes) -> int:
    """The 32-bit murmur2 of Kafka's Java producer (``org.apache.kafka.common.utils.Utils``)."""
    length = len(data)
    whole = length >> 2
    h = _SEED ^ length
    for k in struct.unpack_from(f"<{whole}I", data):
        k = k * _M & _32  # noqa: PLW2901  the algorithm's own names
        h = (h * _M ^ (k ^ k >> 24) * _M) & _32
    rest = data[whole << 2 :]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * _M & _32
    h = (h ^ h >> 13) * _M & _32
    return h ^ h >> 15


class Partitioner:
    """Deals keys over partitions: a key's hash decides; rows without a key share one partition,
    the next one in each round."""

    def __init__(self) -> None:
        self._hashes: dict[bytes, int] = {}
        self._round = 0

    def next_round(self) -> None:
        """Rows without a key go to the next partition from now on."""
        self._round += 1

    def assign(self, keys: Sequence[bytes | None], count: int) -> list[int]:
        """The partition of each key among ``count``."""
        hashes = self._hashes
        if len(hashes) > _CACHED:
            hashes.clear()
        for key in set(keys) - hashes.keys():
            if key is not None:
                hashes[key] = murmur2(key) & 0x7FFFFFFF
        keyless = self._round % count
        return [keyless if key is None else hashes[key] % count for key in keys]
