"""Request bodies: strict JSON, bounded, and never a 500 for what a client wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Final, NoReturn, TypeAlias

from fastapi import Depends, Request

from api.errors import RestError, standard_message

MAX_BODY_BYTES: Final = 1_048_576
MAX_DRAINED_BYTES: Final = 16 * MAX_BODY_BYTES

JsonObject: TypeAlias = dict[str, object]


async def read_object(request: Request) -> JsonObject:
    """The body as a JSON object; RestError 400, 413 or 415 else."""
    _check_content_type(request.headers.get("content-type"))
    body = await _read(request)
    value = parse_json(body)
    if not isinstance(value, dict):
        raise RestError(400, f"Expected a JSON object, got {_kind(value)}.")
    return value


Body: TypeAlias = Annotated[JsonObject, Depends(read_object)]


def parse_json(data: bytes) -> object:
    """Strict JSON: UTF-8, no duplicate key, no NaN, no lone surrogate, bounded depth."""
    if not data.strip():
        raise RestError(400, "The request needs a JSON body.")
    try:
        value: object = json.loads(
            data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_constant
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError as error:
        raise RestError(400, f"Malformed JSON: not UTF-8 at byte {error.start}.") from None
    except UnicodeEncodeError:
        raise RestError(400, "Malformed JSON: a string holds half a surrogate pair.") from None
    except json.JSONDecodeError as error:
        text = f"Malformed JSON: {error.msg} at line {error.lineno} column {error.colno}."
        raise RestError(400, text) from None
    except RecursionError:
        raise RestError(400, "Malformed JSON: nested too deeply.") from None
    except ValueError as error:
        raise RestError(400, f"Malformed JSON: {error}.") from None
    return value


def string_map(value: object, what: str, *, nulls: bool = False) -> dict[str, str | None]:
    """A flat map of strings; numbers and booleans become text as Connect's parser makes them."""
    if not isinstance(value, dict):
        raise RestError(400, f"{what} must be a JSON object of strings, got {_kind(value)}.")
    return {name: _scalar(name, item, nulls) for name, item in value.items()}


def config_map(value: object, name: str | None = None) -> dict[str, str]:
    """A connector configuration whose ``name``, where given, is the connector's."""
    texts = string_map(value, "The connector configuration")
    config = {key: text for key, text in texts.items() if text is not None}
    if name is not None:
        included = config.setdefault("name", name)
        if included != name:
            raise RestError(
                400,
                f"Connector name configuration ({included}) doesn't match connector name in the "
                f"URL ({name})",
                key="name",
            )
    return config


def offset_list(value: object) -> list[dict[str, object]]:
    """``[{"partition": {...}, "offset": {...}|null}, ...]``, not empty."""
    if value is None or value == []:
        text = "Partitions / offsets need to be provided for an alter offsets request"
        raise RestError(400, text)
    if not isinstance(value, list):
        raise RestError(400, f"offsets must be a JSON array, got {_kind(value)}.")
    for place, entry in enumerate(value):
        if not isinstance(entry, dict):
            raise RestError(400, f"offsets[{place}] must be a JSON object, got {_kind(entry)}.")
        known_fields(entry, {"partition", "offset"}, f"offsets[{place}]")
        for field in ("partition", "offset"):
            part = entry.get(field)
            if part is not None and not isinstance(part, dict):
                text = f"offsets[{place}].{field} must be a JSON object, got {_kind(part)}."
                raise RestError(400, text)
    return [{"partition": e.get("partition"), "offset": e.get("offset")} for e in value]


def known_fields(value: Mapping[str, object], known: set[str], what: str) -> None:
    """Refuse fields that nobody would read."""
    for field in value:
        if field not in known:
            names = ", ".join(sorted(known))
            raise RestError(400, f'Unrecognized field "{field}" in {what} (known: {names}).')


async def _read(request: Request) -> bytes:
    body = bytearray()
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received <= MAX_BODY_BYTES:
            body += chunk
        elif received > MAX_DRAINED_BYTES:
            break  # else read to its end: a client that still writes would not hear the answer
    if received > MAX_BODY_BYTES:
        close = {"Connection": "close"} if received > MAX_DRAINED_BYTES else None
        message = f"The request body is larger than {MAX_BODY_BYTES} bytes."
        raise RestError(413, message, headers=close)
    return bytes(body)


def _check_content_type(header: str | None) -> None:
    kind, *parameters = (part.strip().lower() for part in (header or "").split(";"))
    charsets = [p.partition("=")[2].strip('"') for p in parameters if p.startswith("charset")]
    if kind != "application/json" or any(c not in ("utf-8", "utf8") for c in charsets):
        hint = "Send Content-Type: application/json."
        raise RestError(415, standard_message(415), hint=hint)


def _unique(pairs: list[tuple[str, object]]) -> JsonObject:
    result: JsonObject = {}
    for name, value in pairs:
        if name in result:
            raise RestError(400, f'Malformed JSON: duplicate field "{name}".')
        result[name] = value
    return result


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _scalar(name: str, value: object, nulls: bool) -> str | None:
    if value is None:
        if nulls:
            return None
        text = "Null value can not be supplied as the configuration value."
        raise RestError(400, text, key=name)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise RestError(400, f'The value of "{name}" must be a string, got {_kind(value)}.', key=name)


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    return "null" if value is None else kinds.get(type(value), "a number")
