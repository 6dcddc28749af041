"""Compressed batches of other people's producers: decompression only.

Codec numbers are the low three bits of a RecordBatch's attributes: 0 none, 1 gzip, 2 snappy, 3 lz4,
4 zstd. Gzip needs the standard library alone; the others work when ``cramjam`` is installed.
"""

from __future__ import annotations

import importlib
import zlib

from log_core.errors import InvalidBatch

NAMES = ("none", "gzip", "snappy", "lz4", "zstd")
LIMIT_BYTES = 256 << 20  # a batch that unpacks to more is taken for a bomb
_XERIAL = b"\x82SNAPPY\x00"  # the framing Java clients put around snappy blocks


def decompress(codec: int, data: bytes) -> bytes:
    """The records of a compressed batch. Raises InvalidBatch."""
    if codec == 1:
        return _gunzip(data)
    if not 0 < codec < len(NAMES):
        raise InvalidBatch(f"unknown compression codec {codec}")
    try:
        cramjam = importlib.import_module("cramjam")
    except ImportError:
        raise InvalidBatch(
            f"batch compressed with {NAMES[codec]}: install the package cramjam to read it"
        ) from None
    try:
        if codec == 2:
            return b"".join(bytes(cramjam.snappy.decompress_raw(part)) for part in _blocks(data))
        module = cramjam.lz4 if codec == 3 else cramjam.zstd
        return bytes(module.decompress(data))
    except cramjam.DecompressionError as error:
        raise InvalidBatch(f"damaged {NAMES[codec]} data: {error}") from error


def _gunzip(data: bytes) -> bytes:
    stream = zlib.decompressobj(wbits=31)
    try:
        plain = stream.decompress(data, LIMIT_BYTES)
    except zlib.error as error:
        raise InvalidBatch(f"damaged gzip data: {error}") from error
    if not stream.eof:
        raise InvalidBatch(f"gzip data is cut short or unpacks to more than {LIMIT_BYTES} bytes")
    return plain


def _blocks(data: bytes) -> list[bytes]:
    if not data.startswith(_XERIAL):
        return [data]
    blocks, at = [], 16
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        blocks.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return blocks
