"""Converters without structure: text, and bytes as they are."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from pydantic import model_validator

from connect.config import Config, Refused, key
from connect.converter import Converter
from connect.converters.java_text import double_text, float_text
from connect.data import Data, Plain, Schema, Struct
from connect.errors import ConfigError, DecodeError, SchemaMismatch

_TEXT = Schema("string", optional=True)
_BYTES = Schema("bytes", optional=True)
_TYPE = Refused("the position of the converter tells whether it is for keys.", ("key", "value"))


class StringConverterConfig(Config):
    """Keys of the StringConverter."""

    encoding: str = key(
        "converter.encoding",
        doc="The character set of the bytes.",
        group="Serialization",
        default="UTF-8",
        importance="HIGH",
        display="Encoding",
    )

    refused: ClassVar = {"converter.type": _TYPE}

    @model_validator(mode="after")
    def _known(self) -> StringConverterConfig:
        try:
            "".encode(self.encoding)
        except (LookupError, UnicodeError):
            raise ConfigError("converter.encoding", f"Unknown encoding {self.encoding}.") from None
        return self


class StringConverter(Converter):
    """Strings as encoded text; other primitives as Java prints them. Structs are refused."""

    config = StringConverterConfig
    aliases = ("org.apache.kafka.connect.storage.StringConverter", "StringConverter", "String")

    def __init__(self, config: StringConverterConfig, is_key: bool) -> None:
        self._codec = codecs.lookup(config.encoding).name

    def encode(self, topic: str, data: Data) -> list[bytes | None]:
        """The text of each row."""
        single = data.schema is not None and data.schema.type == "float"
        return _each(data, "text", lambda value: self._text(value, single))

    def decode(self, topic: str, payloads: Sequence[bytes | None]) -> list[Data]:
        """One run of optional strings."""
        texts: list[str | None] = []
        reasons: dict[int, str] = {}
        for row, payload in enumerate(payloads):
            try:
                texts.append(None if payload is None else payload.decode(self._codec))
            except UnicodeDecodeError as error:
                reasons[row] = f"not {self._codec}: {error.reason}"
        if reasons:
            raise DecodeError("Bytes that are no text in the configured encoding.", reasons)
        return [Plain(_TEXT, texts)] if texts else []

    def _text(self, value: object, single: bool) -> bytes:
        match value:
            case str():
                return value.encode(self._codec)
            case bool():
                return str(value).lower().encode(self._codec)
            case int():
                return str(value).encode(self._codec)
            case float():
                text = float_text(value) if single else double_text(value)
                return text.strip(b'"').decode().encode(self._codec)
            case _:
                raise ValueError(f"a value of type {type(value).__name__} is no text")


class ByteArrayConverterConfig(Config):
    """The ByteArrayConverter has no keys."""

    refused: ClassVar = {"converter.type": _TYPE}


class ByteArrayConverter(Converter):
    """Bytes as they are."""

    config = ByteArrayConverterConfig
    aliases = (
        "org.apache.kafka.connect.converters.ByteArrayConverter",
        "ByteArrayConverter",
        "ByteArray",
    )

    def __init__(self, config: ByteArrayConverterConfig, is_key: bool) -> None:
        pass

    def encode(self, topic: str, data: Data) -> list[bytes | None]:
        """The bytes of each row."""
        return _each(data, "bytes", _same_bytes)

    def decode(self, topic: str, payloads: Sequence[bytes | None]) -> list[Data]:
        """One run of optional bytes."""
        return [Plain(_BYTES, list(payloads))] if payloads else []


def _same_bytes(value: Any) -> bytes:
    if type(value) is not bytes:
        raise ValueError(f"a value of type {type(value).__name__} is not bytes")
    return value


def _each(data: Data, what: str, convert: Callable[[Any], bytes]) -> list[bytes | None]:
    payloads: list[bytes | None] = []
    reasons: dict[int, str] = {}
    for row, value in enumerate(data.rows()):
        try:
            if value is not None and isinstance(data, Struct):
                raise ValueError("a struct")
            payloads.append(None if value is None else convert(value))
        except ValueError as error:
            reasons[row] = str(error)
    if reasons:
        raise SchemaMismatch(
            f"This converter writes {what} only.",
            reasons,
            hint="Use org.apache.kafka.connect.json.JsonConverter for structured rows.",
        )
    return payloads
