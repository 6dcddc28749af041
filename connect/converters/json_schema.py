"""Connect schemas as the JSON that JsonConverter puts beside each payload, and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeAlias, cast, get_args

from connect.converters.json_encode import JsonEncoder, Unfit, text_of
from connect.data import NO_DEFAULT, Field, Schema, TypeName

ReadDefault: TypeAlias = Callable[[Schema, Any], Any]


def encode_schema(schema: Schema, encoder: JsonEncoder, field: str | None = None) -> bytes:
    """JSON text of a schema, keys in Connect's order; ``field``: its name inside a struct."""
    parts = [b'"type":' + text_of(schema.type)]
    if schema.type == "struct":
        fields = [encode_schema(f.schema, encoder, f.name) for f in schema.fields]
        parts.append(b'"fields":[' + b",".join(fields) + b"]")
    if schema.keys is not None:
        parts.append(b'"keys":' + encode_schema(schema.keys, encoder))
    if schema.items is not None:
        label = b'"items":' if schema.type == "array" else b'"values":'
        parts.append(label + encode_schema(schema.items, encoder))
    parts.append(b'"optional":' + (b"true" if schema.optional else b"false"))
    if schema.name is not None:
        parts.append(b'"name":' + text_of(schema.name))
    if schema.version is not None:
        parts.append(b'"version":' + str(schema.version).encode())
    if schema.doc is not None:
        parts.append(b'"doc":' + text_of(schema.doc))
    if schema.parameters:
        pairs = [text_of(name) + b":" + text_of(value) for name, value in schema.parameters]
        parts.append(b'"parameters":{' + b",".join(pairs) + b"}")
    if schema.default not in (NO_DEFAULT, None):
        parts.append(b'"default":' + encoder.texts(schema, [schema.default], 1)[0])
    if field is not None:
        parts.append(b'"field":' + text_of(field))
    return b"{" + b",".join(parts) + b"}"


def decode_schema(text: bytes, read_default: ReadDefault) -> Schema | None:
    """The schema of that JSON text, None for ``null``. Unfit if it is none.

    ``read_default`` turns a default's parsed JSON (numbers with a fraction as Decimal) into a
    value of its schema.
    """
    try:
        node = json.loads(text, parse_float=Decimal)
    except ValueError as error:
        raise Unfit(f"the schema is no JSON: {error}") from None
    return None if node is None else _schema(node, read_default)


def _schema(node: object, read_default: ReadDefault) -> Schema:
    if not isinstance(node, dict) or node.get("type") not in get_args(TypeName):
        raise Unfit("the schema has no known type")
    kind = cast(TypeName, node["type"])
    name, version, doc = node.get("name"), node.get("version"), node.get("doc")
    if not isinstance(name, str | None) or not isinstance(doc, str | None):
        raise Unfit("name and doc of a schema must be strings")
    if not isinstance(version, int | None) or isinstance(version, bool):
        raise Unfit("version of a schema must be an integer")
    schema = Schema(
        kind,
        optional=node.get("optional") is True,
        name=name,
        version=version,
        doc=doc,
        parameters=_parameters(node.get("parameters")),
        fields=_fields(node.get("fields"), read_default) if kind == "struct" else (),
        keys=_schema(node.get("keys"), read_default) if kind == "map" else None,
        items=_items(kind, node, read_default),
    )
    if node.get("default") is None:
        return schema
    return replace(schema, default=read_default(schema, node["default"]))


def _items(kind: TypeName, node: dict[str, object], read_default: ReadDefault) -> Schema | None:
    if kind == "array":
        return _schema(node.get("items"), read_default)
    return _schema(node.get("values"), read_default) if kind == "map" else None


def _fields(nodes: object, read_default: ReadDefault) -> tuple[Field, ...]:
    if not isinstance(nodes, list):
        raise Unfit("a struct schema needs an array of fields")
    fields = []
    for node in nodes:
        schema = _schema(node, read_default)
        name = node.get("field")
        if not isinstance(name, str):
            raise Unfit("a struct schema has a field without name")
        fields.append(Field(name, schema))
    return tuple(fields)


def _parameters(node: object) -> tuple[tuple[str, str], ...]:
    if node is None:
        return ()
    if not isinstance(node, dict) or not all(isinstance(v, str) for v in node.values()):
        raise Unfit("schema parameters must be strings")
    return tuple(node.items())
