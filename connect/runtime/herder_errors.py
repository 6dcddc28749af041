"""Why the herder refuses a request, with the HTTP status that REST answers."""

from __future__ import annotations


class HerderError(Exception):
    """A request that can't be granted; ``code``, ``hint`` and ``key`` as in ``connect.errors``."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        key: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.hint = hint
        self.key = key


class BadRequest(HerderError):
    """The request is wrong in itself, or the connector's state forbids it."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        key: str | None = None,
    ) -> None:
        super().__init__(400, message, code=code, hint=hint, key=key)


class NotFound(HerderError):
    """There is no such connector, task, plugin or logger."""

    def __init__(self, message: str) -> None:
        super().__init__(404, message)


class Conflict(HerderError):
    """It exists already, or somebody else changed it meanwhile."""

    def __init__(self, message: str) -> None:
        super().__init__(409, message)
