"""How a command fails: a message, where possible the key and what to do, and an exit code."""

from __future__ import annotations

import sys
from typing import Final

OURS: Final = 1
INPUT: Final = 2
UNREACHABLE: Final = 3
NO: Final = 4


class Failure(Exception):
    """A command that can't do what was asked; never shown with a traceback."""

    def __init__(
        self,
        exit_code: int,
        message: str,
        *,
        key: str | None = None,
        code: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.key = key
        self.code = code
        self.hint = hint

    def show(self) -> None:
        """Print it to standard error."""
        where = f"{self.key}: " if self.key else ""
        code = f" [{self.code}]" if self.code else ""
        print(f"Error: {where}{self}{code}", file=sys.stderr)
        if self.hint:
            print(f"  → {self.hint}", file=sys.stderr)
