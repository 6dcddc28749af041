"""A TCP proxy that cuts connections at a chosen byte."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with RST, as a lost peer does


class Proxy:
    """Forwards connections on ``port`` to a server until closed."""

    def __init__(self, host: str, port: int) -> None:
        self._cut = threading.Event()
        self._target = (host, port)
        self._budget: int | None = None  # bytes from the server until the next cut
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_after(self, count: int) -> None:
        """Cut the connection that carries the ``count``-th byte from the server from now on,
        right there; once."""
        with self._lock:
            self._budget = count
            self._cut.clear()

    def await_cut(self, timeout: float) -> None:
        """Wait until it was; AssertionError after ``timeout`` seconds."""
        assert self._cut.wait(timeout), f"no connection was cut within {timeout:.0f} s"

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                for pair, counted in (((client, server), False), ((server, client), True)):
                    threading.Thread(target=self._pump, args=(*pair, counted), daemon=True).start()

    def _pump(self, origin: socket.socket, goal: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := origin.recv(1 << 16):
                allowed = self._allowed(len(data)) if counted else len(data)
                goal.sendall(data[:allowed])
                if allowed < len(data):
                    for end in (origin, goal):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    break
        for end in (origin, goal):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _allowed(self, count: int) -> int:
        with self._lock:
            if self._budget is None or count < self._budget:
                self._budget = self._budget and self._budget - count
                return count
            allowed, self._budget = self._budget - 1, None
            self._cut.set()
            return allowed
