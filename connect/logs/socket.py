"""The bundled log from a task's process, over one end of a socket pair.

The task asks, the worker answers, one at a time. A frame is:

    length of the head u32 | head: JSON with ``sizes`` | bodies: RecordBatches of these sizes
"""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from connect import errors
from connect.errors import CdcError, LogUnavailable
from connect.log import TopicPartition, TopicSpec
from connect.logs.raw import Bounds, GroupPositions, RawBatches, RawLog
from connect.logs.records import RecordLog

if TYPE_CHECKING:
    from log_core import Log

logger = logging.getLogger(__name__)

_LENGTH: Final = struct.Struct(">I")
_JOINED_BYTES: Final = 1 << 16
_ERRORS: Final[dict[str, type[CdcError]]] = {
    each.__name__: each for each in (errors.FencedError, errors.FatalError, LogUnavailable)
}


class SocketLog(RecordLog):
    """Satisfies ``connect.log.Log`` over a socket whose other end ``serve`` answers."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(SocketRaw(sock))


class SocketRaw:
    """Satisfies ``RawLog``; used by one thread."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def open_writer(self, name: str) -> int:
        """See ``RawLog.open_writer``."""
        return int(self._ask("open_writer", name).head["answer"])

    def append(
        self,
        batches: Sequence[RawBatches],
        writer: tuple[str, int],
        group: GroupPositions | None = None,
    ) -> None:
        """See ``RawLog.append``."""
        moved = None if group is None else (group.group, _pairs(group.positions))
        names = [each.partition for each in batches]
        self._ask("append", names, writer, moved, bodies=[each.data for each in batches])

    def fetch(
        self, positions: Mapping[TopicPartition, int], timeout: float
    ) -> Sequence[RawBatches]:
        """See ``RawLog.fetch``."""
        answer = self._ask("fetch", _pairs(positions), timeout)
        names = answer.head["answer"]
        return [
            RawBatches(TopicPartition(*name), body)
            for name, body in zip(names, answer.bodies, strict=True)
        ]

    def group_positions(self, group: str) -> Mapping[TopicPartition, int]:
        """See ``RawLog.group_positions``."""
        return _mapping(self._ask("group_positions", group).head["answer"])

    def bounds(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, Bounds]:
        """See ``RawLog.bounds``."""
        answer = self._ask("bounds", list(partitions)).head["answer"]
        return {TopicPartition(*name): Bounds(*bounds) for name, bounds in answer}

    def create_topic(self, spec: TopicSpec) -> None:
        """See ``RawLog.create_topic``."""
        self._ask("create_topic", (spec.name, spec.partitions, dict(spec.config)))

    def topics(self) -> Mapping[str, TopicSpec]:
        """See ``RawLog.topics``."""
        answer = self._ask("topics").head["answer"]
        return {spec[0]: TopicSpec(*spec) for spec in answer}

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _ask(self, operation: str, *arguments: Any, bodies: Sequence[bytes] = ()) -> _Frame:
        try:
            _send(self._socket, {"ask": operation, "with": arguments}, bodies)
            answer = _receive(self._socket)
        except OSError as error:
            raise LogUnavailable(f"The worker's log is gone: {error.strerror}.") from error
        if answer is None:
            raise LogUnavailable("The worker's log is gone: it closed the connection.")
        failure = answer.head.get("error")
        if failure is None:
            return answer
        if failure["class"] not in _ERRORS:
            raise RuntimeError(f"the log failed: {failure['message']}")
        kind = _ERRORS[failure["class"]]
        raise kind(failure["message"], code=failure["code"], hint=failure["hint"])


def serve(log: Log, sock: socket.socket) -> None:
    """Answer one task's requests until it closes its end; the worker runs a thread per task."""
    from connect.logs.embedded import EmbeddedRaw  # a task has no need of it

    raw = EmbeddedRaw(log)
    with sock, contextlib.suppress(OSError):
        while (question := _receive(sock)) is not None:
            bodies: Sequence[bytes] = ()
            try:
                answer, bodies = _answer(raw, question)
                head = {"answer": answer}
            except CdcError as error:
                head = {"error": _failure(error, error.message, error.code, error.hint)}
            except Exception as error:  # told to the task, which fails with it
                logger.exception("a request of a task failed")
                head = {"error": _failure(error, f"{type(error).__name__}: {error}", None, None)}
            _send(sock, head, bodies)


class _Frame(NamedTuple):
    head: dict[str, Any]
    bodies: list[bytes]


def _answer(raw: RawLog, question: _Frame) -> tuple[Any, Sequence[bytes]]:
    arguments = question.head["with"]
    match question.head["ask"]:
        case "append":
            names, (writer, epoch), moved = arguments
            batches = [
                RawBatches(TopicPartition(*name), body)
                for name, body in zip(names, question.bodies, strict=True)
            ]
            group = None if moved is None else GroupPositions(moved[0], _mapping(moved[1]))
            raw.append(batches, (writer, epoch), group)
            return None, ()
        case "fetch":
            positions, timeout = arguments
            fetched = raw.fetch(_mapping(positions), timeout)
            return [each.partition for each in fetched], [each.data for each in fetched]
        case "open_writer":
            return raw.open_writer(*arguments), ()
        case "group_positions":
            return _pairs(raw.group_positions(*arguments)), ()
        case "bounds":
            names = [TopicPartition(*name) for name in arguments[0]]
            return list(raw.bounds(names).items()), ()
        case "create_topic":
            raw.create_topic(TopicSpec(*arguments[0]))
            return None, ()
        case "topics":
            specs = raw.topics().values()
            return [(spec.name, spec.partitions, dict(spec.config)) for spec in specs], ()
        case unknown:
            raise ValueError(f"no operation {unknown}")


def _failure(error: Exception, message: str, code: str | None, hint: str | None) -> dict[str, Any]:
    known = next((each for each in type(error).__mro__ if each.__name__ in _ERRORS), type(error))
    return {"class": known.__name__, "message": message, "code": code, "hint": hint}


def _pairs(positions: Mapping[TopicPartition, int]) -> list[tuple[TopicPartition, int]]:
    return list(positions.items())


def _mapping(pairs: Sequence[tuple[Sequence[Any], int]]) -> dict[TopicPartition, int]:
    return {TopicPartition(*name): offset for name, offset in pairs}


def _send(sock: socket.socket, head: Mapping[str, Any], bodies: Sequence[bytes]) -> None:
    text = orjson.dumps({**head, "sizes": [len(body) for body in bodies]}, default=tuple)
    start = _LENGTH.pack(len(text)) + text
    if sum(map(len, bodies)) < _JOINED_BYTES:
        sock.sendall(b"".join((start, *bodies)))
        return
    sock.sendall(start)
    for body in bodies:
        sock.sendall(body)


def _receive(sock: socket.socket) -> _Frame | None:
    """The next frame; None when the other side closed its end, also within a frame."""
    length = _exactly(sock, _LENGTH.size)
    text = length and _exactly(sock, *_LENGTH.unpack(length))
    if not text:
        return None
    head: dict[str, Any] = orjson.loads(text)
    bodies = []
    for size in head["sizes"]:
        body = _exactly(sock, size)
        if body is None:
            return None
        bodies.append(body)
    return _Frame(head, bodies)


def _exactly(sock: socket.socket, size: int) -> bytes | None:
    data = sock.recv(size, socket.MSG_WAITALL)
    while len(data) < size:
        more = sock.recv(size - len(data), socket.MSG_WAITALL)
        if not more:
            return None
        data += more
    return data
