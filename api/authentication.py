"""Who may use the API: a bearer token, or users of a file with HTTP basic authentication.

The file has a line ``user:password`` for each user, the password either plain or
``{scrypt}salt$hash`` as ``tailrace server password`` prints it. It must be readable by its owner
only.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from connect.errors import ConfigError

SCRYPT = "{scrypt}"


@dataclass(frozen=True, slots=True)
class Authentication:
    """The accepted credentials; comparisons take the same time wherever they fail."""

    token: str | None = field(default=None, repr=False)
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    _checked: dict[bytes, bool] = field(default_factory=dict, repr=False, compare=False)

    def allows(self, header: str | None) -> bool:
        """Whether this ``Authorization`` header is one of ours."""
        scheme, _, credentials = (header or "").strip().partition(" ")
        credentials = credentials.strip()
        if scheme.lower() == "bearer" and self.token is not None:
            return _same(credentials, self.token)
        if scheme.lower() == "basic" and self.users:
            return self._allows_user(credentials)
        return False

    @property
    def challenge(self) -> str:
        """The ``WWW-Authenticate`` header that says how to come back."""
        return 'Basic realm="tailrace", charset="UTF-8"' if self.users else "Bearer"

    def _allows_user(self, credentials: str) -> bool:
        try:
            user, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError, ValueError):
            return False
        # scrypt costs tens of milliseconds: remember the outcome under a digest, never in clear.
        digest = hashlib.blake2b(credentials.encode()).digest()
        known = self._checked.get(digest)
        if known is None:
            stored = self.users.get(user)
            known = password_matches(password, stored or _NOBODY) and stored is not None
            if known:
                self._checked[digest] = known
        return known


def read_users(path: Path) -> dict[str, str]:
    """The users of a file; ConfigError names the line, never its content."""
    try:
        mode = path.stat().st_mode
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("--auth-file", f"Can't read {path}: {_reason(error)}.") from error
    if mode & 0o077:
        raise ConfigError(
            "--auth-file", f"{path} can be read by others.", hint=f"Run: chmod 600 {path}"
        )
    users = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        user, separator, password = line.partition(":")
        if not (user and separator and password) or not _understood(password):
            raise ConfigError(
                "--auth-file",
                f"{path} line {number} is not user:password.",
                hint="Make the line with: tailrace server password USER",
            )
        users[user] = password
    if not users:
        raise ConfigError("--auth-file", f"{path} names no user.")
    return users


def hash_password(password: str) -> str:
    """The password as a user file keeps it."""
    salt = secrets.token_bytes(16)
    return f"{SCRYPT}{_b64(salt)}${_b64(_scrypt(password, salt))}"


def password_matches(password: str, stored: str) -> bool:
    """Whether this is the stored password, plain or hashed."""
    if not stored.startswith(SCRYPT):
        return _same(password, stored)
    salt, _, digest = stored.removeprefix(SCRYPT).partition("$")
    expected = base64.b64decode(digest)
    return hmac.compare_digest(_scrypt(password, base64.b64decode(salt)), expected)


def _understood(password: str) -> bool:
    if not password.startswith(SCRYPT):
        return not password.startswith(("$2", "$apr1$", "{SHA}", "$5$", "$6$"))
    salt, separator, digest = password.removeprefix(SCRYPT).partition("$")
    try:
        return (
            bool(separator) and len(base64.b64decode(digest)) == 32 and bool(base64.b64decode(salt))
        )
    except binascii.Error:
        return False


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=1 << 14, r=8, p=1, dklen=32)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _reason(error: Exception) -> str:
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "not UTF-8"


_NOBODY = hash_password(secrets.token_hex(16))
