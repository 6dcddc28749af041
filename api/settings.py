"""The server's settings: worker.properties, ``CONNECT_*`` variables and command-line options.

Keys are those of Kafka Connect's standalone and distributed workers as far as they mean something
here. A key that would change what the user gets is refused with a hint; one that can't is noted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final, NamedTuple
from urllib.parse import urlsplit

from connect.config import Config, Refused, key, parse, subkeys
from connect.errors import ConfigError
from connect.runtime.providers import parse_properties
from connect.runtime.settings import JSON_CONVERTER

IGNORED: Final[Mapping[str, str]] = {
    r"group\.id|client\.(id|dns\.lookup)": "there is one worker",
    r"(config|offset|status)\.storage\.(topic|partitions|replication\.factor)": "the bundled log "
    "keeps connect-configs, connect-offsets and connect-status",
    r"offset\.storage\.file\.filename": "offsets are kept in the bundled log; the file is not read",
    r"offset\.flush\.(interval|timeout)\.ms": "offsets are committed with every batch",
    r"plugin\.(path|discovery)": "plugins are Python packages found by their entry points",
    r"rest\.advertised\.(host\.name|port|listener)": "there is one worker",
    r"(producer|consumer|admin)\..*": "there is no Kafka client between worker and log",
    r"(session|heartbeat|rebalance)\.(timeout|interval)\.ms|scheduled\.rebalance\..*"
    r"|connect\.protocol|worker\.(sync|unsync)\..*|inter\.worker\..*": "there is one worker",
    r"exactly\.once\.source\.support": "every source is exactly once",
    r"internal\.(key|value)\.converter.*": "internal records are JSON as Kafka Connect's",
    r"config\.providers|config\.providers\.[^.]+\.class": "env, file and dir are built in",
    r"metrics?\..*": "metrics are at /metrics",
    r"log4j\..*": "levels are set at /admin/loggers",
}


class WorkerConfig(Config):
    """Keys of the worker."""

    data_dir: str = key(
        "data.dir",
        doc="Directory of the log and of everything the worker keeps. One server at a time.",
        group="Storage",
        default="tailrace-data",
        importance="HIGH",
    )
    listeners: tuple[str, ...] = key(
        "listeners",
        doc="One address to listen on, `http://HOST:PORT`. Another host than loopback needs "
        "authentication.",
        group="REST",
        default=("http://127.0.0.1:8083",),
        importance="HIGH",
    )
    rest_port: int | None = key(
        "rest.port", doc="Port of the listener.", group="REST", default=None, ge=0, le=65535
    )
    rest_host: str | None = key(
        "rest.host.name", doc="Host of the listener.", group="REST", default=None
    )
    auth_file: str | None = key(
        "rest.auth.file",
        doc="File with a line `user:password` for each user, for HTTP basic authentication. The "
        "password is plain or as `tailrace server password` prints it.",
        group="REST",
        default=None,
    )
    key_converter: str = key(
        "key.converter",
        doc="Converter of keys where a connector names none; `key.converter.*` are its keys.",
        group="Converters",
        default=JSON_CONVERTER,
        importance="HIGH",
        type="CLASS",
    )
    value_converter: str = key(
        "value.converter",
        doc="Converter of values where a connector names none; `value.converter.*` are its keys.",
        group="Converters",
        default=JSON_CONVERTER,
        importance="HIGH",
        type="CLASS",
    )
    header_converter: str | None = key(
        "header.converter",
        doc="Only org.apache.kafka.connect.storage.SimpleHeaderConverter, the default.",
        group="Converters",
        default=None,
        importance="LOW",
        type="CLASS",
    )
    shutdown_ms: int = key(
        "task.shutdown.graceful.timeout.ms",
        doc="How long a task may finish its batch before it is killed.",
        group="Tasks",
        default=5000,
        type="LONG",
        ge=0,
        le=20_000,
    )
    clean_ms: int = key(
        "log.retention.check.interval.ms",
        doc="How often retention and compaction run.",
        group="Storage",
        default=300_000,
        type="LONG",
        ge=1000,
    )
    env_patterns: tuple[str, ...] = key(
        "config.providers.env.param.allowlist.pattern",
        doc="Regular expressions of the variables that `${env:NAME}` may read; the name must match "
        "one wholly. Empty: none.",
        group="References",
        default=(),
    )
    file_paths: tuple[str, ...] = key(
        "config.providers.file.param.allowed.paths",
        doc="Directories and files that `${file:/path:key}` may read. Empty: none.",
        group="References",
        default=(),
    )
    dir_paths: tuple[str, ...] = key(
        "config.providers.dir.param.allowed.paths",
        doc="Directories that `${dir:/path:file}` may read. Empty: none.",
        group="References",
        default=(),
    )

    prefixes: ClassVar[tuple[str, ...]] = (
        "key.converter.",
        "value.converter.",
        "header.converter.",
    )
    refused: ClassVar[Mapping[str, Refused]] = {
        "bootstrap.servers": Refused(
            "this server keeps its own log and does not write to a Kafka cluster. Remove the key "
            "to use the bundled log."
        ),
        r"admin\.listeners": Refused("/admin is served by the one listener."),
        r"listeners\.https\..*|ssl\..*": Refused(
            "the server speaks HTTP; put a TLS proxy before it."
        ),
        r"access\.control\.allow\.(origin|methods)": Refused(
            "requests from pages of other sites are never served.", ("",)
        ),
        r"rest\.extension\.classes": Refused("Java classes can't run here.", ("",)),
        r"response\.http\.headers\.config": Refused("headers are fixed.", ("",)),
        r"topic\.creation\.enable": Refused("topics are created on first use.", ("true",)),
        r"topic\.tracking\.(enable|allow\.reset)": Refused(
            "active topics are always tracked and may be reset.", ("true",)
        ),
        r"connector\.client\.config\.override\.policy": Refused(
            "there is no Kafka client to override.", ("all", "none", "principal")
        ),
    }


class Settings(NamedTuple):
    """What the server is to do; ``notes`` are sentences about keys without effect."""

    data_dir: Path
    host: str
    port: int
    auth_file: Path | None
    token: str | None
    defaults: Mapping[str, str]
    providers: Mapping[str, tuple[str, ...]]
    worker: WorkerConfig
    notes: tuple[str, ...]


def load_settings(
    properties: Path | None, environ: Mapping[str, str], options: Mapping[str, str]
) -> Settings:
    """Options go before variables, variables before the file; ConfigError names the key."""
    given = {**_read(properties), **environment_keys(environ), **options}
    notes = []
    for name in list(given):
        why = next((w for pattern, w in IGNORED.items() if re.fullmatch(pattern, name)), None)
        if why is not None:
            notes.append(f"{name} has no effect: {why}.")
            del given[name]
    worker: WorkerConfig = parse(WorkerConfig, given)
    host, port = _listener(worker)
    return Settings(
        data_dir=Path(worker.data_dir).absolute(),
        host=host,
        port=port,
        auth_file=Path(worker.auth_file) if worker.auth_file else None,
        token=environ.get("TAILRACE_API_TOKEN") or None,
        defaults=_converters(worker, given),
        providers={"env": worker.env_patterns, "file": worker.file_paths, "dir": worker.dir_paths},
        worker=worker,
        notes=tuple(notes),
    )


def environment_keys(environ: Mapping[str, str]) -> dict[str, str]:
    """``CONNECT_KEY_CONVERTER`` is key.converter: ``_`` a dot, ``__`` a dash, ``___`` an
    underscore, as Confluent's image has it; TAILRACE_DATA_DIR and the Debezium image's bare names
    count too."""
    found = {}
    for name, value in environ.items():
        if name.startswith("CONNECT_") and name != "CONNECT_":
            rest = name.removeprefix("CONNECT_").lower()
            found[re.sub("_{1,3}", lambda run: ".-_"[len(run[0]) - 1], rest)] = value
    bare = {
        "BOOTSTRAP_SERVERS": "bootstrap.servers",
        "TAILRACE_DATA_DIR": "data.dir",
        "TAILRACE_AUTH_FILE": "rest.auth.file",
    }
    found.update({bare[name]: environ[name] for name in bare if environ.get(name)})
    return found


def _read(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    try:
        return parse_properties(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise ConfigError("worker.properties", f"Can't read {path}: {reason}.") from error


def _converters(worker: WorkerConfig, given: Mapping[str, str]) -> dict[str, str]:
    defaults = {
        "key.converter": worker.key_converter,
        "value.converter": worker.value_converter,
    }
    for side in ("key.converter", "value.converter"):
        if defaults[side] == JSON_CONVERTER:
            defaults[f"{side}.schemas.enable"] = "true"
        for name, value in subkeys(given, f"{side}.").items():
            defaults[f"{side}.{name}"] = value or ""
    return defaults


def _listener(worker: WorkerConfig) -> tuple[str, int]:
    if len(worker.listeners) != 1:
        raise ConfigError("listeners", "There must be one listener, http://HOST:PORT.")
    parts = urlsplit(worker.listeners[0])
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme != "http" or parts.path or (port is None and worker.rest_port is None):
        raise ConfigError(
            "listeners",
            f"Invalid value {worker.listeners[0]} for configuration listeners: "
            "expected http://HOST:PORT",
        )
    chosen = worker.rest_port if worker.rest_port is not None else port
    host = worker.rest_host if worker.rest_host is not None else parts.hostname
    return host or "0.0.0.0", chosen or 0
