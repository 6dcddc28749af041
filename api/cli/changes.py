"""One change as a line for people: ``UPDATE id=1042   status "new" → "paid"``."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final

from api.cli.readable import Bare, readable

OPERATIONS: Final = {
    "c": "INSERT", "u": "UPDATE", "d": "DELETE", "r": "READ", "t": "TRUNCATE", "m": "MESSAGE",
}  # fmt: skip
UNAVAILABLE_HEADER: Final = "__tailrace.unavailable"
NOT_SENT: Final = "(not sent)"
LONGEST_VALUE: Final = 60


def describe_change(record: dict[str, Any]) -> tuple[str, str]:
    """The operation's word, and the line; any record is described, a change event best."""
    value = payload(record["value"])
    key = _key(payload(record["key"]))
    clock = datetime.fromtimestamp(record["timestamp"] / 1000).strftime("%H:%M:%S.%f")[:-3]
    place = f"p{record['partition']} @{record['offset']}  {clock}"
    if value is None:
        return "TOMBSTONE", f"{place}  TOMBSTONE {key}".rstrip()
    if not _is_change(value):
        return "RECORD", f"{place}  RECORD {key}   {show(value)}"
    verb = OPERATIONS[value["op"]]
    parts = [f"{verb} {key}".rstrip(), *_details(value, _unavailable(record)), *_origin(value)]
    return verb, f"{place}  " + "   ".join(part for part in parts if part)


def _is_change(value: Any) -> bool:
    return isinstance(value, dict) and value.get("op") in OPERATIONS and "source" in value


def payload(value: Any) -> Any:
    """The payload of a JSON converter's ``{"schema", "payload"}``, its decimals and times made
    readable; or the value itself."""
    if isinstance(value, dict) and value.keys() == {"schema", "payload"}:
        return readable(value["schema"], value["payload"])
    return value


def show(value: Any) -> str:
    """A value as JSON, cut when long; JSON's escapes keep control characters off the terminal."""
    bare = value == NOT_SENT or isinstance(value, Bare)
    text = value if bare else json.dumps(value, ensure_ascii=False)
    clean = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
    return clean if len(clean) <= LONGEST_VALUE else clean[: LONGEST_VALUE - 1] + "…"


def _key(key: Any) -> str:
    if isinstance(key, dict):
        return " ".join(f"{show(name)[1:-1]}={show(value)}" for name, value in key.items())
    return "" if key is None else show(key)


def _unavailable(record: dict[str, Any]) -> set[str]:
    named = [value for name, value in record["headers"] if name == UNAVAILABLE_HEADER]
    return {path for text in named for path in str(text or "").split(",")}


def _details(value: dict[str, Any], unavailable: set[str]) -> list[str]:
    before, after = (_side(value, side, unavailable) for side in ("before", "after"))
    if before is not None and after is not None:
        changed = [name for name in after if before.get(name, None) != after[name]]
        changed = [name for name in changed if after[name] != NOT_SENT]
        return [f"{_name(n)} {show(before.get(n))} → {show(after[n])}" for n in changed]
    if after is not None:
        return [" ".join(f"{_name(n)}={show(v)}" for n, v in after.items())]
    if before is not None:
        known = {n: v for n, v in before.items() if v is not None}
        return [f"(was {' '.join(f'{_name(n)}={show(v)}' for n, v in known.items())})"]
    return []


def _side(value: dict[str, Any], side: str, unavailable: set[str]) -> dict[str, Any] | None:
    row = value.get(side)
    if not isinstance(row, dict):
        return None
    return {n: NOT_SENT if f"{side}.{n}" in unavailable else cell for n, cell in row.items()}


def _name(name: str) -> str:
    return show(name)[1:-1]


def _origin(value: dict[str, Any]) -> list[str]:
    source = value.get("source") or {}
    parts = [f"tx {source['txId']}"] if source.get("txId") is not None else []
    if isinstance(value.get("ts_ms"), int) and isinstance(source.get("ts_ms"), int):
        parts.append(f"+{max(value['ts_ms'] - source['ts_ms'], 0) / 1000:.2f} s")
    return ["  ".join(parts)]
