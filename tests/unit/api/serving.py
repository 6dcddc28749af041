"""A REST server on a free port for tests, and a client that sends exactly what it is told."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any, NamedTuple

import uvicorn
from fastapi import FastAPI

JSON = {"Content-Type": "application/json"}


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def message(self) -> str:
        """The text of an error, whose whole shape is checked."""
        assert self.headers["content-type"] == "application/json"
        assert self.json["error_code"] == self.status
        return str(self.json["message"])


class Caller:
    """Sends requests as they are: paths are not re-encoded, bodies may be any bytes."""

    def __init__(self, port: int) -> None:
        self.port = port

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        given = {**(JSON if body is not None else {}), **(headers or {})}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, data, {k: v for k, v in given.items() if v != ""})
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, names, answer.read())
        finally:
            connection.close()


@contextmanager
def serving(app: FastAPI) -> Iterator[Caller]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        config = uvicorn.Config(app, log_config=None, lifespan="off", access_log=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: server.run(sockets=[listener]))
        thread.start()
        try:
            yield Caller(listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(timeout=20)
