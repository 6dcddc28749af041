"""The REST client of the commands: standard library only, because importing others takes time."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import quote, unquote, urlencode, urlsplit

import click

from api.cli.errors import INPUT, OURS, UNREACHABLE, Failure

DEFAULT_URL: Final = "http://127.0.0.1:8083"

Query = Mapping[str, str | int | float] | Sequence[tuple[str, str]]

F = TypeVar("F", bound=Callable[..., Any])


class Answer(NamedTuple):
    """An answer below 400."""

    status: int
    raw: bytes

    @property
    def body(self) -> Any:
        """The JSON value; None when there was no body."""
        return json.loads(self.raw) if self.raw else None


@dataclass(frozen=True, slots=True)
class Client:
    """Asks one server; every failure becomes a Failure with the right exit code."""

    url: str
    token: str | None = None
    timeout: float = 60.0

    def get(self, *path: str, **query: str | int | float) -> Any:
        """GET; the JSON body."""
        return self.ask("GET", path, query=query).body

    def ask(
        self,
        method: str,
        path: tuple[str, ...],
        body: object = None,
        query: Query | None = None,
    ) -> Answer:
        """One request; each element of ``path`` is a segment and may hold any character."""
        target = "/" + "/".join(quote(segment, safe="") for segment in path)
        if query:
            target += "?" + urlencode(query)
        status, raw = self._send(method, target, body)
        if status >= 400:
            raise self._failure(status, raw, target)
        return Answer(status, raw)

    def _send(self, method: str, target: str, body: object) -> tuple[int, bytes]:
        parts = urlsplit(self.url)
        headers = {"Accept": "application/json, text/plain;q=0.9"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        elif parts.username is not None:
            user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers["Authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.hostname or "127.0.0.1", parts.port, timeout=self.timeout)
        data = None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, parts.path.rstrip("/") + target, data, headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, HTTPException) as error:
            raise Failure(
                UNREACHABLE,
                f"No answer from {self.shown}: {error or type(error).__name__}",
                hint="Start one with: tailrace server start. Or name another with --url "
                "or TAILRACE_URL.",
            ) from error
        finally:
            connection.close()

    def _failure(self, status: int, raw: bytes, target: str) -> Failure:
        try:
            value = json.loads(raw)
        except ValueError:
            value = None
        body = value if isinstance(value, dict) else {}
        message = str(body.get("message") or f"HTTP {status}")
        hint = body.get("hint")
        if status == 401:
            hint = "Set TAILRACE_API_TOKEN, or write http://USER:PASSWORD@HOST:PORT as --url."
        elif status == 404 and target.startswith("/v1/") and message.startswith("HTTP 404"):
            message = f"{self.shown} has no {target.partition('?')[0]}"
            hint = "This command needs a Tailrace server; that one looks like Kafka Connect."
        return Failure(
            OURS if status >= 500 else INPUT,
            message,
            key=body.get("key"),
            code=body.get("code"),
            hint=hint,
        )

    @property
    def shown(self) -> str:
        """The URL without a password."""
        parts = urlsplit(self.url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def client(url: str | None) -> Client:
    """The client for ``--url``, else TAILRACE_URL, KAFKA_CONNECT_REST, this machine."""
    found = url or os.environ.get("TAILRACE_URL") or os.environ.get("KAFKA_CONNECT_REST")
    text = found or DEFAULT_URL
    if "://" not in text:
        text = f"http://{text}"
    parts = urlsplit(text)
    try:
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise Failure(INPUT, "The server's URL is not http://HOST:PORT.", key="--url")
    return Client(text, os.environ.get("TAILRACE_API_TOKEN") or None)


def with_client(command: F) -> F:
    """Add ``--url`` to a command."""
    return click.option("--url", metavar="URL", help=f"The server; default {DEFAULT_URL}.")(command)
