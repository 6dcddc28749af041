"""The outermost layer of the REST server: one pass over every request before any route.

It refuses foreign hosts, origins and credentials, brings the path into one spelling, and turns
whatever escapes a route into Connect's error body.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import time
import uuid
from collections.abc import Callable
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.authentication import Authentication
from api.errors import error_response, standard_message

logger = logging.getLogger(__name__)

Observer = Callable[[str, str, int, float], None]
"""Called once a request with method, route, status and seconds."""

OPEN_PATHS: Final = ("/health",)
SAFE_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class Guard:
    """ASGI middleware. Without ``authentication`` only loopback names are served."""

    def __init__(
        self,
        app: ASGIApp,
        authentication: Authentication | None = None,
        observe: Observer | None = None,
    ) -> None:
        self.app = app
        self.authentication = authentication
        self.observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.monotonic()
        method = scope["method"]
        reply = _Reply(send, head=method == "HEAD")
        scope = {**scope, "method": "GET" if method == "HEAD" else method}
        try:
            refusal = self._refuse(scope) or _normalise(scope)
            await (refusal or self.app)(scope, receive, reply)
        except Exception:
            await _report(scope, receive, reply)
        if self.observe is not None:
            route = getattr(scope.get("route"), "path", "none")
            self.observe(method, route, reply.status, time.monotonic() - started)

    def _refuse(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self.authentication is None and not is_loopback(_hostname(host)):
            # A page of another site whose name was re-pointed at this machine (DNS rebinding).
            hint = "Use http://127.0.0.1, or configure authentication."
            return error_response(403, f"Host {host!r} is not served.", {"hint": hint})
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return error_response(403, f"Requests from pages of {origin!r} are not served.")
        if self.authentication is None or scope["path"] in OPEN_PATHS:
            return None
        if self.authentication.allows(headers.get("authorization")):
            return None
        challenge = {"WWW-Authenticate": self.authentication.challenge}
        return error_response(401, standard_message(401), headers=challenge)


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _hostname(host: str) -> str:
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:@/]*))(?::[0-9]*)?", host)
    return "" if found is None else (found[1] or found[2]).lower()


def _normalise(scope: Scope) -> Response | None:
    """Put the path in one spelling, still percent-encoded: a name with a slash stays a segment.

    As in Connect a trailing slash and matrix parameters (``;a=b``) are ignored and an empty
    segment is refused.
    """
    raw = scope.get("raw_path") or quote(scope["path"]).encode()
    segments = raw.decode("latin-1").removeprefix("/").removesuffix("/").split("/")
    if segments == [""]:
        scope["path"] = "/"
        return None
    clean = []
    for segment in segments:
        try:
            name = unquote(segment.partition(";")[0], errors="strict")
        except UnicodeDecodeError:
            return error_response(400, "The path is not UTF-8.")
        if not name:
            return error_response(400, "The path has an empty segment.")
        clean.append(quote(name, safe=""))
    scope["path"] = "/" + "/".join(clean)
    return None


class _Reply:
    """The way back: adds headers, notes the status, and drops the body of a HEAD answer."""

    def __init__(self, send: Send, head: bool) -> None:
        self.send = send
        self.head = head
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in SAFE_HEADERS.items():
                headers.setdefault(name, value)
        elif self.head and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self.send(message)


async def _report(scope: Scope, receive: Receive, reply: _Reply) -> None:
    incident = uuid.uuid4().hex[:12]
    logger.exception("Request failed (incident %s): %s", incident, scope["method"])
    if not reply.status:
        message = f"Internal error, see the server's log for incident {incident}."
        await error_response(500, message)(scope, receive, reply)
