"""The replication connection: creating slots, streaming, and telling the server how far we are."""

from __future__ import annotations

import struct
import threading
import time
from types import TracebackType
from typing import Final, NamedTuple, Self

import psycopg
from psycopg import pq

from connect.errors import CdcError, ConnectionLost
from connectors.postgres.config import PostgresConfig
from connectors.postgres.pgoutput import lsn_text, parse_lsn
from connectors.postgres.session import classify, connect, failure, readable

_STATUS: Final = struct.Struct(">cQQQqB")
_POSTGRES_EPOCH: Final = 946_684_800_000_000
_KEEPALIVE: Final = 107  # k
RELEASE_SECONDS: Final = 2.0
_TICK: Final = 1.0  # seconds after which a position that moved is reported


class System(NamedTuple):
    """What IDENTIFY_SYSTEM says."""

    identifier: str
    timeline: int
    wal_end: int


class NewSlot(NamedTuple):
    """A slot just made: where it begins, and the snapshot of exactly that moment, which lives as
    long as the connection runs no other command."""

    consistent_point: int
    snapshot: str


class ReplicationConnection:
    """A connection in replication mode, for commands."""

    def __init__(self, config: PostgresConfig) -> None:
        self._connection = connect(config, replication=True)
        self.pgconn = self._connection.pgconn

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; temporary slots and exported snapshots go with it."""
        self._connection.close()

    def identify(self) -> System:
        """The server's identity."""
        row = self._command("IDENTIFY_SYSTEM", 30)
        return System(row[0], int(row[1]), parse_lsn(row[2]))

    def create_slot(self, name: str, *, temporary: bool, timeout: float) -> NewSlot:
        """Make a logical slot and export its snapshot.

        The server waits for all transactions that are running; TimeoutError after ``timeout``
        seconds of that.
        """
        kind = "TEMPORARY " if temporary else ""
        command = f'CREATE_REPLICATION_SLOT "{name}" {kind}LOGICAL pgoutput EXPORT_SNAPSHOT'
        row = self._command(command, timeout)
        return NewSlot(parse_lsn(row[1]), row[2])

    def start(self, slot: str, publication: str, lsn: int) -> None:
        """Begin to stream; afterwards the connection speaks copy-both."""
        literal = publication.replace('"', '""').replace("'", "''")
        command = (
            f'START_REPLICATION SLOT "{slot}" LOGICAL {lsn_text(lsn)} '
            f"(proto_version '1', publication_names '\"{literal}\"')"
        )
        result = self.pgconn.exec_(command.encode())
        if result.status != pq.ExecStatus.COPY_BOTH:
            raise classify(failure(result))

    def _command(self, command: str, timeout: float) -> list[str]:
        self.pgconn.send_query(command.encode())
        deadline = time.monotonic() + timeout
        while self.pgconn.is_busy():
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if readable(self.pgconn.socket, left):
                try:
                    self.pgconn.consume_input()
                except psycopg.Error as error:
                    raise classify(error) from error
        row: list[str] = []
        while (result := self.pgconn.get_result()) is not None:
            if result.status == pq.ExecStatus.FATAL_ERROR:
                raise classify(failure(result))
            if result.ntuples:
                row = [(result.get_value(0, i) or b"").decode() for i in range(result.nfields)]
        return row


class ReplicationStream:
    """Frames of a slot's stream from ``lsn`` on.

    One thread reads; another reports the confirmed position, on its own timer, so that the
    server hears of us while the reader encodes or waits for the log. libpq lets only one thread
    use a connection at a time: ``_lock`` is held for every call, never while waiting.
    """

    def __init__(self, config: PostgresConfig, lsn: int, sender_timeout_ms: int) -> None:
        self._connection = ReplicationConnection(config)
        self._pgconn = self._connection.pgconn
        self._lock = threading.Lock()
        self._confirmed = lsn
        self._reported = 0
        self._closing = threading.Event()
        self._failure: Exception | None = None
        self._over = False  # the server ended the stream
        interval = config.status_interval_ms / 1000
        if sender_timeout_ms:
            interval = min(interval, sender_timeout_ms / 3000)
        self._interval = interval
        try:
            self._connection.start(config.slot_name, config.publication_name, lsn)
        except BaseException:
            self._connection.close()
            raise
        self._pgconn.nonblocking = 1
        self._feedback = threading.Thread(target=self._report, name="feedback", daemon=True)
        self._feedback.start()

    def read(self, limit: int, timeout: float) -> list[bytes]:
        """What the server has sent, at most ``limit`` frames; waits up to ``timeout`` seconds
        for the first and never for another."""
        frames = self._drain(limit)
        if not frames and readable(self._pgconn.socket, timeout):
            frames = self._drain(limit)
        return frames

    def confirm(self, lsn: int) -> None:
        """Everything before ``lsn`` is durable: the server may forget it."""
        self._confirmed = max(self._confirmed, lsn)

    def ask(self) -> None:
        """Ask the server how far it is; it answers with a keepalive."""
        self._send(reply=True)

    def close(self) -> None:
        """Report the last position and end the connection."""
        self._closing.set()
        self._feedback.join(timeout=10)
        try:
            if self._failure is None and not self._over:
                self._send()
                self._release()
        except (CdcError, psycopg.Error):
            pass  # the connection is gone: the next life reports
        self._connection.close()

    def _release(self) -> None:
        """End the copy in order and wait, not for long, until the server let go of the slot."""
        pgconn = self._pgconn
        pgconn.put_copy_end()
        pgconn.flush()
        deadline = time.monotonic() + RELEASE_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            size, _ = pgconn.get_copy_data(1)
            if size < 0:
                break
            if size == 0 and readable(pgconn.socket, left):
                pgconn.consume_input()
        while pgconn.is_busy() and (left := deadline - time.monotonic()) > 0:
            if readable(pgconn.socket, left):
                pgconn.consume_input()

    def _drain(self, limit: int) -> list[bytes]:
        frames: list[bytes] = []
        answer = False
        tried = False
        with self._lock:
            if self._failure is not None:
                raise ConnectionLost(str(self._failure)) from self._failure
            if self._over:
                raise self._end()
            receive = self._pgconn.get_copy_data
            try:
                while len(frames) < limit:
                    size, data = receive(1)
                    if size > 0:
                        frame = bytes(data)
                        frames.append(frame)
                        tried = False
                        if frame[0] == _KEEPALIVE and frame[17]:
                            answer = True
                    elif size < 0:
                        self._over = True
                        if not frames:
                            raise self._end()
                        break
                    elif tried:
                        break  # nothing more is there without waiting
                    else:
                        self._pgconn.consume_input()
                        tried = True
            except psycopg.Error as error:
                raise classify(error) from error
        if answer:
            self._send()
        return frames

    def _end(self) -> CdcError:
        """Why the server ended the stream."""
        result = self._pgconn.get_result()
        if result is not None and result.status == pq.ExecStatus.FATAL_ERROR:
            return classify(failure(result))
        return ConnectionLost("The server ended the replication stream.")

    def _report(self) -> None:
        """The feedback thread."""
        last = time.monotonic()
        while not self._closing.wait(min(self._interval, _TICK)):
            now = time.monotonic()
            if self._confirmed != self._reported or now - last >= self._interval:
                try:
                    self._send()
                except Exception as error:
                    self._failure = error
                    return
                last = now

    def _send(self, reply: bool = False) -> None:
        confirmed = self._confirmed
        stamp = time.time_ns() // 1000 - _POSTGRES_EPOCH
        status = _STATUS.pack(b"r", confirmed, confirmed, confirmed, stamp, reply)
        with self._lock:
            try:
                self._pgconn.put_copy_data(status)
                self._pgconn.flush()
            except psycopg.Error as error:
                raise classify(error) from error
        self._reported = confirmed
