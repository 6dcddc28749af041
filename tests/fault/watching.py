"""What the server says of its tasks, seen from outside."""

from __future__ import annotations

import threading
from typing import NamedTuple

from tests.kit.server import Server, until


class Seen(NamedTuple):
    """A task's state and the first line of its trace."""

    state: str
    cause: str


def task(server: Server, name: str) -> Seen:
    """The state of a connector's task 0; ABSENT when it has none."""
    tasks = server.request("GET", f"/connectors/{name}/status")["tasks"]
    if not tasks:
        return Seen("ABSENT", "")
    return Seen(tasks[0]["state"], tasks[0].get("trace", "").partition("\n")[0])


def await_state(server: Server, name: str, state: str, timeout: float = 90) -> Seen:
    """Wait for a state of a connector's task 0."""
    seen = [task(server, name)]

    def reached() -> bool:
        seen.append(task(server, name))
        return seen[-1].state == state

    try:
        until(reached, timeout, f"{name} is {state}")
    except AssertionError as error:
        raise AssertionError(f"{error}; last seen: {seen[-1]}") from None
    return seen[-1]


def snapshot_state(server: Server) -> str:
    """How far the stored offset says that the snapshot of the connector ``source`` is."""
    offsets = server.request("GET", "/connectors/source/offsets")["offsets"]
    if not offsets:
        return "not begun"
    return "complete" if offsets[0]["offset"]["snapshot_completed"] else "running"


def snapshot_complete(server: Server) -> None:
    """Wait for it."""
    until(lambda: snapshot_state(server) == "complete", 120, "the snapshot is complete")


def dies(server: Server, task: str, times: int | None = None) -> None:
    """Wait until processes of a task were killed so many times in all; once more by default."""
    wanted = server.deaths(task) + 1 if times is None else times
    until(lambda: server.deaths(task) >= wanted, 90, f"{task} died {wanted} times")


class Watch:
    """Samples a task's state in a thread while the ``with`` block runs."""

    def __init__(self, server: Server, name: str, every: float = 0.1) -> None:
        self.seen: list[Seen] = []
        self._server, self._name, self._every = server, name, every
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(30)

    @property
    def states(self) -> list[str]:
        """The states seen, each change once."""
        states = [seen.state for seen in self.seen]
        return [s for n, s in enumerate(states) if n == 0 or s != states[n - 1]]

    def _sample(self) -> None:
        while not self._end.wait(self._every):
            try:
                self.seen.append(task(self._server, self._name))
            except OSError:  # the server is away
                continue
