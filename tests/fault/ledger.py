"""The ledger: a workload whose every change can be told from every other, and its truth.

Four tables change in random transactions made inside the database by ``ledger_step``. Each change
of a row takes a fresh ``ver`` from one sequence, so (table, operation, key, ver) names one change
for ever. The truth is not what the writer remembers but what the source itself decodes for a
second, untouched slot (plugin test_decoding), in commit order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import psycopg

TABLES = ("acct", "note", "doc", "moved")

SCHEMA = """
CREATE SEQUENCE ver_seq;
CREATE TABLE acct (id int PRIMARY KEY, ver bigint NOT NULL DEFAULT nextval('ver_seq'),
                   bal bigint NOT NULL);
CREATE TABLE note (id int PRIMARY KEY, ver bigint NOT NULL DEFAULT nextval('ver_seq'), txt text);
CREATE TABLE doc (id int PRIMARY KEY, ver bigint NOT NULL DEFAULT nextval('ver_seq'),
                  counter int NOT NULL, body text);
CREATE TABLE moved (id int PRIMARY KEY, ver bigint NOT NULL DEFAULT nextval('ver_seq'), tag text);
ALTER TABLE acct REPLICA IDENTITY FULL;
ALTER TABLE note REPLICA IDENTITY FULL;
ALTER TABLE moved REPLICA IDENTITY FULL;
ALTER TABLE doc ALTER COLUMN body SET STORAGE EXTERNAL;
INSERT INTO acct (id, bal) SELECT n, 1000 FROM generate_series(1, 200) n;
INSERT INTO doc (id, counter, body) SELECT n, 0, repeat(md5(n::text), 300)
  FROM generate_series(1, 30) n;
INSERT INTO moved (id, tag) SELECT n, 'start' FROM generate_series(1, 50) n;

-- One transaction's worth of n random operations; about a third of them end in a rolled-back
-- sub-transaction whose rows carry a value that must never be seen.
CREATE FUNCTION ledger_step(n int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  a int; b int; m int; dice float;
BEGIN
  FOR i IN 1..n LOOP
    dice := random();
    IF dice < 0.45 THEN
      a := 1 + floor(random() * 200); b := 1 + (a + floor(random() * 198)::int) % 200;
      m := floor(random() * 50);
      UPDATE acct SET ver = nextval('ver_seq'), bal = bal - m WHERE id = a;
      UPDATE acct SET ver = nextval('ver_seq'), bal = bal + m WHERE id = b;
    ELSIF dice < 0.75 THEN
      a := 1 + floor(random() * 300);
      DELETE FROM note WHERE id = a;
      IF NOT FOUND THEN
        INSERT INTO note (id, txt)
          VALUES (a, CASE WHEN random() < 0.1 THEN NULL ELSE md5(random()::text) END);
      END IF;
    ELSIF dice < 0.9 THEN
      a := 1 + floor(random() * 30);
      IF random() < 0.1 THEN
        UPDATE doc SET ver = nextval('ver_seq'), body = repeat(md5(random()::text), 300)
          WHERE id = a;
      ELSE
        UPDATE doc SET ver = nextval('ver_seq'), counter = counter + 1 WHERE id = a;
      END IF;
    ELSE
      a := 1 + floor(random() * 100); b := 1 + floor(random() * 100);
      IF NOT EXISTS (SELECT 1 FROM moved WHERE id = b) THEN
        UPDATE moved SET id = b, ver = nextval('ver_seq'), tag = 'from ' || a WHERE id = a;
      END IF;
    END IF;
    IF random() < 0.3 THEN
      BEGIN
        UPDATE acct SET ver = nextval('ver_seq'), bal = -666 WHERE id = 1 + floor(random() * 200);
        INSERT INTO note (id, txt) VALUES (100000 + floor(random() * 1000000)::int, 'poison');
        RAISE EXCEPTION 'rolled back on purpose' USING ERRCODE = 'P0666';
      EXCEPTION WHEN SQLSTATE 'P0666' THEN NULL;
      END;
    END IF;
  END LOOP;
END $$;
"""


class Change(NamedTuple):
    """One change of one row; ``tx`` is the source's transaction id.

    A change of the key is a delete of the old key and a create of the new one, as in the log.
    """

    tx: int
    op: str
    key: int
    ver: int | None
    rest: tuple[object, ...]


def prepare(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Make the tables and the slot that keeps the truth. ``connection`` must be autocommit."""
    connection.execute(SCHEMA)
    connection.execute(
        "SELECT pg_create_logical_replication_slot('truth_' || current_database(), 'test_decoding')"
    )


_LINE = re.compile(r"table public\.(\w+): (INSERT|UPDATE|DELETE): (.*)", re.S)
_CELL = re.compile(r"(\w+)\[[^\]]*\]:('(?:[^']|'')*'|\S+)", re.S)


def truth(connection: psycopg.Connection[tuple[object, ...]]) -> dict[str, list[Change]]:
    """Every committed change of each table, in commit order, consumed from the truth slot."""
    changes: dict[str, list[Change]] = {table: [] for table in TABLES}
    while True:
        rows = connection.execute(
            "SELECT xid::text::bigint, data FROM pg_logical_slot_get_changes("
            "'truth_' || current_database(), NULL, 50000, 'include-xids', '0')"
        ).fetchall()
        if not rows:
            return changes
        for xid, data in rows:
            for table, change in _parse(int(str(xid)), str(data)):
                changes[table].append(change)


def _parse(xid: int, line: str) -> Iterator[tuple[str, Change]]:
    found = _LINE.match(line)
    if found is None or found[1] not in TABLES:
        return
    table, verb, text = found.groups()
    old, new = "", text
    if text.startswith("old-key: "):
        old, new = text[len("old-key: ") :].split(" new-tuple: ", 1)
    after = _cells(new)
    before = _cells(old) if old else {}
    if verb == "DELETE":
        yield table, _change(table, xid, "d", after)
    elif verb == "INSERT":
        yield table, _change(table, xid, "c", after)
    elif before and before["id"] != after["id"]:
        yield table, _change(table, xid, "d", before)
        yield table, _change(table, xid, "c", after)
    else:
        yield table, _change(table, xid, "u", after)


def _cells(text: str) -> dict[str, object]:
    cells: dict[str, object] = {}
    for name, raw in _CELL.findall(text):
        if raw.startswith("'"):
            cells[name] = raw[1:-1].replace("''", "'")
        elif raw == "null":
            cells[name] = None
        elif raw == "unchanged-toast-datum":
            cells[name] = UNCHANGED
        else:
            cells[name] = int(raw)
    return cells


UNCHANGED = "(unchanged)"


def _change(table: str, xid: int, op: str, cells: dict[str, object]) -> Change:
    rest = tuple(cells.get(name) for name in REST[table])
    ver = cells.get("ver")
    return Change(xid, op, int(str(cells["id"])), None if ver is None else int(str(ver)), rest)


REST = {"acct": ("bal",), "note": ("txt",), "doc": ("counter", "body"), "moved": ("tag",)}


def rows(
    connection: psycopg.Connection[tuple[object, ...]], table: str, schema: str = "public"
) -> dict[int, tuple[object, ...]]:
    """A table as it is now: key -> (ver, rest ...)."""
    columns = ", ".join(("id", "ver", *REST[table]))
    found = connection.execute(f'SELECT {columns} FROM "{schema}"."{table}"').fetchall()  # type: ignore[arg-type]
    return {int(str(row[0])): tuple(row[1:]) for row in found}
