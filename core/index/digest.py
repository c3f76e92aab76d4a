"""One short text for the facts of a root, whatever their order of arrival, batches, runs and numbering.

Every fact is hashed to two 64-bit lanes from its names and values (contacts by their public ids, texts by their
characters), and the hashes are added modulo 2**64: the order of adding does not show. A digest compares states; it is
no protection against someone who chooses the facts.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.index.contacts import ERASED, NEVER_US
from core.index.event_run import EventRun
from core.index.interner import ListView
from core.index.product_view import product_run
from core.index.root import Root
from core.index.steps import StepView
from core.index.table import Column, Table
from core.kernels.ranges import expand_ranges
from core.schema import Kind

Hashes = NDArray[np.uint64]
_LANES = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)
_TEXT_KINDS = (Kind.TEXT, Kind.TEXT_LIST)


def digest(root: Root) -> str:
    """32 hexadecimal digits; equal for equal facts. Of writes of one attribute at one instant the last counts."""
    return "".join(f"{_Lane(root, lane).total():016x}" for lane in range(len(_LANES)))


class _Lane:
    def __init__(self, root: Root, lane: int) -> None:
        self._root = root
        self._lane = lane
        self._seed = np.uint64(_LANES[lane])
        self._texts = np.array([self._word(text.encode()) for text in root.dictionary.texts()], np.uint64)
        self._all = np.arange(root.contact_count, dtype=np.uint32)
        self._keys = np.array([self._word(key.encode()) for key in root.keys_of(self._all)], np.uint64)

    def total(self) -> int:
        """The sum over all facts."""
        parts = [self._contacts()]
        parts += [self._events(name, run) for name, runs in self._root.events.items() for run in runs]
        lists = {
            Kind.TEXT_LIST: self._list_hashes(self._root.text_lists),
            Kind.OBJECT_LIST: self._list_hashes(self._root.object_lists),
        }
        parts += [self._steps("attribute/" + name, view, lists) for name, view in self._root.attributes.items()]
        parts += [self._steps("list/" + name, view, lists) for name, view in self._root.lists.items()]
        parts.append(self._products())
        parts.append(self._ties())
        return sum(parts) % 2**64

    def _contacts(self) -> int:
        view = self._root.contacts
        forward, earliest = view.forward_of(self._all), view.earliest_of(self._all)
        named = (self._keys != self._word(b"")) & (forward != ERASED)
        heard = np.flatnonzero(named | (earliest != NEVER_US))
        forward = forward[heard]
        survivors = np.where(forward >= 0, self._keys[np.maximum(forward, 0)], forward.astype(np.uint64))
        known, reachable = view.known.has(self._all), view.reachable_of(self._all)
        return _sum(self._mix(self._keys[heard], earliest[heard], known[heard], reachable[heard], survivors))

    def _events(self, name: str, run: EventRun) -> int:
        ids = np.array([self._word(event_id) for event_id in run.ids], np.uint64)
        flags = np.zeros(len(run), np.uint8) if run.flags is None else run.flags
        params = self._rows(run.params)
        item_rows, events = run.item_ranges(slice(0, len(run)))
        items = np.zeros(len(run), np.uint64)
        # Items of an event stand together: the place of one is how far it is from the first.
        places = np.arange(len(events)) - np.searchsorted(events, events, "left")
        np.add.at(items, events, self._mix(self._rows(run.items)[item_rows], places))
        kind = np.full(len(run), self._word(name.encode()), np.uint64)
        return _sum(self._mix(kind, self._keys[run.contacts], run.occurred_at_us, ids, flags, params, items))

    def _steps(self, name: str, view: StepView, lists: dict[Kind, Hashes]) -> int:
        run = view.all_writes()
        if len(run) == 0:
            return 0
        last = np.append((run.contacts[1:] != run.contacts[:-1]) | (run.at_us[1:] != run.at_us[:-1]), True)
        run = run.take(np.flatnonzero(last))
        values = run.values.astype(np.uint64)
        for kind, hashes in ((Kind.TEXT, self._texts), *lists.items()):
            mine = run.kinds == kind
            values[mine] = hashes[run.values[mine]]
        mine = run.kinds == Kind.LOCATION
        for row in np.flatnonzero(mine).tolist():
            at = self._root.locations[int(run.values[row])]
            values[row] = self._word(f"{at.latitude_e7}/{at.longitude_e7}".encode())
        values[run.kinds == 0] = 0
        named = np.full(len(run), self._word(name.encode()), np.uint64)
        return _sum(self._mix(named, self._keys[run.contacts], run.at_us, run.kinds, values))

    def _products(self) -> int:
        if not self._root.products.runs:
            return 0
        run = product_run(self._root.products.runs)
        last = np.append((run.products[1:] != run.products[:-1]) | (run.at_us[1:] != run.at_us[:-1]), True)
        named = np.full(len(run), self._word(b"product"), np.uint64)
        return _sum(self._mix(named, self._texts[run.products], run.at_us, run.deleted, self._rows(run.fields))[last])

    def _ties(self) -> int:
        """The log order of events of several types with one instant and id."""
        mentions = [
            (instant, self._word(event_id), place, self._word(name.encode()))
            for (instant, event_id), names in self._root.ties.all().items()
            for place, name in enumerate(names)
        ]
        instants, *others = zip(*mentions, strict=True) if mentions else ((), (), (), ())
        columns = [np.array(one, np.uint64) for one in others]
        named = np.full(len(mentions), self._word(b"tie"), np.uint64)
        return _sum(self._mix(named, np.array(instants, np.int64), *columns))

    def _list_hashes(self, lists: ListView) -> Hashes:
        """One hash per interned list, of its elements in their order."""
        count = len(lists.offsets) - 1
        rows, owners = expand_ranges(lists.offsets[:-1], lists.offsets[1:])
        result = np.ones(count, np.uint64)
        np.add.at(result, owners, self._mix(self._rows(lists.elements)[rows], rows - lists.offsets[:-1][owners]))
        return result

    def _rows(self, table: Table) -> Hashes:
        """One hash per row of a table, of all its values."""
        result = np.zeros(table.n, np.uint64)
        for name, columns in table.columns.items():
            for column in columns:
                rows, places = _places(column, table.n)
                values = self._texts[column.values] if column.kind in _TEXT_KINDS else column.values
                named = np.full(len(rows), self._word(f"{name}/{int(column.kind)}".encode()), np.uint64)
                np.add.at(result, rows, self._mix(named, values, places))
        return result

    def _word(self, data: bytes) -> int:
        return int.from_bytes(blake2b(data, digest_size=16).digest()[8 * self._lane : 8 * self._lane + 8], "little")

    def _mix(self, *columns: NDArray[Any]) -> Hashes:
        """One hash per row of the columns: the finaliser of splitmix64 after each."""
        state = np.full(len(columns[0]), self._seed, np.uint64)
        for column in columns:
            state = state * np.uint64(0xD1342543DE82EF95) + column.astype(np.uint64)
            state ^= state >> np.uint64(30)
            state *= np.uint64(0xBF58476D1CE4E5B9)
            state ^= state >> np.uint64(27)
            state *= np.uint64(0x94D049BB133111EB)
            state ^= state >> np.uint64(31)
        return state


def _places(column: Column, n: int) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """The row of each value, and its place among the values of that row."""
    if column.rows is None:
        return np.arange(n), np.zeros(n, np.int64)
    return column.rows, np.arange(len(column.rows)) - np.searchsorted(column.rows, column.rows, "left")


def _sum(hashes: Hashes) -> int:
    return int(hashes.sum(dtype=np.uint64)) if len(hashes) else 0
