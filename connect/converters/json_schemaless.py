"""Values without schema to JSON text, as JsonConverter writes Java's maps and lists."""

from __future__ import annotations

from binascii import b2a_base64

from connect.converters.java_text import double_text
from connect.converters.json_encode import Unfit, text_of


def schemaless_text(value: object) -> bytes:
    """JSON text of None, bool, int, float, str, bytes, and lists and dicts of these.

    A dict whose keys are not all strings becomes an array of pairs.
    """
    match value:
        case None:
            return b"null"
        case bool():
            return b"true" if value else b"false"
        case str():
            return text_of(value)
        case int() if -(1 << 63) <= value < 1 << 63:
            return str(value).encode()
        case float():
            return double_text(value)
        case bytes():
            return b'"' + b2a_base64(value, newline=False) + b'"'
        case list() | tuple():
            return b"[" + b",".join(map(schemaless_text, value)) + b"]"
        case dict():
            items = [(schemaless_text(k), schemaless_text(v)) for k, v in value.items()]
            if all(isinstance(name, str) for name in value):
                return b"{" + b",".join(k + b":" + v for k, v in items) + b"}"
            return b"[" + b",".join(b"[" + k + b"," + v + b"]" for k, v in items) + b"]"
        case _:
            raise Unfit(f"a value of type {type(value).__name__} needs a schema")
