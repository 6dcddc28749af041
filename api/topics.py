"""``/v1``: topics, their records and the readers' positions; what Kafka Connect has no path for."""

from __future__ import annotations

from typing import Annotated, Final

from anyio import to_thread
from fastapi import APIRouter, Query, Response
from starlette.responses import JSONResponse

from api.errors import RestError
from api.records import Page, read_page, start_offsets
from api.services import LogOf, Name, ServicesOf
from connect.runtime.tables import is_internal
from log_core import Log, Topic
from log_core.errors import OffsetOutOfRange, UnknownTopic

router = APIRouter(prefix="/v1", tags=["log"])

MAX_RECORDS: Final = 10_000
MAX_WAIT_SECONDS: Final = 30.0


@router.get("/topics")
def list_topics(log: LogOf, internal: str = "false") -> JSONResponse:
    """Topics with their partitions' offsets and sizes; ``internal=true`` lists the worker's too."""
    shown = [
        _describe(log, topic)
        for name, topic in sorted(log.topics().items())
        if internal.lower() == "true" or not is_internal(name)
    ]
    return JSONResponse(shown)


@router.get("/topics/{topic}")
def get_topic(topic: Name, log: LogOf) -> JSONResponse:
    """One topic."""
    return JSONResponse(_describe(log, _find(log, topic)))


@router.get("/topics/{topic}/records")
async def get_records(
    topic: Name,
    services: ServicesOf,
    origin: Annotated[str, Query(alias="from")] = "beginning",
    positions: str | None = None,
    partition: str | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_RECORDS)] = 500,
    wait: Annotated[float, Query(ge=0, le=MAX_WAIT_SECONDS)] = 0.0,
) -> Response:
    """Records from ``from`` (beginning, end, -N, an offset, @milliseconds) or, to go on, from
    ``positions`` (the last answer's ``next`` as ``0:12,1:30``); ``wait`` seconds for the first."""
    log = services.log

    def read() -> Page:
        partitions = range(_find(log, topic).partitions)
        if positions is not None:
            begin = _positions(positions, partitions)
        else:
            chosen = partitions if partition is None else [_partition(partition, partitions)]
            begin = _begin(log, topic, chosen, origin)
        return read_page(log, topic, begin, limit, wait, services.stopping)

    try:
        page = await to_thread.run_sync(read, abandon_on_cancel=True, limiter=services.waiters)
    except OffsetOutOfRange as error:
        raise RestError(
            416, str(error), code="log.offset_out_of_range", hint="Read on from=beginning."
        ) from None
    except UnknownTopic:
        raise _unknown(topic) from None
    return Response(page.encode(), media_type="application/json")


@router.get("/groups")
def list_groups(log: LogOf) -> JSONResponse:
    """Committed positions of every consumer group and how many records it has yet to read."""
    result = []
    for group in sorted(log.groups()):
        for (topic, partition), offset in sorted(log.group_offsets(group).items()):
            try:
                end = log.end_offset(topic, partition)
            except UnknownTopic:
                continue  # deleted since
            result.append(
                {
                    "group": group,
                    "topic": topic,
                    "partition": partition,
                    "offset": offset,
                    "end_offset": end,
                    "lag": max(end - offset, 0),
                }
            )
    return JSONResponse(result)


def _find(log: Log, name: str) -> Topic:
    topic = log.topics().get(name)
    if topic is None:
        raise _unknown(name)
    return topic


def _unknown(name: str) -> RestError:
    return RestError(404, f"Topic {name} not found", code="topic.unknown")


def _describe(log: Log, topic: Topic) -> dict[str, object]:
    partitions = [
        {
            "partition": partition,
            "start_offset": log.start_offset(topic.name, partition),
            "end_offset": log.end_offset(topic.name, partition),
            "size_bytes": log.size(topic.name, partition),
        }
        for partition in range(topic.partitions)
    ]
    return {
        "name": topic.name,
        "internal": is_internal(topic.name),
        "config": dict(topic.config),
        "partitions": partitions,
    }


def _begin(log: Log, topic: str, partitions: range | list[int], origin: str) -> dict[int, int]:
    try:
        return start_offsets(log, topic, partitions, origin)
    except ValueError:
        raise RestError(
            400,
            f"from={origin} is not a place to start.",
            hint="Use beginning, end, -N, an offset or @milliseconds.",
        ) from None


def _positions(text: str, partitions: range) -> dict[int, int]:
    result = {}
    for item in text.split(","):
        number, _, offset = item.partition(":")
        if not (offset.isascii() and offset.isdecimal() and len(offset) < 19):
            raise RestError(400, f"positions={text} is not of the form 0:12,1:30.")
        result[_partition(number, partitions)] = int(offset)
    return result


def _partition(text: str, partitions: range) -> int:
    if text.isascii() and text.isdecimal() and len(text) < 10 and int(text) in partitions:
        return int(text)
    raise RestError(400, f"There is no partition {text}; the topic has {len(partitions)}.")
