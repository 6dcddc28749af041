"""A task's process: ``python -m connect.runtime.task_main CONTROL_FD LOG_FD``.

The worker starts one for each task and says over CONTROL_FD what to run; LOG_FD leads to the log.
The process builds the task, runs its loop, and says how it ended. Whatever happens, the next
process starts from the last committed offset by the same path.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from connect.config import Config, Problem, secret_keys, validate
from connect.context import Context
from connect.errors import ConfigError, RetriableError
from connect.log import Log, TopicPartition, TopicSpec
from connect.logs.socket import SocketLog
from connect.runtime import plugins
from connect.runtime.building import build_sink, build_source
from connect.runtime.endings import ending
from connect.runtime.logs_setup import set_up
from connect.runtime.offset_table import SourceOffsets, group_name, writer_name
from connect.runtime.providers import mask, resolve
from connect.runtime.sink_loop import run_sink
from connect.runtime.source_loop import run_source
from connect.runtime.task_link import TaskLink

logger = logging.getLogger(__name__)

Values = Mapping[str, str | None]

MAY_PASS: Final = re.compile(r"connection\..*|.*\.(unavailable|read_only)")
"""Codes of a live check's problems that may pass without anybody's help: the task is retried."""


def main(control_fd: int, log_fd: int) -> None:
    """Run one task until it ends; the process ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the worker's to handle
    link = TaskLink(socket.socket(fileno=control_fd))
    log = SocketLog(socket.socket(fileno=log_fd))
    secrets: set[str] = set()
    try:
        setup = link.setup()
        name = f"{setup['connector']}-{setup['task']}"
        set_up(name, setup["loggers"], lambda text: mask(text, secrets))
        link.start()
        run_task(setup, link, log, secrets)
        ended = ending(None)
    except BaseException as error:  # whatever it is, the worker must hear of it
        ended = ending(error, lambda text: mask(text, secrets))
    link.end(ended)
    logging.shutdown()
    os._exit(0)  # a thread of a driver must not keep a finished task alive


def run_task(setup: Mapping[str, Any], link: TaskLink, log: Log, secrets: set[str]) -> None:
    """Build what ``setup`` describes and run its loop. ``secrets`` receives every text that must
    not be shown, before anything could show it."""
    values, replaced = resolve(setup["config"], setup["providers"], setup["secrets"])
    secrets.update(replaced)
    kind = setup["kind"]
    connector = plugins.find(setup["plugin"], kind).cls()
    config = _parse(connector.config, values, secrets)
    _raise(connector.check(config))
    link.log_errors = config.errors_log_enable
    run = _run_source if kind == "source" else _run_sink
    run(setup, link, log, connector, config, values, partial(mask, secrets=secrets))


def _run_source(
    setup: Mapping[str, Any],
    link: TaskLink,
    log: Log,
    connector: Any,
    config: Any,
    values: Values,
    clean: Callable[[str], str],
) -> None:
    counts = {name: spec.partitions for name, spec in log.topics().items()}
    pipeline = build_source(values, setup["defaults"], counts)
    writer = log.writer(writer_name(setup["connector"], setup["task"]))
    task = connector.task(config, _context(setup, link, writer.epoch))
    offsets = SourceOffsets(log, setup["connector"], connector.partition(config))
    run_source(task, pipeline, offsets, log, writer, link)


def _run_sink(
    setup: Mapping[str, Any],
    link: TaskLink,
    log: Log,
    connector: Any,
    config: Any,
    values: Values,
    clean: Callable[[str], str],
) -> None:
    pipeline = build_sink(values, setup["defaults"], setup["task"], clean)
    if pipeline.dead_letter_topic is not None:
        log.create_topic(TopicSpec(pipeline.dead_letter_topic))
    partitions = [TopicPartition(*name) for name in setup["partitions"]]
    reader = log.reader(group_name(setup["connector"]), partitions, str(setup["task"]))
    task = connector.task(config, _context(setup, link, reader.epoch))
    run_sink(task, pipeline, partitions, reader, link)


def _context(setup: Mapping[str, Any], link: TaskLink, epoch: int) -> Context:
    return Context(
        setup["connector"], setup["task"], setup["run_id"], epoch, link.metrics, setup["log_id"]
    )


def _parse(model: type[Config], values: Values, secrets: set[str]) -> Any:
    passwords = secret_keys(model)
    for key, value in values.items():
        if value and model.deprecated.get(key, key) in passwords:
            secrets.add(value)
    result = validate(model, values)
    _raise(result.problems)
    return result.config


def _raise(problems: Sequence[Problem]) -> None:
    """Raise for the errors among them, all in one message; warnings are logged."""
    errors = [problem for problem in problems if problem.severity == "error"]
    for problem in problems:
        if problem.severity == "warning":
            logger.warning("%s: %s", problem.key, problem)
    if not errors:
        return
    first = errors[0]
    text = "; ".join(f"{problem.key}: {problem}" for problem in errors)
    if all(MAY_PASS.fullmatch(problem.code) for problem in errors):
        raise RetriableError(text, code=first.code)
    raise ConfigError(first.key, text, code=first.code)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
