"""Named failpoints: places where tests make a process die or fail.

Armed by the environment variable ``TAILRACE_FAIL``, a comma-separated list of
``name:kill[:N]`` or ``name:error[:N]``: at the Nth arrival (default: the first) the process kills
itself with SIGKILL, or ``InjectedFault`` is raised. Not armed, ``reach`` is an empty function.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Final

from connect.errors import RetriableError

NAMES: Final = (
    "after_decode",  # a source task returned a poll; nothing was encoded
    "before_append",  # a poll is encoded
    "after_append",  # rows and offset are durable; the source was not told
    "after_confirm",  # the source was told
    "after_put",  # a sink task accepted a batch
    "before_sink_flush",
    "after_sink_flush",  # durable in the target, not yet in the group's offsets
    "after_sink_commit",
    "during_snapshot_chunk",  # some of a table's rows are durable
    "after_snapshot",  # every row is, and that it was the last one is not
)


class InjectedFault(RetriableError):
    """Raised by an armed failpoint."""

    default_code = "fault.injected"


def armed(setting: str) -> Callable[[str], None]:
    """The function ``reach`` for a value of ``TAILRACE_FAIL``; ValueError if it makes no sense."""
    if not setting:
        return lambda name: None
    points: dict[str, tuple[str, int]] = {}
    for item in setting.split(","):
        name, _, rest = item.strip().partition(":")
        action, _, count = rest.partition(":")
        if name not in NAMES or action not in ("kill", "error"):
            raise ValueError(f"TAILRACE_FAIL: {item!r}; names are {', '.join(NAMES)}")
        points[name] = (action, int(count or 1))
    arrivals = dict.fromkeys(points, 0)

    def reach(name: str) -> None:
        if name not in points:
            return
        action, at = points[name]
        arrivals[name] += 1
        if arrivals[name] == at:
            if action == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise InjectedFault(f"failpoint {name}")

    return reach


reach: Final = armed(os.environ.get("TAILRACE_FAIL", ""))
"""``reach(name)``: the process arrived at the failpoint of that name."""
