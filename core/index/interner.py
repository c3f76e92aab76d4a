"""Values that are no scalar (lists of texts, lists of objects, locations) as numbers: equal values, equal numbers."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from core.events.raw import raw_scalar
from core.index.dictionary import TextDictionary
from core.index.table import Column, Table
from core.schema import Kind, Location, Scalar, kind_of


class _Growing:
    """An append-only array whose views stay valid."""

    def __init__(self, dtype: DTypeLike) -> None:
        self._data = np.zeros(16, dtype)
        self._n = 0

    def add(self, value: int) -> None:
        if self._n == len(self._data):
            self._data = np.concatenate((self._data, np.zeros_like(self._data)))
        self._data[self._n] = value
        self._n += 1

    def view(self) -> NDArray[Any]:
        return self._data[: self._n]


@dataclass(frozen=True, slots=True)
class ListView:
    """Interned lists: list i holds the rows `offsets[i]` to `offsets[i + 1]` of `elements`; the elements of a list of
    texts have one TEXT column named ""."""

    offsets: NDArray[np.int64]
    elements: Table

    def lengths(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """The number of elements of each list."""
        return self.offsets[numbers + 1] - self.offsets[numbers]


class ListInterner:
    """The writer for lists of texts and lists of objects; it only grows."""

    def __init__(self, dictionary: TextDictionary) -> None:
        self._dictionary = dictionary
        self._numbers: dict[Hashable, int] = {}
        self._offsets = _Growing(np.int64)
        self._offsets.add(0)
        self._rows = 0
        self._columns: dict[tuple[str, Kind], tuple[_Growing, _Growing]] = {}
        self._view: ListView | None = None

    def texts(self, values: tuple[str, ...]) -> int:
        """The number of a list of texts."""
        return self._number(tuple((("", Kind.TEXT, self._dictionary.add(text)),) for text in values))

    def objects(self, values: tuple[Mapping[str, Scalar], ...]) -> int:
        """The number of a list of objects; the order of elements counts, that of fields does not."""
        return self._number(
            tuple(
                tuple((name, kind_of(value), self._raw(value)) for name, value in sorted(element.items()))
                for element in values
            )
        )

    def view(self) -> ListView:
        """All lists so far."""
        if self._view is not None:
            return self._view
        columns: dict[str, tuple[Column, ...]] = {}
        for (name, kind), (rows, values) in self._columns.items():
            columns[name] = (*columns.get(name, ()), Column.of(kind, rows.view(), values.view()))
        self._view = ListView(self._offsets.view(), Table(self._rows, columns))
        return self._view

    def load(self, keep: NDArray[np.bool_], lengths: NDArray[np.int64], elements: Table) -> None:
        """Put back the lists of a snapshot under their numbers; those not kept get a number that no value has."""
        fields: list[list[tuple[str, Kind, int]]] = [[] for _ in range(elements.n)]
        for name in sorted(elements.columns):
            for column in elements.columns[name]:
                rows = range(elements.n) if column.rows is None else column.rows.tolist()
                for row, raw in zip(rows, column.values.tolist(), strict=True):
                    fields[row].append((name, column.kind, raw))
        place = 0
        for number, (kept, length) in enumerate(zip(keep.tolist(), lengths.tolist(), strict=True)):
            if kept:
                self._number(tuple(tuple(element) for element in fields[place : place + length]))
                place += length
            else:
                self._numbers[("gone", number)] = number
                self._offsets.add(self._rows)

    def _raw(self, value: Scalar) -> int:
        return self._dictionary.add(value) if isinstance(value, str) else raw_scalar(value)

    def _number(self, elements: tuple[tuple[tuple[str, Kind, int], ...], ...]) -> int:
        known = self._numbers.get(elements)
        if known is not None:
            return known
        self._view = None
        for element in elements:
            for name, kind, raw in element:
                rows, values = self._columns.setdefault((name, kind), _new_column(kind))
                rows.add(self._rows)
                values.add(raw)
            self._rows += 1
        number = self._numbers[elements] = len(self._numbers)
        self._offsets.add(self._rows)
        return number


def _new_column(kind: Kind) -> tuple[_Growing, _Growing]:
    """Rows and values of a column, empty."""
    return _Growing(np.uint32), _Growing(np.uint32 if kind is Kind.TEXT else np.int64)


class LocationInterner:
    """Locations as numbers in order of arrival."""

    def __init__(self) -> None:
        self.values: list[Location] = []
        self._numbers: dict[Location, int] = {}

    def load(self, values: Sequence[Location], keep: Sequence[bool]) -> None:
        """Put back the locations of a snapshot under their numbers; those not kept get a number that no value has."""
        for number, (value, kept) in enumerate(zip(values, keep, strict=True)):
            self.values.append(value)
            if kept:
                self._numbers[value] = number

    def number(self, value: Location) -> int:
        """The number of `value`."""
        known = self._numbers.get(value)
        if known is None:
            known = self._numbers[value] = len(self.values)
            self.values.append(value)
        return known
