"""The version our connectors and their events carry: the distribution's."""

from __future__ import annotations

from importlib import metadata
from typing import Final


def _installed() -> str:
    try:
        return metadata.version("tailrace")
    except metadata.PackageNotFoundError:  # a source tree that was not installed
        return "0"


VERSION: Final = _installed()
