"""Errors as Kafka Connect's REST API shows them: ``{"error_code", "message"}`` and a status."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import JSONResponse


class RestError(Exception):
    """A request that can't be served; ``extras`` (code, hint, key) follow Connect's two fields."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        **extras: str | None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers
        self.extras = extras


def error_response(
    status: int,
    message: str,
    extras: Mapping[str, str | None] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The answer to a request that failed."""
    body: dict[str, object] = {"error_code": status, "message": message}
    body.update({name: value for name, value in (extras or {}).items() if value is not None})
    return JSONResponse(body, status, dict(headers or {}))


def standard_message(status: int) -> str:
    """Connect's text for an error that the framework found, e.g. ``HTTP 404 Not Found``."""
    return f"HTTP {status} {HTTPStatus(status).phrase}"
