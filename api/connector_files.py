"""Connector files: JSON as REST takes it, flat JSON, or Java properties."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from api.body import config_map, known_fields, offset_list, parse_json
from api.errors import RestError
from connect.errors import ConfigError
from connect.runtime.providers import parse_properties


class ConnectorFile(NamedTuple):
    """A connector as a file describes it."""

    name: str
    config: dict[str, str]
    initial_state: str | None = None
    initial_offsets: list[dict[str, object]] | None = None


def read_connectors(source: str, data: bytes) -> list[ConnectorFile]:
    """The connectors of one file, a JSON array may hold several; ConfigError names the file."""
    try:
        if Path(source).suffix == ".properties":
            return [_connector(dict(parse_properties(data.decode("utf-8"))))]
        value = parse_json(data)
        return [_connector(item) for item in (value if isinstance(value, list) else [value])]
    except UnicodeDecodeError:
        raise ConfigError("file", f"{source} is not UTF-8.") from None
    except RestError as error:
        raise ConfigError("file", f"{source}: {error.message}", code="file.invalid") from None


def _connector(value: object) -> ConnectorFile:
    if not isinstance(value, dict):
        raise RestError(400, "a connector must be a JSON object.")
    if isinstance(value.get("config"), dict):
        known_fields(value, {"name", "config", "initial_state", "initial_offsets"}, "the file")
        config = config_map(value["config"])
        name = str(value.get("name") or config.get("name") or "")
        state, offsets = value.get("initial_state"), value.get("initial_offsets")
    else:
        config, state, offsets = config_map(value), None, None
        name = config.get("name", "")
    if not name:
        raise RestError(400, "the connector has no name.")
    return ConnectorFile(
        name,
        config_map(config, name),
        None if state is None else str(state).upper(),
        None if offsets is None else offset_list(offsets),
    )
