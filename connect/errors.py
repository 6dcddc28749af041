"""The exceptions of Tailrace, named for what the worker does next.

    CdcError                   .code (stable), .hint; the cause is kept by ``raise ... from``
    ├── ConfigError            the task never starts; REST answers 400; shown at that key
    ├── RetriableError         close, back off, reopen at the last committed offset
    │   ├── ConnectionLost     a server went away
    │   └── LogUnavailable     the log can't answer now
    ├── RecordError            errors.tolerance decides: fail, or dead-letter exactly these rows
    │   ├── DecodeError        bytes that can't be read
    │   └── SchemaMismatch     a value that does not fit its schema or its target
    ├── FencedError            stop quietly: a newer process owns this task
    └── FatalError             FAILED until a person acts

Any other exception is a bug: the task is FAILED with its traceback, never tolerated, never retried.
"""

from __future__ import annotations

from collections.abc import Mapping


class CdcError(Exception):
    """An error with a stable code and a hint that says what to do about it."""

    default_code = "error"

    def __init__(self, message: str, *, code: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.code = code or self.default_code
        self.hint = hint

    def __str__(self) -> str:
        text = f"{super().__str__()} [{self.code}]"
        return f"{text} {self.hint}" if self.hint else text

    @property
    def message(self) -> str:
        """The message alone, without code and hint."""
        return super().__str__()


class ConfigError(CdcError):
    """A configuration value that can't be used; ``key`` names it."""

    default_code = "config.invalid"

    def __init__(
        self, key: str, message: str, *, code: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.key = key


class RetriableError(CdcError):
    """A fault that may pass; ``after`` is the least wait in seconds before the next try."""

    default_code = "retriable"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        after: float | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.after = after


class ConnectionLost(RetriableError):
    """A server refused, cut or did not answer a connection."""

    default_code = "connection.lost"


class LogUnavailable(RetriableError):
    """The log can't be reached or has stopped."""

    default_code = "log.unavailable"


class RecordError(CdcError):
    """Rows of one batch that can't be processed: ``rows`` maps a row's index to its reason.

    Whoever raises it has accepted nothing of the batch; the batch may come again without these
    rows.
    """

    default_code = "record.rejected"

    def __init__(
        self,
        message: str,
        rows: Mapping[int, str],
        *,
        code: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.rows = dict(rows)


class DecodeError(RecordError):
    """Bytes that are not what their format says."""

    default_code = "record.undecodable"


class SchemaMismatch(RecordError):
    """A value that does not fit its schema or its target."""

    default_code = "record.schema_mismatch"


class FencedError(CdcError):
    """A newer process owns this task: stop quietly."""

    default_code = "task.fenced"


class FatalError(CdcError):
    """A state from which only a person can lead out; the hint says how."""

    default_code = "fatal"
