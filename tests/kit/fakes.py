"""The fake plugins (``tests/kit/fake_plugins``) and stand-ins for what surrounds a loop."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from connect.context import NoMetrics

FAKE_PLUGINS = Path(__file__).parent / "fake_plugins"
if str(FAKE_PLUGINS) not in sys.path:
    sys.path.append(str(FAKE_PLUGINS))


class FakeRun:
    """Satisfies ``connect.runtime.run.Run``: asks to stop as soon as ``until`` says so."""

    def __init__(self, until: Callable[[], bool]) -> None:
        self.metrics = NoMetrics()
        self.log_errors = False
        self.until = until
        self.is_open = False
        self.topics: set[str] = set()

    def stop_asked(self) -> bool:
        """Whether ``until`` says so."""
        return self.until()

    def opened(self) -> None:
        """Note it."""
        self.is_open = True

    def uses(self, topics: Iterable[str]) -> None:
        """Note it."""
        self.topics.update(topics)
