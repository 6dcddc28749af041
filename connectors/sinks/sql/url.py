"""Connection URLs: SQLAlchemy's and JDBC's spellings of the same address. Pure."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from connect.errors import ConfigError

KEY = "connection.url"

_DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
    "sqlite": "sqlite+pysqlite",
}

_KNOWN = {
    "sslmode": "sslmode",
    "sslrootcert": "sslrootcert",
    "ApplicationName": "application_name",
    "connectTimeout": "connect_timeout",
}
# What these ask of a Java driver happens here anyway.
_HARMLESS = {
    "stringtype",
    "reWriteBatchedInserts",
    "rewriteBatchedStatements",
    "useSSL",
    "useUnicode",
    "characterEncoding",
    "serverTimezone",
    "allowPublicKeyRetrieval",
}


def parse_url(text: str, user: str | None = None, password: str | None = None) -> URL:
    """The URL to connect to; user and password given apart win.

    ConfigError (which never shows the URL) when it can't be read or names another database.
    """
    text = text.strip()
    url = _jdbc(text[5:]) if text.lower().startswith("jdbc:") else _native(text)
    if url.drivername.startswith("sqlite"):
        return url
    if user:
        url = url.set(username=user)
    if password is not None:
        url = url.set(password=password)
    return url


def _native(text: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError:
        raise _unreadable() from None
    return url.set(drivername=_driver(url.drivername.partition("+")[0]))


def _jdbc(text: str) -> URL:
    kind, _, rest = text.partition(":")
    driver = _driver(kind.lower())
    if driver.startswith("sqlite"):
        return URL.create(driver, database=rest or None)
    if not rest.startswith("//"):
        raise _unreadable()
    try:
        parts = urlsplit(rest)
        port = parts.port
    except ValueError:
        raise _unreadable() from None
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    user, password = query.pop("user", None), query.pop("password", None)
    return URL.create(
        driver,
        username=user or (unquote(parts.username) if parts.username else None),
        password=password or (unquote(parts.password) if parts.password else None),
        host=parts.hostname,
        port=port,
        database=unquote(parts.path.lstrip("/")) or None,
        query=_options(driver, query),
    )


def _options(driver: str, query: dict[str, str]) -> dict[str, str]:
    """JDBC properties with a meaning here; others are refused by name."""
    options = {}
    for name, value in query.items():
        if name in _HARMLESS:
            continue
        if name == "currentSchema" and driver.startswith("postgresql"):
            options["options"] = f"-csearch_path={value}"
        elif name in _KNOWN and driver.startswith("postgresql"):
            options[_KNOWN[name]] = value
        else:
            raise ConfigError(KEY, f'The property "{name}" of the JDBC URL is not supported.')
    return options


def _driver(name: str) -> str:
    driver = _DRIVERS.get(name)
    if driver is None:
        raise ConfigError(
            KEY,
            f'There is no driver for "{name}".',
            hint="Supported: postgresql, mysql, mariadb, sqlite.",
        )
    return driver


def _unreadable() -> ConfigError:
    return ConfigError(
        KEY,
        "The URL can't be read.",
        hint="Write postgresql://host:port/database or jdbc:postgresql://host:port/database.",
    )
