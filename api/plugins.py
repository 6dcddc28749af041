"""``/connector-plugins``: what is installed, its keys, and validation."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import JSONResponse

from api.body import Body, string_map
from api.connectors import flag
from api.errors import RestError
from api.services import HerderOf, Name

router = APIRouter(tags=["plugins"])


@router.get("/connector-plugins")
def list_plugins(herder: HerderOf, connectorsOnly: str = "true") -> JSONResponse:
    """Installed connectors; with ``connectorsOnly=false`` converters, transforms, predicates."""
    return JSONResponse(herder.plugins(not connectorsOnly or flag(connectorsOnly)))


@router.get("/connector-plugins/{plugin}/config")
def get_plugin_config(plugin: Name, herder: HerderOf, version: str | None = None) -> JSONResponse:
    """The configuration keys of a plugin, by class name or alias."""
    if version:
        _check_version(herder, plugin, version)
    return JSONResponse(herder.plugin_config(plugin))


def _check_version(herder: HerderOf, plugin: str, version: str) -> None:
    installed = {str(p.get("version")) for p in herder.plugins(False) if p["class"] == plugin}
    if installed and version not in installed:
        found = ", ".join(sorted(installed))
        raise RestError(400, f"Plugin {plugin} has no version {version}; installed: {found}.")


@router.put("/connector-plugins/{plugin}/config/validate")
def validate_config(plugin: Name, body: Body, herder: HerderOf) -> JSONResponse:
    """Every key with its definition, value and errors; nothing is created."""
    config = string_map(body, "The connector configuration", nulls=True)
    given = {name: value for name, value in config.items() if value is not None}
    return JSONResponse(herder.validate(plugin, given))
