"""ReplaceField: keep, drop and rename fields."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import model_validator

from connect.config import Config, Refused, key
from connect.data import NO_DEFAULT, Batch, Column, Field, Struct
from connect.errors import ConfigError, SchemaMismatch
from connect.transform import Transform
from connect.transforms.side import Side, on_side


class ReplaceFieldConfig(Config):
    """Keys of ReplaceField."""

    exclude: tuple[str, ...] = key(
        "exclude",
        doc="Fields to leave out. Takes precedence over `include`.",
        group="Fields",
        default=(),
    )
    include: tuple[str, ...] = key(
        "include",
        doc="Fields to keep; when given, only these are kept.",
        group="Fields",
        default=(),
    )
    renames: tuple[str, ...] = key(
        "renames",
        doc="New names of fields, as `old:new`, comma-separated.",
        group="Fields",
        default=(),
    )
    replace_null_with_default: bool = key(
        "replace.null.with.default",
        doc="Put the default value of a field in place of its null.",
        group="Fields",
        default=True,
    )

    refused: ClassVar = {
        "whitelist": Refused('Kafka 4.0 removed it; use "include".'),
        "blacklist": Refused('Kafka 4.0 removed it; use "exclude".'),
    }

    @model_validator(mode="after")
    def _pairs(self) -> ReplaceFieldConfig:
        for rename in self.renames:
            old, colon, new = rename.partition(":")
            if not (old and colon and new) or ":" in new:
                raise ConfigError("renames", f"{rename} is no pair of names `old:new`.")
        return self


class ReplaceFieldKey(Transform):
    """Keeps, drops and renames fields of keys."""

    config = ReplaceFieldConfig
    aliases: ClassVar = (
        "org.apache.kafka.connect.transforms.ReplaceField$Key",
        "ReplaceField$Key",
    )
    side: ClassVar[Side] = "keys"

    def __init__(self, config: ReplaceFieldConfig) -> None:
        self._exclude = frozenset(config.exclude)
        self._include = frozenset(config.include)
        self._renames = dict(rename.split(":") for rename in config.renames)
        self._replace_nulls = config.replace_null_with_default

    def apply(self, batch: Batch) -> Iterable[Batch]:
        """The batch with the remaining fields."""
        return [on_side(batch, self.side, self._columns, self._members, "field replacement")]

    def _kept(self, name: str) -> bool:
        return name not in self._exclude and (not self._include or name in self._include)

    def _columns(self, struct: Struct) -> Struct:
        fields: list[Field] = []
        columns: list[Column] = []
        for field, column in zip(struct.schema.fields, struct.columns, strict=True):
            if self._kept(field.name):
                fields.append(Field(self._renames.get(field.name, field.name), field.schema))
                columns.append(filled(field, column) if self._replace_nulls else column)
        if len({field.name for field in fields}) < len(fields):
            raise SchemaMismatch(
                "ReplaceField gives two fields one name.",
                dict.fromkeys(range(len(struct)), "two fields of one name"),
                hint="Exclude the field whose name another takes by `renames`.",
            )
        # Connect's builders copy name, version, doc and parameters, not optionality or default.
        schema = replace(struct.schema, fields=tuple(fields), optional=False, default=NO_DEFAULT)
        return struct.with_columns(schema, columns)

    def _members(self, value: dict[Any, Any]) -> dict[Any, Any]:
        return {
            self._renames.get(name, name): member
            for name, member in value.items()
            if self._kept(name)
        }


class ReplaceFieldValue(ReplaceFieldKey):
    """Keeps, drops and renames fields of values."""

    aliases = ("org.apache.kafka.connect.transforms.ReplaceField$Value", "ReplaceField$Value")
    side = "values"


def filled(field: Field, column: Column) -> Column:
    """The column with the field's default in place of null, if it has one."""
    default = field.schema.default
    if isinstance(column, Struct) or default is None or default is NO_DEFAULT:
        return column
    if None not in column:
        return column
    return [default if value is None else value for value in column]
