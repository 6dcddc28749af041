"""Fixtures every test may ask for."""

import signal

pytest_plugins = ["tests.kit.servers"]


def pytest_configure() -> None:
    """Let programs that tests start be stopped by Ctrl-C, also where this run ignores it, as shells
    make their background jobs do."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
