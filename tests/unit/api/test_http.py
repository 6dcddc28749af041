"""What every path shares: errors, methods, bodies, hosts, credentials."""

from __future__ import annotations

import base64
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any, cast

import pytest

from api.app import create_app
from api.authentication import Authentication, hash_password
from api.body import MAX_BODY_BYTES
from api.services import Services
from connect.runtime.herder import Herder
from log_core import Log
from tests.unit.api.fake_herder import FakeHerder
from tests.unit.api.serving import Caller, serving

BODIED = [
    ("POST", "/connectors"),
    ("PUT", "/connectors/a/config"),
    ("PATCH", "/connectors/a/config"),
    ("PATCH", "/connectors/a/offsets"),
    ("PUT", "/connector-plugins/fake.Source/config/validate"),
    ("PUT", "/admin/loggers/root"),
]


class Broken(FakeHerder):
    def root(self) -> dict[str, Any]:
        raise RuntimeError("secret detail")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    with Log(Path(tmp_path_factory.mktemp("log")) / "data") as log:
        yield log


@pytest.fixture(scope="module")
def seen() -> SimpleQueue[tuple[str, str, int]]:
    return SimpleQueue()


@pytest.fixture(scope="module")
def call(log: Log, seen: SimpleQueue[tuple[str, str, int]]) -> Iterator[Caller]:
    herder = Broken()
    herder.create("a", {"connector.class": "fake.Source"})
    services = Services(cast(Herder, herder), log, lambda: b"")
    app = create_app(services, observe=lambda m, r, s, _: seen.put((m, r, s)))
    with serving(app) as caller:
        yield caller


@pytest.mark.parametrize(("method", "path"), BODIED)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b"1",
        b"{'a': 1}",
        b'{"a":1}x',
        b'{"a":NaN}',
        b'{"name":"a","name":"b"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b'{"a":' + b"1" * 10_000 + b"}",
    ],
)
def test_a_bad_body_is_a_bad_request(call: Caller, method: str, path: str, body: bytes) -> None:
    reply = call(method, path, body)
    assert reply.status == 400
    assert reply.message
    assert b"Traceback" not in reply.raw


@pytest.mark.parametrize(("method", "path"), BODIED)
@pytest.mark.parametrize("kind", ["", "text/plain", "application/json; charset=latin-1", "x"])
def test_the_content_type_must_be_json(call: Caller, method: str, path: str, kind: str) -> None:
    reply = call(method, path, b"{}", {"Content-Type": kind})
    assert (reply.status, reply.message) == (415, "HTTP 415 Unsupported Media Type")


def test_a_charset_may_be_named(call: Caller) -> None:
    kind = {"Content-Type": 'Application/JSON; charset="UTF-8"'}
    assert call("PATCH", "/connectors/a/config", b'{"x":"1"}', kind).status == 200


def test_a_duplicate_field_is_named(call: Caller) -> None:
    reply = call("PATCH", "/connectors/a/config", b'{"x": "1", "x": "2"}')
    assert (reply.status, reply.message) == (400, 'Malformed JSON: duplicate field "x".')


def test_large_bodies_are_refused(call: Caller) -> None:
    big = {"x": "y" * MAX_BODY_BYTES}
    reply = call("PATCH", "/connectors/a/config", big)
    assert reply.status == 413
    assert "larger than" in reply.message
    fits = {"x": "y" * (MAX_BODY_BYTES - 1000)}
    assert call("PATCH", "/connectors/a/config", fits).status == 200


def test_a_large_body_without_a_length_is_refused(call: Caller) -> None:
    with socket.create_connection(("127.0.0.1", call.port)) as link:
        link.sendall(
            b"PATCH /connectors/a/config HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        for _ in range(17):
            link.sendall(chunk)
        link.sendall(b"0\r\n\r\n")
        assert link.recv(100).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("path", ["/nothing", "/connectors/a/b/c/d", "/v1", "/docs", "/redoc"])
def test_unknown_paths(call: Caller, path: str) -> None:
    reply = call("GET", path)
    assert (reply.status, reply.message) == (404, "HTTP 404 Not Found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/connectors", "GET, HEAD, OPTIONS, POST"),
        ("POST", "/connectors/a", "DELETE, GET, HEAD, OPTIONS"),
        ("DELETE", "/connectors/a%2Fb/config", "GET, HEAD, OPTIONS, PATCH, PUT"),
        ("GET", "/connectors/a/restart", "OPTIONS, POST"),
        ("TRACE", "/connectors/a/offsets", "DELETE, GET, HEAD, OPTIONS, PATCH"),
    ],
)
def test_unknown_methods(call: Caller, method: str, path: str, allow: str) -> None:
    reply = call(method, path)
    assert (reply.status, reply.message) == (405, "HTTP 405 Method Not Allowed")
    assert reply.headers["allow"] == allow
    options = call("OPTIONS", path)
    assert (options.status, options.raw, options.headers["allow"]) == (200, b"", allow)
    assert "access-control-allow-origin" not in options.headers


def test_head_is_get_without_its_body(call: Caller) -> None:
    head, get = call("HEAD", "/connectors/a"), call("GET", "/connectors/a")
    assert (head.status, head.raw) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]
    assert call("HEAD", "/connectors/x").status == 404


@pytest.mark.parametrize("path", ["/connectors/", "/connectors;v=1", "/connectors/;v=1"])
def test_trailing_slash_and_matrix_parameters(call: Caller, path: str) -> None:
    reply = call("GET", path)
    # A segment of nothing but parameters is empty.
    assert reply.status == (400 if "/;" in path else 200)


@pytest.mark.parametrize("path", ["//connectors", "/connectors//status", "/connectors/%FF"])
def test_malformed_paths(call: Caller, path: str) -> None:
    assert call("GET", path).status == 400
    assert call("GET", path).message


def test_a_bug_shows_no_detail(call: Caller, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="api.guard"):
        reply = call("GET", "/")
    assert reply.status == 500
    assert reply.message.startswith("Internal error, see the server's log for incident ")
    assert "secret detail" not in reply.message
    assert "secret detail" in caplog.text
    assert reply.message.rpartition(" ")[2].rstrip(".") in caplog.text


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:1", 200),
        ("127.0.0.1", 200),
        ("127.9.9.9:80", 200),
        ("[::1]:8083", 200),
        ("LOCALHOST", 200),
        ("a.localhost", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost@evil.example", 403),
        ("192.168.0.1", 403),
        ("0.0.0.0:8083", 403),
    ],
)
def test_only_loopback_names_are_served(call: Caller, host: str, status: int) -> None:
    assert call("GET", "/connectors", headers={"Host": host}).status == status
    assert call("GET", "/health", headers={"Host": host}).status == status


def test_pages_of_other_sites_are_not_served(call: Caller) -> None:
    evil = {"Origin": "http://evil.example"}
    assert call("POST", "/connectors/a/restart", headers=evil).status == 403
    same = {"Origin": f"http://127.0.0.1:{call.port}"}
    assert call("POST", "/connectors/a/restart", headers=same).status == 204


def test_answers_are_not_cached_or_guessed(call: Caller) -> None:
    headers = call("GET", "/connectors").headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"


def test_requests_are_counted_by_route_not_by_name(
    call: Caller, seen: SimpleQueue[tuple[str, str, int]]
) -> None:
    call("POST", "/connectors/a/tasks/0/restart")
    call("POST", "/no/such/path")
    counted = []
    while ("POST", "none", 404) not in counted:  # a request is counted after its answer is sent
        counted.append(seen.get(timeout=10))
    assert ("POST", "/connectors/{connector}/tasks/{task}/restart", 204) in counted


@pytest.fixture(scope="module")
def guarded(log: Log) -> Iterator[Caller]:
    services = Services(cast(Herder, FakeHerder()), log, lambda: b"metrics")
    users = {"ann": hash_password("päss:word"), "bob": "plain"}
    with serving(create_app(services, authentication=Authentication("t0ken", users))) as caller:
        yield caller


class TestAuthentication:
    @pytest.mark.parametrize(
        "path", ["/", "/connectors", "/metrics", "/v1/topics", "/openapi.json", "/nothing"]
    )
    def test_every_path_but_health_needs_credentials(self, guarded: Caller, path: str) -> None:
        reply = guarded("GET", path)
        assert (reply.status, reply.message) == (401, "HTTP 401 Unauthorized")
        assert reply.headers["www-authenticate"].startswith("Basic realm=")
        assert guarded("GET", "/health").status == 200

    @pytest.mark.parametrize(
        ("header", "status"),
        [
            ("Bearer t0ken", 200),
            ("bearer  t0ken ", 200),
            ("Bearer t0keN", 401),
            ("Bearer", 401),
            ("Basic " + base64.b64encode("ann:päss:word".encode()).decode(), 200),
            ("Basic " + base64.b64encode(b"bob:plain").decode(), 200),
            ("Basic " + base64.b64encode(b"bob:plains").decode(), 401),
            ("Basic " + base64.b64encode(b"eve:plain").decode(), 401),
            ("Basic " + base64.b64encode(b"bob").decode(), 401),
            ("Basic %%%", 401),
            ("Digest x", 401),
        ],
    )
    def test_credentials(self, guarded: Caller, header: str, status: int) -> None:
        for _ in range(2):  # the second time the outcome may be remembered
            headers = {"Authorization": header, "Host": "connect.example"}
            assert guarded("GET", "/connectors", headers=headers).status == status
