"""Attributes of many contacts as plain values, read from the columns of one version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from core.events.raw import scalar_of
from core.index.interner import ListView
from core.index.root import Root
from core.schema import Kind, Scalar, Value

_MOST_CACHED = 20_000


class ValueReader:
    """Reads attributes of `root` as of an instant."""

    def __init__(self, root: Root, as_of_us: int) -> None:
        self._root = root
        self._as_of_us = as_of_us
        self._lists: dict[tuple[Kind, int], Value] = {}

    def column(self, name: str, contacts: NDArray[np.uint32]) -> list[Value | None]:
        """The value of attribute `name` of each contact, in their order; None where it is missing."""
        view = self._root.attributes.get(name)
        if view is None:
            return [None] * len(contacts)
        kinds, values = view.valid(self._as_of_us, contacts, self._root.contact_count)
        return [self._value(kind, raw) for kind, raw in zip(kinds.tolist(), values.tolist(), strict=True)]

    def _value(self, kind: int, raw: int) -> Value | None:
        match kind:
            case 0:
                return None
            case Kind.TEXT:
                return self._root.dictionary.text(raw)
            case Kind.LOCATION:
                return self._root.locations[raw]
            case Kind.TEXT_LIST | Kind.OBJECT_LIST:
                return self._list(Kind(kind), raw)
            case _:
                return scalar_of(Kind(kind), raw)

    def _list(self, kind: Kind, number: int) -> Value:
        found = self._lists.get((kind, number))
        if found is None:
            if len(self._lists) >= _MOST_CACHED:
                self._lists.clear()
            found = self._lists[kind, number] = self._read_list(kind, number)
        return found

    def _read_list(self, kind: Kind, number: int) -> Value:
        view = self._root.text_lists if kind is Kind.TEXT_LIST else self._root.object_lists
        elements = self._elements(view, number)
        if kind is Kind.TEXT_LIST:
            return tuple(str(one[""]) for one in elements)
        return tuple(elements)

    def _elements(self, view: ListView, number: int) -> Sequence[Mapping[str, Scalar]]:
        table = view.elements.take(slice(int(view.offsets[number]), int(view.offsets[number + 1])))
        found: list[dict[str, Scalar]] = [{} for _ in range(table.n)]
        for name, columns in sorted(table.columns.items()):
            for column in columns:
                rows = range(table.n) if column.rows is None else column.rows.tolist()
                for row, raw in zip(rows, column.values.tolist(), strict=True):
                    is_text = column.kind is Kind.TEXT
                    found[row][name] = self._root.dictionary.text(raw) if is_text else scalar_of(column.kind, raw)
        return found
