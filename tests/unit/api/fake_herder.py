"""A herder in memory: Kafka Connect's answers without a worker behind them."""

from __future__ import annotations

from typing import Any

from connect.runtime.herder import HerderError, NotFound

ALTERED = "The offsets for this connector have been altered successfully"
RESET = "The offsets for this connector have been reset successfully"
PLUGIN = {"class": "fake.Source", "type": "source", "version": "1.0"}
KEY = {"name": "topic", "type": "STRING", "required": True, "default_value": None}


class FakeHerder:
    """Keeps configurations and states; ``calls`` lists what was asked with which arguments."""

    def __init__(self) -> None:
        self.configs: dict[str, dict[str, str]] = {}
        self.states: dict[str, str] = {}
        self.calls: list[tuple[Any, ...]] = []

    def _note(self, *call: Any) -> None:
        self.calls.append(call)

    def _known(self, name: str) -> None:
        if name not in self.configs:
            raise NotFound(f"Connector {name} not found")

    def root(self) -> dict[str, Any]:
        return {"version": "0.1.0", "commit": "unknown", "kafka_cluster_id": "abc"}

    def connectors(self) -> list[str]:
        return list(self.configs)

    def info(self, name: str) -> dict[str, Any]:
        self._known(name)
        config = self.configs[name]
        tasks = [{"connector": name, "task": 0}]
        return {"name": name, "config": config, "tasks": tasks, "type": "source"}

    def config(self, name: str) -> dict[str, str]:
        return dict(self.info(name)["config"])

    def status(self, name: str) -> dict[str, Any]:
        self._known(name)
        part = {"state": self.states[name], "worker_id": "127.0.0.1:8083", "version": "1.0"}
        return {"name": name, "connector": part, "tasks": [{"id": 0, **part}], "type": "source"}

    def create(
        self, name: str, config: dict[str, str], initial_state: Any = None, offsets: Any = None
    ) -> dict[str, Any]:
        self._note("create", name, config, initial_state, offsets)
        if name in self.configs:
            raise HerderError(409, f"Connector {name} already exists")
        if "connector.class" not in config:
            raise HerderError(400, "Connector config contains no connector type")
        self.configs[name] = config
        self.states[name] = initial_state or "RUNNING"
        return self.info(name)

    def put_config(self, name: str, config: dict[str, str]) -> tuple[bool, dict[str, Any]]:
        created = name not in self.configs
        self.configs[name] = config
        self.states.setdefault(name, "RUNNING")
        return created, self.info(name)

    def patch_config(self, name: str, patch: dict[str, str | None]) -> dict[str, Any]:
        self._known(name)
        merged = {**self.configs[name], **patch}
        self.configs[name] = {key: value for key, value in merged.items() if value is not None}
        return self.info(name)

    def delete(self, name: str) -> None:
        self._known(name)
        del self.configs[name]

    def _move(self, name: str, state: str) -> None:
        if name not in self.configs:
            raise NotFound(f"Unknown connector {name}")
        self.states[name] = state

    def pause(self, name: str) -> None:
        self._move(name, "PAUSED")

    def resume(self, name: str) -> None:
        self._move(name, "RUNNING")

    def stop(self, name: str) -> None:
        self._move(name, "STOPPED")

    def restart(self, name: str, include_tasks: bool, only_failed: bool) -> dict[str, Any] | None:
        self._note("restart", name, include_tasks, only_failed)
        if name not in self.configs:
            raise NotFound(f"Unknown connector: {name}")
        return self.status(name) if include_tasks or only_failed else None

    def restart_task(self, name: str, task: int) -> None:
        self._known(name)
        self._note("restart_task", name, task)
        if task:
            raise NotFound(f"Unknown task: {name}-{task}")

    def tasks(self, name: str) -> list[dict[str, Any]]:
        return [{"id": {"connector": name, "task": 0}, "config": self.config(name)}]

    def task_status(self, name: str, task: int) -> dict[str, Any]:
        found: dict[str, Any] = self.status(name)["tasks"][task]
        return found

    def offsets(self, name: str) -> dict[str, Any]:
        self._known(name)
        return {"offsets": [{"partition": {"server": "s"}, "offset": {"lsn": 5}}]}

    def alter_offsets(self, name: str, offsets: Any) -> str:
        self._known(name)
        self._note("alter_offsets", name, offsets)
        return ALTERED

    def reset_offsets(self, name: str) -> str:
        self._known(name)
        return RESET

    def active_topics(self, name: str) -> dict[str, Any]:
        return {name: {"topics": ["t"] if name in self.configs else []}}

    def reset_topics(self, name: str) -> None:
        self._note("reset_topics", name)

    def plugins(self, connectors_only: bool) -> list[dict[str, Any]]:
        return [PLUGIN] if connectors_only else [PLUGIN, {"class": "Json", "type": "converter"}]

    def plugin_config(self, plugin: str) -> list[dict[str, Any]]:
        if plugin != PLUGIN["class"]:
            raise NotFound(f"Unknown plugin {plugin}.")
        return [KEY]

    def validate(self, plugin: str, config: dict[str, str]) -> dict[str, Any]:
        if "connector.class" not in config:
            raise HerderError(400, "Connector config {} contains no connector type")
        errors = [] if config.get("topic") else ["topic is missing"]
        value = {"name": "topic", "value": config.get("topic"), "errors": errors}
        entry = {"definition": KEY, "value": value}
        return {"name": plugin, "error_count": len(errors), "groups": [], "configs": [entry]}

    def loggers(self) -> dict[str, Any]:
        return {"root": {"level": "INFO", "last_modified": None}}

    def logger(self, name: str) -> dict[str, Any]:
        if name != "root":
            raise NotFound(f"Logger {name} not found.")
        return {"level": "INFO", "last_modified": None}

    def set_logger(self, name: str, level: str, scope: str) -> list[str]:
        self._note("set_logger", name, level, scope)
        if level not in ("DEBUG", "INFO"):
            raise NotFound(f"invalid log level '{level}'.")
        return [name]
