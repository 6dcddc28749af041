"""``tailrace``: the command line. A sub-command's module is imported when it runs.

Completion starts this program at every TAB, so nothing is imported here that is not needed to
find the command.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Final

import click

COMMANDS: Final = {
    "server": ("api.cli.server:server", "Run the server."),
    "demo": ("api.demo.command:demo", "Show a live pipeline: Postgres, log, DuckDB, Postgres."),
    "get": ("api.cli.get:get", "List connectors, plugins, topics, offsets or loggers."),
    "describe": ("api.cli.describe:describe", "Show everything about one thing."),
    "apply": ("api.cli.apply:apply", "Create or update connectors from files."),
    "validate": ("api.cli.apply:validate", "Check connector files; nothing is created."),
    "pause": ("api.cli.control:pause", "Stop moving data; tasks stay listed."),
    "resume": ("api.cli.control:resume", "Go on after pause or stop."),
    "stop": ("api.cli.control:stop", "Stop connectors and remove their tasks."),
    "restart": ("api.cli.control:restart", "Restart connectors, or their tasks."),
    "delete": ("api.cli.control:delete", "Delete connectors."),
    "offsets": ("api.cli.offsets:offsets", "Show, set or reset a connector's offsets."),
    "topics": ("api.cli.topics:topics", "List the topics of the log."),
    "tail": ("api.cli.tail:tail", "Print the records of a topic."),
    "doctor": ("api.cli.doctor:doctor", "Look for what is wrong, and say how to mend it."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"tailrace {version('tailrace')}")
        ctx.exit()


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version", is_flag=True, callback=_print_version, expose_value=False, is_eager=True,
    help="Show the version and exit.",
)  # fmt: skip
@click.option("--url", metavar="URL", help="The server to talk to; commands take it, too.")
def tailrace(url: str | None) -> None:
    """Change data capture in Python."""
    if url:
        os.environ["TAILRACE_URL"] = url


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 ours, 2 input, 3 unreachable, 4 "no", 130."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; its exit code."""
    from api.cli.errors import Failure

    try:
        result = tailrace.main(arguments, "tailrace", standalone_mode=False)
    except Failure as failure:
        failure.show()
        return failure.exit_code
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return 2
    except BrokenPipeError:
        # The reader has what it wanted, e.g. `tailrace tail ... | head`.
        sys.stderr.close()
        return 0
    return result if isinstance(result, int) else 0
