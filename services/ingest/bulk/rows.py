"""Rows of a file, whatever its format: read one after another from a place that an earlier reading told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from core.events.checks import Bad
from core.events.coerce import flatten

BAD_ROW = "BAD_ROW"
BAD_FILE = "BAD_FILE"
BAD_ENCODING = "BAD_ENCODING"
EMPTY_FILE = "EMPTY_FILE"

#: What a row may weigh in the file, its line end included.
MOST_ROW_BYTES = 32 << 20
_PLACE = {"latitude", "longitude"}


@dataclass(frozen=True, slots=True)
class Mark:
    """A place between two rows: `row` rows stand before it, `offset` is where a reader goes on (in bytes of text)."""

    row: int
    offset: int


@dataclass(slots=True)
class Row:
    """Row `number` (from 1) with `cells` in the order of the columns; None and "" are missing. `wrong`: it could not be
    taken apart, then `cells` are what was found."""

    number: int
    cells: Sequence[object]
    wrong: Bad | None
    after: Mark


class RowSource(Protocol):
    """A file at a place."""

    #: The columns, in the order of the cells.
    columns: Sequence[str]
    #: Columns that came up after the first rows; they are left out.
    late: set[str]
    size_bytes: int

    def rows(self) -> Iterator[Row]:
        """The rows from the place on. Raises INVALID for a file that cannot be read any further."""
        ...

    def bytes_at(self, mark: Mark) -> int:
        """How many of `size_bytes` lie before a place."""
        ...

    def close(self) -> None:
        """Let the file go."""
        ...


class NamedCells:
    """Rows of named values (JSON objects, Parquet rows) as cells: objects within objects by dotted names. Names beyond
    those of the first rows are collected in `late`."""

    _MOST_LATE = 100

    def __init__(self, first: Sequence[Mapping[str, object]]) -> None:
        self._places: dict[str, int] = {}
        for row in first:
            for name, _ in _leaves(row):
                self._places.setdefault(name, len(self._places))
        self.columns: Sequence[str] = tuple(self._places)
        self.late: set[str] = set()

    def cells(self, row: Mapping[str, object]) -> list[object]:
        """The row's cells."""
        found: list[object] = [None] * len(self.columns)
        for name, value in _leaves(row):
            place = self._places.get(name)
            if place is not None:
                found[place] = value
            elif len(self.late) < self._MOST_LATE:
                self.late.add(name)
        return found


def _leaves(row: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Names and values; a place (an object of a latitude and a longitude) is one value."""
    for name, value in row.items():
        if isinstance(value, Mapping) and value.keys() != _PLACE:
            yield from ((dotted, leaf) for _, dotted, leaf in flatten(value, "", name, 2))
        else:
            yield name, value
