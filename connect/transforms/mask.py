"""MaskField: a neutral value, or a chosen one, in place of what fields hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar

from connect.config import Config, key
from connect.data import DECIMAL, Batch, Column, Constant, Field, Schema, Struct
from connect.errors import SchemaMismatch
from connect.transform import Transform
from connect.transforms.fields import filled
from connect.transforms.side import Side, on_side

_INTEGERS = {"int8": 7, "int16": 15, "int32": 31, "int64": 63}


class MaskFieldConfig(Config):
    """Keys of MaskField."""

    fields_: tuple[str, ...] = key(
        "fields",
        doc="Names of the fields to mask.",
        group="Masking",
        importance="HIGH",
        min_length=1,
    )
    replacement: str | None = key(
        "replacement",
        doc="Value to put instead, converted to the field's type: numbers and strings only. "
        "Without it the type's neutral value is put: 0, false, empty.",
        group="Masking",
        default=None,
        importance="LOW",
        min_length=1,
    )
    replace_null_with_default: bool = key(
        "replace.null.with.default",
        doc="Treat the null of a field with a default value as that value (and mask it).",
        group="Masking",
        default=True,
    )


class MaskFieldKey(Transform):
    """Masks fields of keys. Null stays null; a field that is not there is ignored."""

    config = MaskFieldConfig
    aliases: ClassVar = ("org.apache.kafka.connect.transforms.MaskField$Key", "MaskField$Key")
    side: ClassVar[Side] = "keys"

    def __init__(self, config: MaskFieldConfig) -> None:
        self._names = frozenset(config.fields_)
        self._replacement = config.replacement
        self._replace_nulls = config.replace_null_with_default

    def apply(self, batch: Batch) -> Iterable[Batch]:
        """The batch with masked fields; SchemaMismatch if a field's type can't be masked."""
        return [on_side(batch, self.side, self._columns, self._members, "field masking")]

    def _columns(self, struct: Struct) -> Struct:
        columns: list[Column] = []
        for field, column in zip(struct.schema.fields, struct.columns, strict=True):
            replaced = filled(field, column) if self._replace_nulls else column
            columns.append(self._masked(field, replaced) if field.name in self._names else replaced)
        return struct.with_columns(struct.schema, columns)

    def _masked(self, field: Field, column: Column) -> Column:
        cells: Sequence[Any] = list(column.rows()) if isinstance(column, Struct) else column
        try:
            value = mask_of(field.schema, self._replacement)
        except ValueError as error:
            some = {row: str(error) for row, cell in enumerate(cells) if cell is not None}
            if some:
                raise SchemaMismatch(
                    f"Field {field.name} can't be masked: {error}.", some
                ) from None
            return column
        if None not in cells:
            return Constant(value, len(cells))
        return [None if cell is None else value for cell in cells]

    def _members(self, value: dict[Any, Any]) -> dict[Any, Any]:
        return {
            name: mask_of(_schema_of(member), self._replacement)
            if name in self._names and member is not None
            else member
            for name, member in value.items()
        }


class MaskFieldValue(MaskFieldKey):
    """Masks fields of values."""

    aliases = ("org.apache.kafka.connect.transforms.MaskField$Value", "MaskField$Value")
    side = "values"


def mask_of(schema: Schema, replacement: str | None) -> Any:
    """The value that masks one of this schema. ValueError if there is none."""
    if replacement is not None:
        return _converted(schema, replacement)
    if schema.name == DECIMAL:
        return Decimal(0)
    match schema.type:
        case "boolean":
            return False
        case "int8" | "int16" | "int32" | "int64":
            return 0
        case "float" | "double":
            return 0.0
        case "string":
            return ""
        case "array":
            return []
        case "map":
            return {}
    raise ValueError(f"cannot mask a value of type {schema.type}")


def _converted(schema: Schema, text: str) -> Any:
    try:
        if schema.name == DECIMAL:
            return Decimal(text)
        if schema.type in ("float", "double"):
            return float(text)
        if schema.type in _INTEGERS:
            number = int(text)
            if not -(1 << _INTEGERS[schema.type]) <= number < 1 << _INTEGERS[schema.type]:
                raise ValueError
            return number
    except (ValueError, InvalidOperation):
        raise ValueError(f"the replacement is no {schema.name or schema.type}") from None
    if schema.type == "string":
        return text
    raise ValueError(f"cannot mask a value of type {schema.type} with a replacement")


def _schema_of(value: object) -> Schema:
    """The schema of a schemaless value; the types that can't be masked are all bytes to us."""
    match value:
        case bool():
            return Schema("boolean")
        case int():
            return Schema("int64")
        case float():
            return Schema("double")
        case str():
            return Schema("string")
        case list():
            return Schema("array")
        case dict():
            return Schema("map")
    return Schema("bytes")
