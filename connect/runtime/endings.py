"""How a task ended, as it tells the worker: the exception's class says what to do next."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any, Final, Literal

from connect.errors import (
    CdcError,
    ConfigError,
    FatalError,
    FencedError,
    RecordError,
    RetriableError,
)

Kind = Literal["stopped", "config", "retriable", "record", "fenced", "fatal", "bug"]

_KINDS: Final[tuple[tuple[type[BaseException], Kind], ...]] = (
    (ConfigError, "config"),
    (RetriableError, "retriable"),
    (RecordError, "record"),
    (FencedError, "fenced"),
    (FatalError, "fatal"),
    (CdcError, "fatal"),
)

# The messages of these speak of code or of the system, never of data.
_TELLING: Final = (
    CdcError, OSError, TypeError, AttributeError, NameError, ImportError, AssertionError,
    NotImplementedError, RuntimeError, MemoryError,
)  # fmt: skip


def ending(error: BaseException | None, clean: Callable[[str], str] = str) -> dict[str, Any]:
    """The body of the ``ended`` line; None: the task was asked to stop, and did.

    ``clean`` removes secrets. Messages of exceptions that may quote data are left out.
    """
    if error is None:
        return {
            "kind": "stopped", "code": None, "message": "", "hint": None, "trace": None,
            "after": None, "key": None,
        }  # fmt: skip
    kind: Kind = next((kind for cls, kind in _KINDS if isinstance(error, cls)), "bug")
    known = isinstance(error, CdcError)
    hint = error.hint if isinstance(error, CdcError) else "This is a bug; please report it."
    return {
        "kind": kind,
        "code": error.code if isinstance(error, CdcError) else "task.bug",
        "message": clean(error.message if isinstance(error, CdcError) else told(error)),
        "hint": clean(hint) if hint else None,
        "trace": clean(trace(error)) if known or kind == "bug" else None,
        "after": error.after if isinstance(error, RetriableError) else None,
        "key": error.key if isinstance(error, ConfigError) else None,
    }


def told(error: BaseException) -> str:
    """Class and message of an exception; the class alone where a message may quote data."""
    name = type(error).__qualname__
    return f"{name}: {error}" if isinstance(error, _TELLING) else name


def trace(error: BaseException) -> str:
    """The traceback with its causes, as Python prints it, less messages that may quote data."""
    parts = []
    cause: BaseException | None = error
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        frames = "".join(traceback.format_tb(cause.__traceback__))
        parts.append(f"Traceback (most recent call last):\n{frames}{told(cause)}\n")
        context = None if cause.__suppress_context__ else cause.__context__
        cause = cause.__cause__ or context
    return "\nwhich came from:\n\n".join(parts)
