"""The REST application: Kafka Connect's resources, ``/metrics``, and the log under ``/v1``."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match

from api import admin, connectors, plugins, topics
from api.authentication import Authentication
from api.errors import RestError, error_response, standard_message
from api.guard import Guard, Observer
from api.services import Services
from connect.runtime.herder import HerderError
from log_core.errors import LogError

ROUTERS = (admin.router, connectors.router, plugins.router, topics.router)


def create_app(
    services: Services,
    *,
    authentication: Authentication | None = None,
    observe: Observer | None = None,
    version: str = "0",
) -> FastAPI:
    """The ASGI application.

    Args:
        authentication: who may use it; None: everybody, but only under loopback names.
        observe: called once a request with method, route, status and seconds.
    """
    app = FastAPI(
        title="Tailrace", version=version, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.state.services = services
    for router in ROUTERS:
        app.include_router(router)
    app.add_exception_handler(RestError, _rest_error)
    app.add_exception_handler(HerderError, _herder_error)
    app.add_exception_handler(LogError, _log_error)
    app.add_exception_handler(RequestValidationError, _invalid_parameter)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_middleware(Guard, authentication=authentication, observe=observe)
    return app


def route_table() -> list[tuple[str, str, str]]:
    """Method, path and description of every route, for the documentation."""
    routes: list[Any] = [route for router in ROUTERS for route in router.routes]
    return [
        (method, route.path, route.description)
        for route in routes
        for method in sorted(route.methods)
    ]


async def _rest_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RestError)
    return error_response(error.status, error.message, error.extras, error.headers)


async def _herder_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HerderError)
    extras = {name: getattr(error, name, None) for name in ("code", "hint", "key")}
    return error_response(error.status, error.message, extras)


async def _log_error(_: Request, error: Exception) -> Response:
    hint = "Restart the server once the cause is gone; see its log."
    return error_response(503, str(error), {"code": "log.unavailable", "hint": hint})


async def _invalid_parameter(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return error_response(400, f"Parameter {first['loc'][-1]}: {first['msg']}.")


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code != 405:
        return error_response(error.status_code, standard_message(error.status_code))
    allow = {"Allow": ", ".join(_allowed(request))}
    if request.method == "OPTIONS":
        return Response(status_code=200, headers=allow)
    return error_response(405, standard_message(405), headers=allow)


def _allowed(request: Request) -> list[str]:
    """The methods of every route that has this path."""
    found = {"OPTIONS"}
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
        scope = {**request.scope, "method": "GET" if method == "HEAD" else method}
        if any(_serves(route, scope) for router in ROUTERS for route in router.routes):
            found.add(method)
    return sorted(found)


def _serves(route: BaseRoute, scope: dict[str, Any]) -> bool:
    return route.matches(scope)[0] is Match.FULL
