"""``tailrace server``: start it, and make lines for its user file."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click


@click.group()
def server() -> None:
    """Run the server."""


@server.command()
@click.option("--data-dir", metavar="DIR", help="Where the log is kept; default ./tailrace-data.")
@click.option("--host", metavar="HOST", help="Address to listen on; default 127.0.0.1.")
@click.option("--port", metavar="PORT", help="Port to listen on; default 8083.")
@click.option("--auth-file", metavar="FILE", help="Users for HTTP basic authentication.")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, dir_okay=False, exists=True))
def start(
    data_dir: str | None,
    host: str | None,
    port: str | None,
    auth_file: str | None,
    files: tuple[Path, ...],
) -> int:
    """Run the server until Ctrl-C or SIGTERM.

    FILES: worker.properties, then connectors (.json or .properties) to create or update.

    Only this machine can reach the server unless TAILRACE_API_TOKEN or --auth-file say who may.
    Settings also come from CONNECT_* variables: CONNECT_KEY_CONVERTER is key.converter.
    """
    from api.log_lines import log_to
    from api.server import run

    log_to(sys.stderr)
    properties, connectors = _sort(files)
    given = {
        "data.dir": data_dir,
        "rest.host.name": host,
        "rest.port": port,
        "rest.auth.file": auth_file,
    }
    options = {name: value for name, value in given.items() if value is not None}
    return run(properties, connectors, options, os.environ)


@server.command()
@click.argument("user")
@click.password_option(help="Asked for when left out.")
def password(user: str, password: str) -> None:
    """Print the line for USER that --auth-file takes, with the password hashed."""
    from api.authentication import hash_password

    if ":" in user or not user:
        raise click.BadParameter("a user name is not empty and has no colon.", param_hint="USER")
    click.echo(f"{user}:{hash_password(password)}")


def _sort(files: tuple[Path, ...]) -> tuple[Path | None, list[Path]]:
    """The worker's properties (the one without a connector.class) and the connectors' files."""
    from connect.runtime.providers import parse_properties

    properties: Path | None = None
    connectors = []
    for path in files:
        if path.suffix != ".properties":
            connectors.append(path)
            continue
        keys = parse_properties(path.read_text(encoding="utf-8", errors="replace"))
        if "connector.class" in keys:
            connectors.append(path)
        elif properties is None:
            properties = path
        else:
            raise click.BadParameter(f"{path} has no connector.class.", param_hint="FILES")
    return properties, connectors
