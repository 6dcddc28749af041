"""What the person who runs a worker decides."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

JSON_CONVERTER: Final = "org.apache.kafka.connect.json.JsonConverter"

DEFAULT_CONVERTERS: Final[Mapping[str, str]] = {
    "key.converter": JSON_CONVERTER,
    "key.converter.schemas.enable": "true",
    "value.converter": JSON_CONVERTER,
    "value.converter.schemas.enable": "true",
}


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Settings of a worker.

    ``providers`` is what references in configurations may read, e.g. ``{"env": ["PG.*"]}``;
    ``defaults`` the converters (and their keys) of connectors that name none.
    """

    data_dir: Path
    worker_id: str = "127.0.0.1:8083"
    defaults: Mapping[str, str] = field(default_factory=lambda: DEFAULT_CONVERTERS)
    providers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    shutdown_seconds: float = 5.0  # task.shutdown.graceful.timeout.ms


def cluster_id(data_dir: Path) -> str:
    """The id of the log in this directory, made at the first call; REST's kafka_cluster_id.

    Targets keep it with positions: it must last as long as the log, and go when the log goes.
    """
    path = data_dir / "cluster.id"
    if not path.exists():
        handle = os.open(path.with_suffix(".new"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(str(uuid.uuid4()))
            file.flush()
            os.fsync(file.fileno())
        os.replace(path.with_suffix(".new"), path)
        directory = os.open(data_dir, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
    return path.read_text()
