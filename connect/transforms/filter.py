"""Filter: leaves out the rows that its predicate selects."""

from __future__ import annotations

from collections.abc import Iterable

from connect.config import Config
from connect.data import Batch
from connect.transform import Transform


class FilterConfig(Config):
    """Filter has no keys of its own: `predicate` and `negate` belong to every transform."""


class Filter(Transform):
    """Drops all it is given; the pipeline gives it only what its predicate selects."""

    config = FilterConfig
    aliases = ("org.apache.kafka.connect.transforms.Filter", "Filter")

    def __init__(self, config: FilterConfig) -> None:
        pass

    def apply(self, batch: Batch) -> Iterable[Batch]:
        """Nothing."""
        return []
