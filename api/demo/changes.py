"""The demo's life: orders placed, paid, shipped and deleted, at a steady rate."""

import random
import threading
import time
from collections.abc import Callable, Mapping

import psycopg

from api.demo.shop import SCHEMA, TABLES

MOST_LATE_SECONDS = 1.0

Source = psycopg.Connection[tuple[object, ...]]
Marks = dict[str, tuple[str, object]]


class Changes(threading.Thread):
    """Changes rows of the shop in small transactions until stopped.

    `rate` is in changed rows a second; `count` is how many rows have been changed. What it does
    is drawn from a seeded generator.
    """

    def __init__(self, connection: Source, seeded: Mapping[str, int], rate: float) -> None:
        super().__init__(name="changes", daemon=True)
        self.count = 0
        self.error: Exception | None = None
        self._connection = connection
        self._seeded = seeded
        self._rate = rate
        self._stopping = threading.Event()
        self._random = random.Random(20260101)
        self._moved = 0

    def stop(self) -> None:
        """Finish the transaction at hand and end; raises what went wrong, if anything did."""
        self._stopping.set()
        self.join()
        if self.error is not None:
            raise self.error

    def run(self) -> None:
        """Keep the pace; a pause of the machine is not made up for beyond a second."""
        kinds: tuple[Callable[[], int], ...] = (
            self._place_order,
            self._pay,
            self._ship,
            self._reprice,
            self._describe,
            self._edit_customer,
            self._delete_order,
            self._renumber_payment,
        )
        due = time.monotonic()
        try:
            while not self._stopping.is_set():
                with self._connection.transaction():
                    changed = sum(kind() for kind in self._random.sample(kinds, 2))
                self.count += changed
                due = max(due, time.monotonic() - MOST_LATE_SECONDS) + changed / self._rate
                self._stopping.wait(max(0.0, due - time.monotonic()))
        except Exception as error:
            self.error = error

    def _do(self, sql: str, **values: object) -> int:
        return self._connection.execute(sql, values).rowcount

    def _any(self, table: str) -> int:
        """A row's number; of orders and payments it may be gone already."""
        return self._random.randint(1, self._seeded[table])

    def _place_order(self) -> int:
        lines = self._random.randint(1, 4)
        return 1 + self._do(
            """WITH placed AS (
                 INSERT INTO shop.orders (customer_id, total, placed_on)
                 VALUES (%(customer)s, %(total)s, current_date) RETURNING id)
               INSERT INTO shop.order_items (order_id, line, product_id, quantity, price)
               SELECT id, line, %(product)s, line, 9.99
               FROM placed, generate_series(1, %(lines)s) AS line""",
            customer=self._any("customers"),
            total=self._random.randint(100, 99999) / 100,
            product=self._any("products"),
            lines=lines,
        )

    def _pay(self) -> int:
        order = self._any("orders")
        return self._do(
            """UPDATE shop.orders SET status = 'paid', note = 'thanks ☺', updated_at = DEFAULT
               WHERE id = %(order)s""",
            order=order,
        ) + self._do(
            """INSERT INTO shop.payments (reference, order_id, amount, paid)
               VALUES ('NEW-' || gen_random_uuid(), %(order)s, %(amount)s, true)""",
            order=order,
            amount=self._random.randint(1, 99999) / 100,
        )

    def _ship(self) -> int:
        return self._do(
            "UPDATE shop.orders SET status = 'shipped', updated_at = DEFAULT WHERE id = %(order)s",
            order=self._any("orders"),
        )

    def _reprice(self) -> int:
        # Leaves the large description alone, so Postgres does not send it.
        return self._do(
            """UPDATE shop.products SET price = %(price)s, updated_at = DEFAULT
               WHERE id = %(product)s""",
            price=self._random.randint(1, 99999) / 100,
            product=self._any("products"),
        )

    def _describe(self) -> int:
        return self._do(
            """UPDATE shop.products
               SET description = repeat(md5(random()::text), 200), updated_at = DEFAULT
               WHERE id = %(product)s""",
            product=self._any("products"),
        )

    def _edit_customer(self) -> int:
        return self._do(
            """UPDATE shop.customers SET tier = 'gold', tags = tags || ARRAY[%(tag)s],
                 address = address || jsonb_build_object('edited', true), updated_at = DEFAULT
               WHERE id = %(customer)s AND coalesce(cardinality(tags), 0) < 9""",
            tag=f"t{self._random.randint(0, 99)}",
            customer=self._any("customers"),
        )

    def _delete_order(self) -> int:
        order = self._any("orders")
        return self._do(
            "DELETE FROM shop.order_items WHERE order_id = %(order)s", order=order
        ) + self._do("DELETE FROM shop.orders WHERE id = %(order)s", order=order)

    def _renumber_payment(self) -> int:
        """Change a primary key: downstream a delete and an insert."""
        self._moved += 1
        return self._do(
            """UPDATE shop.payments SET reference = %(new)s, updated_at = DEFAULT
               WHERE reference = %(old)s""",
            new=f"MOVED-{self._moved}",
            old=f"PAY-{self._any('payments'):09}",
        )


def mark(connection: Source) -> Marks:
    """Touch one row of every table in one transaction: `{table: (condition, updated_at)}`.

    Where all marks have arrived, everything committed before them has.
    """
    marks: Marks = {}
    with connection.transaction():
        for table in TABLES:
            key = ", ".join(table.key)
            row = connection.execute(
                f"""UPDATE {SCHEMA}.{table.name} SET updated_at = clock_timestamp()
                    WHERE ({key}) = (SELECT {key} FROM {SCHEMA}.{table.name} LIMIT 1)
                    RETURNING updated_at, {key}"""
            ).fetchone()
            assert row is not None, f"{table.name} is empty"
            values = zip(table.key, row[1:], strict=True)
            marks[table.name] = (" AND ".join(f"{k} = '{v}'" for k, v in values), row[0])
    return marks
