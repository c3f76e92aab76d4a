"""A batch of events as columns: the form in which events are logged, sent between services and indexed.

Rows are events in log order. Parameters are sparse columns: `rows` says which event (or item) has a value, ascending;
a row that stands twice holds a list. Values are int64 whatever their kind: TEXT an index into `strings`, DECIMAL
units of 1e-4, BOOLEAN 0 or 1, INSTANT microseconds, DATE days since 1970-01-01. Items (order lines, cart lines) of
event i are the item rows `item_offsets[i]` to `item_offsets[i + 1]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from core.events.raw import raw_scalar, scalar_of
from core.schema import Kind, Scalar, kind_of

#: Bits of `flags`.
IMPORTED = 1  # history: it changes answers, and starts nothing
MACHINE = 2  # made by a mail scanner, an image proxy or a bot: counted nowhere unless asked for


@dataclass(frozen=True, slots=True)
class Identifier:
    """A way by which a fact names its person; kinds are those of core.identity."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class Event:
    """One event as a row. `params` hold scalars or tuples of texts; `items` are the lines of an order or cart."""

    id: str
    type: str
    occurred_at_us: int
    received_at_us: int
    identifiers: tuple[Identifier, ...] = ()
    params: Mapping[str, Scalar | tuple[str, ...]] = field(default_factory=dict)
    items: tuple[Mapping[str, Scalar], ...] = ()
    flags: int = 0


@dataclass(frozen=True, slots=True)
class ParamColumn:
    """Values of one parameter of one kind: `rows` uint32 ascending, `values` int64, equally long. A parameter that
    holds two kinds within a batch has two columns."""

    name: str
    kind: Kind
    rows: NDArray[np.uint32]
    values: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class EventColumns:
    """`n` events. `types` index into `strings` (uint32), instants are int64 microseconds, `flags` uint8.
    `contacts` (uint32, dense numbers) is None until unification has resolved the batch; then `identifiers` may be
    empty. `identifiers[i]` belong to event i."""

    ids: tuple[str, ...]
    types: NDArray[np.uint32]
    occurred_at_us: NDArray[np.int64]
    received_at_us: NDArray[np.int64]
    flags: NDArray[np.uint8]
    params: tuple[ParamColumn, ...]
    item_offsets: NDArray[np.uint32]
    item_params: tuple[ParamColumn, ...]
    strings: tuple[str, ...]
    identifiers: tuple[tuple[Identifier, ...], ...] = ()
    contacts: NDArray[np.uint32] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self) -> Iterator[Event]:
        """All events as rows, in order."""
        params = _by_row(self.params, self.strings, len(self))
        items = _by_row(self.item_params, self.strings, int(self.item_offsets[-1]))
        for row, event_id in enumerate(self.ids):
            first, last = int(self.item_offsets[row]), int(self.item_offsets[row + 1])
            lines = tuple({k: v for k, v in items[i].items() if not isinstance(v, tuple)} for i in range(first, last))
            yield Event(
                id=event_id,
                type=self.strings[self.types[row]],
                occurred_at_us=int(self.occurred_at_us[row]),
                received_at_us=int(self.received_at_us[row]),
                identifiers=self.identifiers[row] if self.identifiers else (),
                params=params[row],
                items=lines,
                flags=int(self.flags[row]),
            )

    def take(self, rows: NDArray[np.intp]) -> EventColumns:
        """The events at `rows` (ascending, unique) alone; strings are shared, not compacted."""
        counts = (self.item_offsets[1:] - self.item_offsets[:-1])[rows]
        first = self.item_offsets[rows].astype(np.int64) - (np.cumsum(counts, dtype=np.int64) - counts)
        item_rows = np.arange(int(counts.sum()), dtype=np.int64) + np.repeat(first, counts)
        total_items = int(self.item_offsets[-1])
        return replace(
            self,
            ids=tuple(self.ids[r] for r in rows),
            types=self.types[rows],
            occurred_at_us=self.occurred_at_us[rows],
            received_at_us=self.received_at_us[rows],
            flags=self.flags[rows],
            params=_take(self.params, rows, len(self)),
            item_offsets=np.concatenate(([0], np.cumsum(counts))).astype(np.uint32),
            item_params=_take(self.item_params, item_rows, total_items),
            identifiers=tuple(self.identifiers[r] for r in rows) if self.identifiers else (),
            contacts=None if self.contacts is None else self.contacts[rows],
        )


def _take(columns: tuple[ParamColumn, ...], rows: NDArray[np.intp], n: int) -> tuple[ParamColumn, ...]:
    new_row = np.full(n, -1, np.int64)
    new_row[rows] = np.arange(len(rows))
    kept = []
    for column in columns:
        moved = new_row[column.rows]
        mask = moved >= 0
        if mask.any():
            kept.append(ParamColumn(column.name, column.kind, moved[mask].astype(np.uint32), column.values[mask]))
    return tuple(kept)


def _by_row(
    columns: tuple[ParamColumn, ...], strings: tuple[str, ...], n: int
) -> list[dict[str, Scalar | tuple[str, ...]]]:
    result: list[dict[str, Scalar | tuple[str, ...]]] = [{} for _ in range(n)]
    for column in columns:
        is_list = column.kind is Kind.TEXT_LIST
        for row, raw in zip(column.rows.tolist(), column.values.tolist(), strict=True):
            if is_list:
                before = result[row].get(column.name, ())
                result[row][column.name] = (*(before if isinstance(before, tuple) else ()), strings[raw])
            else:
                result[row][column.name] = strings[raw] if column.kind is Kind.TEXT else scalar_of(column.kind, raw)
    return result


class EventColumnsBuilder:
    """Collects rows into columns. Text is stored once per batch."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._types: list[int] = []
        self._occurred: list[int] = []
        self._received: list[int] = []
        self._flags: list[int] = []
        self._identifiers: list[tuple[Identifier, ...]] = []
        self._item_offsets: list[int] = [0]
        self._items = 0
        self._codes: dict[str, int] = {}
        self._params: dict[tuple[str, Kind], tuple[list[int], list[int]]] = {}
        self._item_params: dict[tuple[str, Kind], tuple[list[int], list[int]]] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, event: Event) -> None:
        """Append `event` as the next row."""
        row = len(self._ids)
        codes = self._codes
        self._ids.append(event.id)
        self._types.append(codes.setdefault(event.type, len(codes)))
        self._occurred.append(event.occurred_at_us)
        self._received.append(event.received_at_us)
        self._flags.append(event.flags)
        self._identifiers.append(event.identifiers)
        for name, value in event.params.items():
            if isinstance(value, tuple):
                for text in value:
                    self._put(self._params, name, Kind.TEXT_LIST, row, codes.setdefault(text, len(codes)))
            else:
                self._scalar(self._params, name, row, value)
        for item in event.items:
            for name, value in item.items():
                self._scalar(self._item_params, name, self._items, value)
            self._items += 1
        self._item_offsets.append(self._items)

    def _scalar(
        self, into: dict[tuple[str, Kind], tuple[list[int], list[int]]], name: str, row: int, value: Scalar
    ) -> None:
        codes = self._codes
        raw = codes.setdefault(value, len(codes)) if isinstance(value, str) else raw_scalar(value)
        self._put(into, name, kind_of(value), row, raw)

    @staticmethod
    def _put(
        into: dict[tuple[str, Kind], tuple[list[int], list[int]]], name: str, kind: Kind, row: int, raw: int
    ) -> None:
        column = into.get((name, kind))
        if column is None:
            column = into[(name, kind)] = ([], [])
        column[0].append(row)
        column[1].append(raw)

    def build(self) -> EventColumns:
        """The rows so far as columns; an empty builder gives an empty batch."""
        return EventColumns(
            ids=tuple(self._ids),
            types=np.array(self._types, np.uint32),
            occurred_at_us=np.array(self._occurred, np.int64),
            received_at_us=np.array(self._received, np.int64),
            flags=np.array(self._flags, np.uint8),
            params=_columns(self._params),
            item_offsets=np.array(self._item_offsets, np.uint32),
            item_params=_columns(self._item_params),
            strings=tuple(self._codes),
            identifiers=tuple(self._identifiers),
        )


def _columns(collected: dict[tuple[str, Kind], tuple[list[int], list[int]]]) -> tuple[ParamColumn, ...]:
    return tuple(
        ParamColumn(name, kind, np.array(rows, np.uint32), np.array(values, np.int64))
        for (name, kind), (rows, values) in collected.items()
    )
