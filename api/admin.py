"""``/``, ``/health``, ``/metrics`` and ``/admin/loggers``."""

from __future__ import annotations

from fastapi import APIRouter, Response
from starlette.responses import JSONResponse

from api.body import Body
from api.errors import RestError
from api.services import HerderOf, Name, ServicesOf

router = APIRouter(tags=["admin"])

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
HEALTH_STATUS = {"healthy": 200, "starting": 503, "unhealthy": 500}


@router.get("/")
def get_root(herder: HerderOf) -> JSONResponse:
    """Version, commit and the id of this log."""
    return JSONResponse(herder.root())


@router.get("/health")
def get_health(services: ServicesOf) -> JSONResponse:
    """Whether the log is open and the worker serves; connectors' states don't count."""
    health = services.health()
    return JSONResponse(health._asdict(), HEALTH_STATUS[health.status])


@router.get("/metrics")
def get_metrics(services: ServicesOf) -> Response:
    """Prometheus text exposition of the worker and its tasks."""
    return Response(services.exposition(), headers={"Content-Type": METRICS_TYPE})


@router.get("/admin/loggers")
def list_loggers(herder: HerderOf) -> JSONResponse:
    """Loggers and their levels."""
    return JSONResponse(herder.loggers())


@router.get("/admin/loggers/{logger}")
def get_logger(logger: Name, herder: HerderOf) -> JSONResponse:
    """The level of one logger."""
    return JSONResponse(herder.logger(logger))


@router.put("/admin/loggers/{logger}")
def set_logger(logger: Name, body: Body, herder: HerderOf, scope: str = "worker") -> Response:
    """Set a level in the worker and its tasks; answers the names that changed."""
    level = body.get("level")
    if level is None:
        raise RestError(400, "Desired 'level' parameter was not specified in request.")
    everywhere = scope.lower() == "cluster"
    changed = herder.set_logger(logger, str(level), "cluster" if everywhere else "worker")
    return Response(status_code=204) if everywhere else JSONResponse(changed)
