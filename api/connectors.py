"""``/connectors``: Kafka Connect's connector resource."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from starlette.responses import JSONResponse

from api.body import Body, config_map, known_fields, offset_list, string_map
from api.errors import RestError, standard_message
from api.services import HerderOf, Name
from connect.runtime.herder import Herder, NotFound

router = APIRouter(tags=["connectors"])

CREATE_FIELDS = {"name", "config", "initial_state", "initial_offsets"}
STATES = ("RUNNING", "PAUSED", "STOPPED")


def flag(value: str | None) -> bool:
    """Connect's boolean query parameters: only "true", in any case, is true."""
    return (value or "").lower() == "true"


@router.get("/connectors")
def list_connectors(
    herder: HerderOf, expand: Annotated[list[str] | None, Query()] = None
) -> JSONResponse:
    """Names of the connectors; with ``expand=info`` and ``expand=status`` an object by name."""
    wanted = [e for e in expand or () if e in ("info", "status")]
    if not wanted:
        return JSONResponse(herder.connectors())
    expanded = {}
    for name in herder.connectors():
        with suppress(NotFound):  # deleted since
            expanded[name] = _expanded(herder, name, wanted)
    return JSONResponse(expanded)


def _expanded(herder: Herder, name: str, wanted: list[str]) -> dict[str, object]:
    ask = {"info": herder.info, "status": herder.status}
    return {expansion: ask[expansion](name) for expansion in dict.fromkeys(wanted)}


@router.post("/connectors", status_code=201)
def create_connector(request: Request, body: Body, herder: HerderOf) -> JSONResponse:
    """Create a connector, started unless ``initial_state`` says otherwise."""
    known_fields(body, CREATE_FIELDS, "the request")
    if body.get("config") is None:
        raise RestError(400, "The request needs a config object.", key="config")
    given = string_map({"name": body.get("name")}, "The request", nulls=True)["name"]
    included = config_map(body["config"]).get("name")
    name = ((included if given is None else given) or "").strip(" \t\r\n")
    config = config_map(body["config"], name)
    state = body.get("initial_state")
    if state is not None and str(state).upper() not in STATES:
        raise RestError(400, f"initial_state must be one of {', '.join(STATES)}.")
    offsets = body.get("initial_offsets")
    created = herder.create(
        name,
        config,
        None if state is None else str(state).upper(),
        None if offsets is None else offset_list(offsets),
    )
    return JSONResponse(created, 201, {"Location": _location(request, name)})


def _location(request: Request, name: str) -> str:
    host = request.headers.get("host", "")
    return f"{request.url.scheme}://{host}/connectors/{quote(name, safe='')}"


@router.get("/connectors/{connector}")
def get_connector(connector: Name, herder: HerderOf) -> JSONResponse:
    """Name, configuration (secrets masked), tasks and type."""
    return JSONResponse(herder.info(connector))


@router.delete("/connectors/{connector}", status_code=204)
def delete_connector(connector: Name, herder: HerderOf) -> Response:
    """Stop the connector, forget its configuration and drop what it made in the source."""
    herder.delete(connector)
    return Response(status_code=204)


@router.get("/connectors/{connector}/config")
def get_config(connector: Name, herder: HerderOf) -> JSONResponse:
    """The configuration, secrets masked."""
    return JSONResponse(herder.config(connector))


@router.put("/connectors/{connector}/config")
def put_config(request: Request, connector: Name, body: Body, herder: HerderOf) -> JSONResponse:
    """Replace the configuration, or create the connector."""
    created, info = herder.put_config(connector, config_map(body, connector))
    if created:
        return JSONResponse(info, 201, {"Location": _location(request, connector)})
    return JSONResponse(info)


@router.patch("/connectors/{connector}/config")
def patch_config(connector: Name, body: Body, herder: HerderOf) -> JSONResponse:
    """Change some keys; null removes one."""
    patch = string_map(body, "The configuration patch", nulls=True)
    if patch.get("name", connector) != connector:
        text = f"Connector name configuration ({patch['name']}) doesn't match connector name in "
        raise RestError(400, f"{text}the URL ({connector})", key="name")
    return JSONResponse(herder.patch_config(connector, patch))


@router.get("/connectors/{connector}/status")
def get_status(connector: Name, herder: HerderOf) -> JSONResponse:
    """State of the connector and of its tasks, with the trace of what failed."""
    return JSONResponse(herder.status(connector))


@router.put("/connectors/{connector}/pause", status_code=202)
def pause_connector(connector: Name, herder: HerderOf) -> Response:
    """Stop moving data; the tasks stay listed."""
    herder.pause(connector)
    return Response(status_code=202)


@router.put("/connectors/{connector}/resume", status_code=202)
def resume_connector(connector: Name, herder: HerderOf) -> Response:
    """Go on after a pause or a stop."""
    herder.resume(connector)
    return Response(status_code=202)


@router.put("/connectors/{connector}/stop", status_code=204)
def stop_connector(connector: Name, herder: HerderOf) -> Response:
    """Stop the connector and remove its tasks; its offsets can then be edited."""
    herder.stop(connector)
    return Response(status_code=204)


@router.post("/connectors/{connector}/restart", status_code=204)
def restart_connector(
    connector: Name,
    herder: HerderOf,
    include_tasks: Annotated[str | None, Query(alias="includeTasks")] = None,
    only_failed: Annotated[str | None, Query(alias="onlyFailed")] = None,
) -> Response:
    """Restart the connector; with options 202 and the status, else 204."""
    plan = herder.restart(connector, flag(include_tasks), flag(only_failed))
    return Response(status_code=204) if plan is None else JSONResponse(plan, 202)


@router.get("/connectors/{connector}/tasks")
def list_tasks(connector: Name, herder: HerderOf) -> JSONResponse:
    """Ids and configurations of the tasks."""
    return JSONResponse(herder.tasks(connector))


@router.get("/connectors/{connector}/tasks/{task}/status")
def get_task_status(connector: Name, task: Name, herder: HerderOf) -> JSONResponse:
    """State of one task."""
    return JSONResponse(herder.task_status(connector, _number(task)))


@router.post("/connectors/{connector}/tasks/{task}/restart", status_code=204)
def restart_task(connector: Name, task: Name, herder: HerderOf) -> Response:
    """Restart one task."""
    herder.restart_task(connector, _number(task))
    return Response(status_code=204)


def _number(task: str) -> int:
    if not (task.isascii() and task.isdecimal() and len(task) < 10):
        raise RestError(404, standard_message(404))
    return int(task)


@router.get("/connectors/{connector}/offsets")
def get_offsets(connector: Name, herder: HerderOf) -> JSONResponse:
    """Where the connector stands."""
    return JSONResponse(herder.offsets(connector))


@router.patch("/connectors/{connector}/offsets")
def alter_offsets(connector: Name, body: Body, herder: HerderOf) -> JSONResponse:
    """Set offsets of a stopped connector; a null offset removes one."""
    known_fields(body, {"offsets"}, "the request")
    message = herder.alter_offsets(connector, offset_list(body.get("offsets")))
    return JSONResponse({"message": message})


@router.delete("/connectors/{connector}/offsets")
def reset_offsets(connector: Name, herder: HerderOf) -> JSONResponse:
    """Forget every offset of a stopped connector."""
    return JSONResponse({"message": herder.reset_offsets(connector)})


@router.get("/connectors/{connector}/topics")
def get_active_topics(connector: Name, herder: HerderOf) -> JSONResponse:
    """Topics the connector wrote or read since its creation or the last reset."""
    return JSONResponse(herder.active_topics(connector))


@router.put("/connectors/{connector}/topics/reset", status_code=202)
def reset_active_topics(connector: Name, herder: HerderOf) -> Response:
    """Empty the connector's set of active topics."""
    herder.reset_topics(connector)
    return Response(status_code=202)
