"""StringConverter and ByteArrayConverter."""

from __future__ import annotations

import pytest

from connect.config import parse, validate
from connect.converters.raw import (
    ByteArrayConverter,
    ByteArrayConverterConfig,
    StringConverter,
    StringConverterConfig,
)
from connect.data import Plain, Schema, Struct
from connect.errors import DecodeError, SchemaMismatch


def strings(**options: str) -> StringConverter:
    named = {name.replace("_", "."): value for name, value in options.items()}
    return StringConverter(parse(StringConverterConfig, named), False)


def test_strings_are_encoded_text() -> None:
    texts = strings().encode("t", Plain(Schema("string", True), ["é", None, ""]))
    assert texts == ["é".encode(), None, b""]
    (run,) = strings().decode("t", texts)
    assert list(run.rows()) == ["é", None, ""]
    assert strings(converter_encoding="ISO-8859-1").encode("t", Plain(Schema("string"), ["é"])) == [
        b"\xe9"
    ]


def test_numbers_are_printed_as_java_does() -> None:
    assert strings().encode("t", Plain(Schema("boolean"), [True, False])) == [b"true", b"false"]
    assert strings().encode("t", Plain(Schema("int64"), [-5])) == [b"-5"]
    assert strings().encode("t", Plain(Schema("double"), [1e7])) == [b"1.0E7"]


def test_what_is_no_text_is_refused() -> None:
    row = Struct(Schema("struct"), [], 1)
    with pytest.raises(SchemaMismatch):
        strings().encode("t", row)
    with pytest.raises(DecodeError) as caught:
        strings().decode("t", [b"a", b"\xff"])
    assert list(caught.value.rows) == [1]
    assert validate(StringConverterConfig, {"converter.encoding": "klingon"}).errors


def test_bytes_pass() -> None:
    converter = ByteArrayConverter(parse(ByteArrayConverterConfig, {}), False)
    assert converter.encode("t", Plain(Schema("bytes", True), [b"\xff", None])) == [b"\xff", None]
    (run,) = converter.decode("t", [b"\xff", None])
    assert list(run.rows()) == [b"\xff", None]
    with pytest.raises(SchemaMismatch):
        converter.encode("t", Plain(Schema("string"), ["text"]))
