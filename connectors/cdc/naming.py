"""Topic names of tables: Debezium's SchemaTopicNamingStrategy."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from connect.errors import FatalError
from connectors.cdc.tables import TableId

LONGEST = 249  # Kafka's limit on a topic's name
_UNFIT = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True, slots=True)
class Naming:
    """``<prefix>.<schema>.<table>``; also the root of the names of a table's Connect schemas."""

    prefix: str
    delimiter: str = "."

    def topic(self, table: TableId) -> str:
        """The table's topic: characters that no topic may hold become ``_``."""
        return _UNFIT.sub("_", self.delimiter.join((self.prefix, *table)))

    def check(self, tables: Iterable[TableId]) -> None:
        """Raise FatalError if a name is too long or two tables would share a topic."""
        owners: dict[str, TableId] = {}
        for table in tables:
            topic = self.topic(table)
            if len(topic) > LONGEST:
                raise FatalError(
                    f"The topic of table {table} would have {len(topic)} characters; "
                    f"{LONGEST} are allowed.",
                    code="naming.too_long",
                    hint="Shorten topic.prefix or exclude the table.",
                )
            other = owners.setdefault(topic, table)
            if other != table:
                raise FatalError(
                    f"Tables {other} and {table} would share the topic {topic}.",
                    code="naming.collision",
                    hint="Exclude one of them with table.exclude.list, or rename it.",
                )
