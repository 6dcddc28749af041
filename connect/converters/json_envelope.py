"""JSON messages as texts: the schema and payload of a message, many messages parsed at once."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from decimal import Decimal
from secrets import token_hex
from typing import Any, Final, NamedTuple, NoReturn

import orjson

from connect.converters.json_encode import Unfit

SCHEMA: Final = b'{"schema":'
PAYLOAD: Final = b',"payload":'
_NO_ENVELOPE: Final = (
    'JsonConverter with schemas.enable requires "schema" and "payload" fields and may not contain '
    "additional fields. If you are trying to deserialize plain JSON data, set schemas.enable=false "
    "in your converter configuration."
)
_MEMBER: Final = re.compile(r'[ \t\r\n]*([{,])[ \t\r\n]*"(schema|payload)"[ \t\r\n]*:[ \t\r\n]*')
_END: Final = re.compile(r"[ \t\r\n]*}[ \t\r\n]*")
# No message can contain this key, so a broken one can't borrow brackets from its neighbours.
_ROW: Final = token_hex(12)
_OPEN: Final = f'[{{"{_ROW}":'.encode()
_NEXT: Final = f'}},{{"{_ROW}":'.encode()
_CLOSE: Final = b"}]"


class Run(NamedTuple):
    """Consecutive messages of one schema: its text, and each message's payload text."""

    schema: bytes
    payloads: list[bytes | None]


class EnvelopeReader:
    """Splits messages ``{"schema": ..., "payload": ...}``; remembers how the last one began."""

    def __init__(self) -> None:
        self._prefix = b"\0"

    def runs(self, messages: Sequence[bytes | None]) -> list[Run]:
        """The messages as runs of one schema; a None joins the run it falls into."""
        runs: list[Run] = []
        nulls: list[bytes | None] = []
        begin = b"\0"
        for message in messages:
            if message is None:
                (runs[-1].payloads if runs else nulls).append(None)
                continue
            if message.startswith(begin) and message[-1:] == b"}":
                runs[-1].payloads.append(message[len(begin) : -1])
                continue
            own, payload = self._split(message)
            if own != begin:
                begin = own
                runs.append(Run(begin[len(SCHEMA) : -len(PAYLOAD)], nulls))
                nulls = []
            runs[-1].payloads.append(payload)
        return runs if runs or not nulls else [Run(b"null", nulls)]

    def _split(self, message: bytes) -> tuple[bytes, bytes]:
        """All that precedes the payload in Connect's form of the message, and the payload."""
        if message.endswith(b"}"):
            if message.startswith(self._prefix):
                return self._prefix, message[len(self._prefix) : -1]
            place = message.find(PAYLOAD) if message.startswith(SCHEMA) else -1
            while place >= 0:
                # No beginning of a JSON object is itself JSON: what parses is the whole schema.
                if _is_json(message[len(SCHEMA) : place]):
                    self._prefix = message[: place + len(PAYLOAD)]
                    return self._prefix, message[place + len(PAYLOAD) : -1]
                place = message.find(PAYLOAD, place + 1)
        schema, payload = _members(message)
        return SCHEMA + schema + PAYLOAD, payload


def parse(texts: Sequence[bytes]) -> list[Any]:
    """The values of JSON texts, parsed as one. Unfit or ValueError if any is not JSON."""
    rows = orjson.loads(_OPEN + _NEXT.join(texts) + _CLOSE) if texts else []
    if len(rows) != len(texts) or sum(map(len, rows)) != len(rows):
        raise Unfit(_NO_ENVELOPE)
    try:
        return [row[_ROW] for row in rows]
    except KeyError:
        raise Unfit(_NO_ENVELOPE) from None


def parse_exactly(texts: Sequence[bytes]) -> list[Any]:
    """As ``parse``, with every digit: numbers with fraction or exponent become Decimal."""
    return [_EXACT.decode(text.decode()) for text in texts]


def _is_json(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except ValueError:
        return False
    return True


def _members(message: bytes) -> tuple[bytes, bytes]:
    """The texts of schema and payload, however the message is laid out."""
    text = message.decode()
    members: dict[str, str] = {}
    place = 0
    for opening in "{,":
        member = _MEMBER.match(text, place)
        if member is None or member[1] != opening or member[2] in members:
            raise Unfit(_NO_ENVELOPE)
        _, place = _EXACT.raw_decode(text, member.end())
        members[member[2]] = text[member.end() : place]
    if _END.fullmatch(text, place) is None:
        raise Unfit(_NO_ENVELOPE)
    return members["schema"].encode(), members["payload"].encode()


def _refuse(constant: str) -> NoReturn:
    raise Unfit(f"{constant} is no JSON")


_EXACT: Final = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse)
