"""Whether there is anything to look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.index.root import Root
from core.query.rows.selecting import matching_types


class Presence:
    """Whether a root has events of a type in a span, looked up once for all leaves."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._found: dict[tuple[str, int, int], bool] = {}

    def any_of(self, names: Sequence[str]) -> Callable[[int, int], bool]:
        """Of these names (prefixes among them), from the first instant up to before the second."""
        return lambda start_us, until_us: any(
            self._any(name, start_us, until_us) for name in matching_types(names, self._root)
        )

    def _any(self, name: str, start_us: int, until_us: int) -> bool:
        key = (name, start_us, until_us)
        found = self._found.get(key)
        if found is None:
            inside = (run.between(start_us, until_us) for run in self._root.events.get(name, ()))
            found = self._found[key] = any(rows.start < rows.stop for rows in inside)
        return found
