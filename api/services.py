"""What the routes are served from, and how a route asks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple, TypeAlias
from urllib.parse import unquote

from anyio import CapacityLimiter
from fastapi import Depends, Path, Request
from pydantic import AfterValidator

from connect.runtime.herder import Herder
from log_core import Log


class Health(NamedTuple):
    """KIP-1017's answer: ``healthy`` (200), ``starting`` (503) or ``unhealthy`` (500)."""

    status: str
    message: str


READY = Health("healthy", "Worker has completed startup and is ready to handle requests.")


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of the server that routes use.

    ``waiters`` is the pool of those who wait for records: each holds a thread, and they must never
    starve the other routes.
    """

    herder: Herder
    log: Log
    exposition: Callable[[], bytes]
    health: Callable[[], Health] = lambda: READY
    stopping: Callable[[], bool] = lambda: False
    waiters: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(40))


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


def _herder(request: Request) -> Herder:
    return _services(request).herder


def _log(request: Request) -> Log:
    return _services(request).log


ServicesOf: TypeAlias = Annotated[Services, Depends(_services)]
HerderOf: TypeAlias = Annotated[Herder, Depends(_herder)]
LogOf: TypeAlias = Annotated[Log, Depends(_log)]

# The guard leaves the path percent-encoded, so that a name with a slash is one segment.
Name: TypeAlias = Annotated[str, Path(), AfterValidator(unquote)]
