"""What a test gets: a fresh database of a real server, dropped when the test ends."""

import contextlib
from dataclasses import dataclass
from urllib.parse import quote

import psycopg
import pymysql


@dataclass(frozen=True)
class Database:
    """Address of one database. Every form of address carries the password."""

    kind: str  # "postgresql" or "mysql"
    name: str
    host: str
    port: int
    user: str
    password: str

    @property
    def url(self) -> str:
        """`postgresql://user:password@host:port/name`, as libpq and `mysql` tools take it."""
        return f"{self.kind}://{self._address}"

    @property
    def sqlalchemy_url(self) -> str:
        """The URL with the driver that the SQL sink uses."""
        driver = {"postgresql": "psycopg", "mysql": "pymysql"}[self.kind]
        return f"{self.kind}+{driver}://{self._address}"

    @property
    def jdbc_url(self) -> str:
        """The URL as Confluent's and Debezium's JDBC sinks take it, without user and password."""
        kind = "mariadb" if self.kind == "mysql" else self.kind
        return f"jdbc:{kind}://{self.host}:{self.port}/{self.name}"

    @property
    def dsn(self) -> str:
        """libpq's `key=value` form (Postgres), the URL otherwise."""
        if self.kind != "postgresql":
            return self.url
        return (
            f"host={self.host} port={self.port} user={self.user} "
            f"password={self.password} dbname={self.name}"
        )

    @property
    def _address(self) -> str:
        return f"{self.user}:{quote(self.password, safe='')}@{self.host}:{self.port}/{self.name}"


class PostgresDatabase(Database):
    """A Postgres database."""

    def connect(self, *, autocommit: bool = True) -> psycopg.Connection:
        return psycopg.connect(self.dsn, autocommit=autocommit, connect_timeout=10)

    def execute(self, *statements: str) -> None:
        """Run statements, each in a transaction of its own."""
        with self.connect() as c:
            for statement in statements:
                c.execute(statement)

    def query(self, sql: str, args: tuple = ()) -> list[tuple]:
        with self.connect() as c:
            return c.execute(sql, args).fetchall()

    def drop(self) -> None:
        """Drop the database, the replication slots on it and its publications with it."""
        with contextlib.closing(
            psycopg.connect(self.dsn, dbname="postgres", autocommit=True)
        ) as admin:
            slots = "FROM pg_replication_slots WHERE database = %s"
            admin.execute(
                f"SELECT pg_terminate_backend(active_pid) {slots} AND active_pid IS NOT NULL",
                [self.name],
            )
            for (slot,) in admin.execute(f"SELECT slot_name {slots}", [self.name]).fetchall():
                _drop_slot(admin, slot)
            admin.execute(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')


def _drop_slot(admin: psycopg.Connection, slot: str) -> None:
    # The sender that was just terminated may hold the slot for a moment longer.
    admin.execute(
        f"""DO $$ BEGIN
             FOR i IN 1..200 LOOP
               BEGIN PERFORM pg_drop_replication_slot('{slot}'); RETURN;
               EXCEPTION WHEN object_in_use THEN PERFORM pg_sleep(0.05);
                         WHEN undefined_object THEN RETURN; END;
             END LOOP;
             RAISE EXCEPTION 'replication slot {slot} stayed in use';
           END $$"""
    )


class MariaDatabase(Database):
    """A MariaDB database."""

    def connect(self, *, autocommit: bool = True) -> pymysql.Connection:
        return pymysql.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            database=self.name,
            autocommit=autocommit,
            connect_timeout=10,
        )

    def execute(self, *statements: str) -> None:
        with contextlib.closing(self.connect()) as c, c.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def query(self, sql: str, args: tuple = ()) -> list[tuple]:
        with contextlib.closing(self.connect()) as c, c.cursor() as cursor:
            cursor.execute(sql, args)
            return list(cursor.fetchall())

    def drop(self) -> None:
        self.execute(f"DROP DATABASE IF EXISTS `{self.name}`")
