"""Parsed JSON to columns, by column, checked against a schema."""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Iterable, Sequence
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from itertools import chain, islice
from operator import itemgetter
from types import NoneType
from typing import Any, Final

from connect.converters.json_encode import Unfit
from connect.data import DECIMAL, NO_DEFAULT, Column, Constant, Schema, Struct

_KINDS: Final[dict[str, set[type]]] = {
    "int8": {int}, "int16": {int}, "int32": {int}, "int64": {int}, "boolean": {bool},
    "float": {float, int, Decimal, str}, "double": {float, int, Decimal, str},
    "string": {str}, "bytes": {str}, "array": {list}, "struct": {dict},
}  # fmt: skip
_BITS: Final = {"int8": 7, "int16": 15, "int32": 31, "int64": 63}
_NOT_FINITE: Final = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_SHIFT = Context(MAX_PREC, Emin=MIN_EMIN, Emax=MAX_EMAX)


class Imprecise(Unfit):
    """A float where every digit counts: parse again, exactly."""


class JsonDecoder:
    """Turns values that a JSON parser returned into columns of a schema."""

    def __init__(self, *, replace_nulls: bool = True) -> None:
        self._replace_nulls = replace_nulls

    def column(self, schema: Schema, values: Sequence[Any]) -> Column:
        """One column of these values; nested structs become a ``Struct``. Unfit if one does not
        fit."""
        if schema.type == "struct":
            return self._structs(schema, values)
        return self._plain(schema, values)

    def value(self, schema: Schema, value: Any) -> Any:
        """One value of a schema; a struct as a tuple."""
        return self._plain(schema, [value])[0]

    def _plain(self, schema: Schema, values: Sequence[Any]) -> Sequence[Any]:
        """Values of one schema; structs as tuples."""
        kinds = set(map(type, values))
        if NoneType not in kinds:
            return self._full(schema, values, kinds)
        null = self._null(schema)
        if len(kinds) == 1:
            return Constant(null, len(values))
        if null is None and schema.name != DECIMAL and schema.type in ("string", "boolean"):
            _expect(schema, kinds - {NoneType}, _KINDS[schema.type])
            return values
        some = [value for value in values if value is not None]
        following = iter(self._full(schema, some, kinds - {NoneType}))
        return [null if value is None else next(following) for value in values]

    def _null(self, schema: Schema) -> Any:
        if self._replace_nulls and schema.default not in (NO_DEFAULT, None):
            return schema.default
        if schema.optional:
            return None
        raise Unfit("null value for a field that is required and has no default value")

    def _full(self, schema: Schema, values: Sequence[Any], kinds: set[type]) -> Sequence[Any]:
        """A column without nulls."""
        if not values:
            return values
        if schema.name == DECIMAL:
            if float in kinds:
                raise Imprecise("a float where a decimal belongs")
            _expect(schema, kinds, {str, int, Decimal})
            return _decimals(schema, values)
        if schema.type == "map":
            return self._maps(schema, values, kinds)
        _expect(schema, kinds, _KINDS[schema.type])
        match schema.type:
            case "string" | "boolean":
                return values
            case "float" | "double":
                return values if kinds == {float} else [_float(value) for value in values]
            case "bytes":
                return [_bytes(value) for value in values]
            case "array":
                assert schema.items is not None
                flat = self._plain(schema.items, list(chain.from_iterable(values)))
                return _regroup(flat, values)
            case "struct":
                columns = [self._plain(f.schema, c) for f, c in _columns(schema, values)]
                return list(zip(*columns, strict=True)) if columns else [()] * len(values)
            case _:
                limit = 1 << _BITS[schema.type]
                if min(values) < -limit or max(values) >= limit:
                    raise Unfit(f"a number out of the range of {schema.type}")
                return values

    def _structs(self, schema: Schema, values: Sequence[Any]) -> Column:
        """Structs by column, with null rows marked."""
        kinds = set(map(type, values))
        if NoneType not in kinds:
            _expect(schema, kinds, {dict})
            return self._struct(schema, values)
        if self._null(schema) is not None:
            raise Unfit("a default of a whole struct is not supported")
        _expect(schema, kinds - {NoneType}, {dict})
        some = self._struct(schema, [value for value in values if value is not None])
        return spread_struct(some, [value is not None for value in values])

    def _struct(self, schema: Schema, values: Sequence[dict[str, Any]]) -> Struct:
        columns: list[Column] = []
        for field, cells in _columns(schema, values):
            try:
                columns.append(self.column(field.schema, cells))
            except Unfit as error:
                raise error.inside(field.name) from error
        return Struct(schema, columns, len(values))

    def _maps(self, schema: Schema, values: Sequence[Any], kinds: set[type]) -> Sequence[Any]:
        assert schema.keys is not None
        assert schema.items is not None
        if schema.keys.type == "string":
            _expect(schema, kinds, {dict})
            items = self._plain(
                schema.items, list(chain.from_iterable(value.values() for value in values))
            )
            groups = _regroup(items, values)
            return [
                dict(zip(v, group, strict=True)) for v, group in zip(values, groups, strict=True)
            ]
        _expect(schema, kinds, {list})
        pairs = list(chain.from_iterable(values))
        if any(type(pair) is not list or len(pair) != 2 for pair in pairs):
            raise Unfit("entries of a map must be pairs")
        keys = self._plain(schema.keys, [pair[0] for pair in pairs])
        items = self._plain(schema.items, [pair[1] for pair in pairs])
        try:
            return [dict(group) for group in _regroup(list(zip(keys, items, strict=True)), values)]
        except TypeError:
            raise Unfit("arrays and maps as keys of a map are not supported") from None


def _columns(schema: Schema, values: Sequence[dict[str, Any]]) -> Iterable[tuple[Any, Any]]:
    """Each field with its cells; a missing member is a null, one without field is ignored."""
    names = [field.name for field in schema.fields]
    if len(names) < 2 or not values:
        return [(f, [value.get(f.name) for value in values]) for f in schema.fields]
    try:
        cells: Sequence[Sequence[Any]] = list(zip(*map(itemgetter(*names), values), strict=True))
    except KeyError:
        cells = [[value.get(name) for value in values] for name in names]
    return zip(schema.fields, cells, strict=True)


def spread(column: Sequence[Any], present: Sequence[bool]) -> Sequence[Any]:
    """The column with a None in each absent row."""
    if len(column) == 0:
        return Constant(None, len(present))
    cells = iter(column)
    return [next(cells) if here else None for here in present]


def spread_struct(struct: Struct, present: Sequence[bool]) -> Struct:
    """The rows of a struct with a null row in each absent row."""
    columns = [
        spread_struct(column, present) if isinstance(column, Struct) else spread(column, present)
        for column in struct.columns
    ]
    if struct.present is not None:
        own = iter(struct.present)
        present = [here and next(own) for here in present]
    return Struct(struct.schema, columns, len(present), present)


def _regroup(values: Sequence[Any], groups: Sequence[Any]) -> list[list[Any]]:
    following = iter(values)
    return [list(islice(following, len(group))) for group in groups]


def _expect(schema: Schema, kinds: set[type], allowed: set[type]) -> None:
    if not kinds <= allowed:
        found = ", ".join(sorted(kind.__name__ for kind in kinds - allowed))
        raise Unfit(f"{schema.name or schema.type} can't be read from JSON of type {found}")


def _float(value: float | Decimal | str) -> float:
    if isinstance(value, str):
        if value not in _NOT_FINITE:
            raise Unfit("a string where a number belongs")
        return _NOT_FINITE[value]
    return float(value)


def _bytes(value: str) -> bytes:
    try:
        return a2b_base64(value, strict_mode=True)
    except (Base64Error, ValueError):
        raise Unfit("a string that is no base64") from None


def _decimals(schema: Schema, values: Sequence[Any]) -> list[Decimal]:
    """Numbers as they are; base64 text is a two's complement unscaled value, big-endian."""
    scale = -schema.scale
    return [
        _SHIFT.scaleb(Decimal(int.from_bytes(_bytes(value), "big", signed=True)), scale)
        if type(value) is str
        else Decimal(value)
        for value in values
    ]
