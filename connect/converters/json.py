"""Kafka Connect's JsonConverter: rows as JSON, with or without their schema beside each payload.

Byte for byte what ``org.apache.kafka.connect.json.JsonConverter`` of Kafka 4.3 writes on a JDK of
19 or newer (golden files under tests/golden/connect_json). Reading is stricter: where Java turns
text into 0 or cuts a number to 32 bits, the row is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from connect.config import Config, Refused, key
from connect.converter import Converter
from connect.converters.json_decode import Imprecise, JsonDecoder, spread, spread_struct
from connect.converters.json_encode import JsonEncoder, Unfit
from connect.converters.json_envelope import (
    PAYLOAD,
    SCHEMA,
    EnvelopeReader,
    Run,
    parse,
    parse_exactly,
)
from connect.converters.json_schema import decode_schema, encode_schema
from connect.converters.json_schemaless import schemaless_text
from connect.data import Constant, Data, Plain, Schema, Struct
from connect.errors import DecodeError, SchemaMismatch

_UNREADABLE = (ValueError, RecursionError)  # Unfit and JSONDecodeError are ValueErrors


class JsonConverterConfig(Config):
    """Keys of the JsonConverter."""

    schemas_enable: bool = key(
        "schemas.enable",
        doc="Write each key and value as an object of `schema` and `payload`, and expect it so.",
        group="Schemas",
        default=True,
        importance="HIGH",
        display="Enable Schemas",
    )
    cache_size: int = key(
        "schemas.cache.size",
        doc="How many schemas to keep in memory.",
        group="Schemas",
        default=1000,
        importance="HIGH",
        display="Schema Cache Size",
        ge=1,
    )
    decimal_format: Literal["base64", "numeric"] = key(
        "decimal.format",
        doc="BASE64: base64 of the unscaled value; NUMERIC: a JSON number. Both are read.",
        group="Serialization",
        default="base64",
        importance="LOW",
        display="Decimal Format",
    )
    replace_null_with_default: bool = key(
        "replace.null.with.default",
        doc="Write and read the default value of a field instead of its null.",
        group="Schemas",
        default=True,
        importance="LOW",
        display="Replace null with default",
    )

    refused: ClassVar = {
        "schema.content": Refused("the schema is written into each message, or not at all.", ("",)),
        "converter.type": Refused(
            "the position of the converter tells whether it is for keys.", ("key", "value")
        ),
    }


class JsonConverter(Converter):
    """Rows to JSON and back; pure but for what it remembers of schemas."""

    config = JsonConverterConfig
    aliases = ("org.apache.kafka.connect.json.JsonConverter", "JsonConverter", "Json")

    def __init__(self, config: JsonConverterConfig, is_key: bool) -> None:
        self._with_schema = config.schemas_enable
        self._remember = config.cache_size
        self._encoder = JsonEncoder(
            numeric_decimals=config.decimal_format == "numeric",
            replace_nulls=config.replace_null_with_default,
            remember=config.cache_size,
        )
        self._decoder = JsonDecoder(replace_nulls=config.replace_null_with_default)
        self._envelopes = EnvelopeReader()
        self._headers: dict[Schema, bytes] = {}
        self._schemas: dict[bytes, Schema | None] = {}

    def encode(self, topic: str, data: Data) -> list[bytes | None]:
        """One JSON text per row; SchemaMismatch names the rows whose values do not fit."""
        here = _present(data)
        rows = [row for row, yes in enumerate(here) if yes]
        if len(rows) == len(data):
            return list(self._texts(data))
        some = iter(self._texts(data.take(rows)) if rows else ())
        return [next(some) if yes else None for yes in here]

    def decode(self, topic: str, payloads: Sequence[bytes | None]) -> list[Data]:
        """Runs of one schema; DecodeError names the rows that can't be read."""
        try:
            return self._decoded(payloads)
        except _UNREADABLE:
            return self._one_by_one(payloads)

    # -- encode

    def _texts(self, data: Data) -> list[bytes]:
        try:
            return self._fitting(data)
        except (Unfit, TypeError, RecursionError) as error:
            raise SchemaMismatch(
                "Converting to JSON failed: a value does not fit its schema.",
                self._unfit_rows(data, error),
            ) from error

    def _fitting(self, data: Data) -> list[bytes]:
        schema = data.schema
        if schema is None:
            before, after = (
                (b'{"schema":null,"payload":', b"}") if self._with_schema else (b"", b"")
            )
            return [before + schemaless_text(value) + after for value in data.rows()]
        column = data if isinstance(data, Struct) else data.column
        if not self._with_schema:
            return self._encoder.texts(schema, column, len(data))
        return self._encoder.texts(schema, column, len(data), self._header(schema), b"}")

    def _header(self, schema: Schema) -> bytes:
        header = self._headers.get(schema)
        if header is None:
            if len(self._headers) >= self._remember:
                self._headers.clear()
            header = SCHEMA + encode_schema(schema, self._encoder) + PAYLOAD
            self._headers[schema] = header
        return header

    def _unfit_rows(self, data: Data, cause: Exception) -> dict[int, str]:
        """Why rows can't be written, each tried alone."""
        reasons: dict[int, str] = {}
        for row in range(len(data)):
            try:
                self._fitting(data.take([row]))
            except (Unfit, TypeError, RecursionError) as error:
                reasons[row] = str(error)
        if not reasons:
            raise cause
        return reasons

    # -- decode

    def _decoded(self, payloads: Sequence[bytes | None]) -> list[Data]:
        if self._with_schema:
            runs = self._envelopes.runs(payloads)
        else:
            runs = [Run(b"null", list(payloads))] if payloads else []
        return [self._run(self._schema(run.schema), run.payloads) for run in runs]

    def _run(self, schema: Schema | None, payloads: Sequence[bytes | None]) -> Data:
        texts = [payload for payload in payloads if payload is not None]
        try:
            data = self._data(schema, parse(texts))
        except Imprecise:
            data = self._data(schema, parse_exactly(texts))
        if len(texts) == len(payloads):
            return data
        here = [payload is not None for payload in payloads]
        if isinstance(data, Struct):
            return spread_struct(data, here)
        return Plain(schema, spread(data.column, here))

    def _data(self, schema: Schema | None, values: list[Any]) -> Data:
        if schema is None:
            return Plain(None, values)
        column = self._decoder.column(schema, values)
        return column if isinstance(column, Struct) else Plain(schema, column)

    def _schema(self, text: bytes) -> Schema | None:
        if text not in self._schemas:
            if len(self._schemas) >= self._remember:
                self._schemas.clear()
            self._schemas[text] = decode_schema(text, self._decoder.value)
        return self._schemas[text]

    def _one_by_one(self, payloads: Sequence[bytes | None]) -> list[Data]:
        """Each row alone, after all together failed, to learn which can't be read."""
        found: list[Data] = []
        reasons: dict[int, str] = {}
        for row, payload in enumerate(payloads):
            try:
                found += self._decoded([payload])
            except _UNREADABLE as error:
                reasons[row] = str(error)
        if reasons:
            raise DecodeError("Converting from JSON failed.", reasons)
        return found


def _present(data: Data) -> Sequence[bool]:
    if isinstance(data, Struct):
        return Constant(True, len(data)) if data.present is None else data.present
    if isinstance(data.column, Constant):
        return Constant(data.column.value is not None, len(data))
    return [value is not None for value in data.column]
