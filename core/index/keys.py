"""Public ids of contacts, both ways: about 30 bytes each where they are UUIDs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from core.index.key_text import format_uuid, format_uuids, halves_of_bytes, parse_uuid, parse_uuids
from core.index.patched import Columns, FrozenTable, PatchedTable

#: Columns of the table of ids: for a UUID its halves, for another text its place and length in the heap.
_HIGH, _LOW, _FORM = 0, 1, 2
_ALL = (_HIGH, _LOW, _FORM)
#: Forms: no id was told, a UUID, a text in the heap.
_NONE, _UUID, _TEXT = 0, 1, 2
#: So many new ids are found through a dictionary before they are sorted in.
_TAIL = 16_384

_HIGH_FACTOR, _LOW_FACTOR = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F
_MIX_SHIFT = 29
_WORD = 2**64 - 1

Keys = Sequence[str] | NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Sorted:
    """Hashes of ids, ascending, and their contacts; of equal hashes the latest told stands last."""

    hashes: NDArray[np.uint64]
    numbers: NDArray[np.uint32]


@dataclass(frozen=True, slots=True, weakref_slot=True)
class KeyView:
    """The ids at one version. The tail may know later ones, so every answer is checked against the table."""

    table: FrozenTable
    heap: NDArray[np.uint8]
    runs: tuple[_Sorted, ...]
    tail: Mapping[str, int]

    def keys_of(self, numbers: NDArray[np.integer]) -> list[str]:
        """The id of each of `numbers`; "" where none was told."""
        columns = self.table.take(numbers, _ALL)
        return _texts(columns, self.heap)

    def key_of(self, number: int) -> str:
        """The id of one contact; "" where none was told."""
        if number >= self.table.n:
            return ""
        high, low, form = (int(column[0]) for column in self.table.take(np.array([number], np.uint32), _ALL))
        if form == _UUID:
            return format_uuid(high, low)
        return self.heap[high : high + low].tobytes().decode() if form == _TEXT else ""

    def number_of(self, key: str) -> int | None:
        """The contact that was told last to have this id; None where there is none."""
        number = self.tail.get(key)
        if number is not None and self._is(number, key):
            return number
        value = np.uint64(_hash_of(key))
        for run in reversed(self.runs):
            first = int(np.searchsorted(run.hashes, value, "left"))
            last = int(np.searchsorted(run.hashes, value, "right"))
            for place in range(last - 1, first - 1, -1):
                number = int(run.numbers[place])
                if self._is(number, key):
                    return number
        return None

    def columns(self) -> Columns:
        """Every id: the table's three columns."""
        return tuple(self.table.whole(column) for column in _ALL)

    @property
    def nbytes(self) -> int:
        """Bytes of ids and index; the tail, which is small, is left out."""
        runs = sum(run.hashes.nbytes + run.numbers.nbytes for run in self.runs)
        return self.table.nbytes + self.heap.nbytes + runs

    def _is(self, number: int, key: str) -> bool:
        return self.key_of(number) == key


class KeyTable:
    """The writer."""

    def __init__(self) -> None:
        self._table = PatchedTable(np.uint64, np.uint64, np.uint8)
        self._heap = np.zeros(0, np.uint8)
        self._heap_end = 0
        self._runs: list[_Sorted] = []
        self._tail: dict[str, int] = {}
        self._view: KeyView | None = None

    def tell(self, numbers: NDArray[np.uint32], keys: Keys) -> None:
        """Contact `numbers[i]` (unique) has the id `keys[i]`: a text, or the 16 bytes of a UUID."""
        if len(numbers) == 0:
            return
        order = np.argsort(numbers, kind="stable")
        numbers = numbers[order]
        self._table.grow(int(numbers[-1]) + 1)
        before = self._table.get(numbers, _ALL)
        if isinstance(keys, np.ndarray):
            columns: Columns = (*halves_of_bytes(keys[order]), np.full(len(numbers), _UUID, np.uint8))
        else:
            columns = self._columns_of([keys[place] for place in order.tolist()], before)
        changed = ~np.logical_and.reduce([old == new for old, new in zip(before, columns, strict=True)])
        if not changed.any():
            return
        numbers, columns = numbers[changed], tuple(column[changed] for column in columns)
        self._table.set(numbers, columns)
        self._view = None
        if len(numbers) < _TAIL:
            self._tail.update(zip(_texts(columns, self._heap), numbers.tolist(), strict=True))
            if len(self._tail) >= _TAIL:
                self._sort_tail()
            return
        # The tail is asked first, so it may hold nothing older than the run.
        self._sort_tail()
        self._add_run(numbers, columns)

    def fold_some(self) -> None:
        """Tidy up after many small writes, where it is time; a part of the work each time."""
        if self._table.folding or self._table.overdue > 1:
            self._table.fold_some()
            self._view = None

    def view(self) -> KeyView:
        """Pin the present version."""
        if self._view is None:
            heap = self._heap[: self._heap_end]
            self._view = KeyView(self._table.freeze(), heap, tuple(self._runs), self._tail)
        return self._view

    def load(self, columns: Columns, heap: NDArray[np.uint8]) -> None:
        """Put back what a snapshot kept; the table must be empty."""
        self._table.load(columns)
        self._heap, self._heap_end = heap, len(heap)
        numbers = np.flatnonzero(columns[_FORM] != _NONE).astype(np.uint32)
        self._add_run(numbers, tuple(column[numbers] for column in columns))
        self._view = None

    def _columns_of(self, texts: list[str], before: Columns) -> Columns:
        """The columns of new ids; those that a contact has already keep their place in the heap."""
        canonical, (high, low) = parse_uuids(texts)
        form = np.where(canonical, _UUID, _TEXT).astype(np.uint8)
        rows = np.flatnonzero(~canonical)
        held = _texts(tuple(column[rows] for column in before), self._heap)
        for row, old in zip(rows.tolist(), held, strict=True):
            if before[_FORM][row] == _TEXT and old == texts[row]:
                high[row], low[row] = before[_HIGH][row], before[_LOW][row]
            else:
                high[row], low[row] = self._put(texts[row].encode())
        return high, low, form

    def _put(self, data: bytes) -> tuple[int, int]:
        """Place and length of `data` in the heap; readers keep the heap that they have."""
        end = self._heap_end + len(data)
        if end > len(self._heap):
            grown = np.zeros(max(end, 2 * len(self._heap), 1024), np.uint8)
            grown[: self._heap_end] = self._heap[: self._heap_end]
            self._heap = grown
        self._heap[self._heap_end : end] = np.frombuffer(data, np.uint8)
        start, self._heap_end = self._heap_end, end
        return start, len(data)

    def _sort_tail(self) -> None:
        """Readers keep the tail that they have."""
        if not self._tail:
            return
        numbers = np.fromiter(self._tail.values(), np.uint32, len(self._tail))
        self._add_run(numbers, self._table.get(numbers, _ALL))
        self._tail = {}

    def _add_run(self, numbers: NDArray[np.uint32], columns: Columns) -> None:
        hashes = _hashes(columns, self._heap)
        order = np.argsort(hashes, kind="stable")
        self._runs.append(_Sorted(hashes[order], numbers[order]))
        while len(self._runs) > 1 and 2 * len(self._runs[-1].hashes) >= len(self._runs[-2].hashes):
            late, early = self._runs.pop(), self._runs.pop()
            hashes = np.concatenate((early.hashes, late.hashes))
            # Two ascending parts: the stable sort merges them.
            order = np.argsort(hashes, kind="stable")
            self._runs.append(_Sorted(hashes[order], np.concatenate((early.numbers, late.numbers))[order]))


def packed_without(view: KeyView, gone: NDArray[np.bool_]) -> tuple[Columns, NDArray[np.uint8]]:
    """The columns and the heap of a view without the ids of the contacts that are `gone`."""
    high, low, form = (column.copy() for column in view.columns())
    left_out = gone[: len(form)]
    high[: len(left_out)][left_out], low[: len(left_out)][left_out], form[: len(left_out)][left_out] = 0, 0, _NONE
    rows = np.flatnonzero(form == _TEXT)
    texts = [text.encode() for text in _texts((high[rows], low[rows], form[rows]), view.heap)]
    lengths = np.array([len(text) for text in texts], np.uint64)
    high[rows] = np.cumsum(lengths) - lengths
    return (high, low, form), np.frombuffer(b"".join(texts), np.uint8)


def _texts(columns: Columns, heap: NDArray[np.uint8]) -> list[str]:
    high, low, form = columns
    uuids = form == _UUID
    if uuids.all():
        return format_uuids((high, low))
    found = [""] * len(form)
    rows = np.flatnonzero(uuids)
    for row, text in zip(rows.tolist(), format_uuids((high[rows], low[rows])), strict=True):
        found[row] = text
    for row in np.flatnonzero(form == _TEXT).tolist():
        start = int(high[row])
        found[row] = heap[start : start + int(low[row])].tobytes().decode()
    return found


def _hash_of(key: str) -> int:
    halves = parse_uuid(key)
    if halves is None:
        return _text_hash(key.encode())
    mixed = (halves[0] * _HIGH_FACTOR + halves[1] * _LOW_FACTOR) & _WORD
    return mixed ^ (mixed >> _MIX_SHIFT)


def _hashes(columns: Columns, heap: NDArray[np.uint8]) -> NDArray[np.uint64]:
    high, low, form = columns
    hashes = _mix(high, low)
    for row in np.flatnonzero(form == _TEXT).tolist():
        start = int(high[row])
        hashes[row] = _text_hash(heap[start : start + int(low[row])].tobytes())
    return hashes


def _mix(high: NDArray[np.uint64], low: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mixed = high * np.uint64(_HIGH_FACTOR) + low * np.uint64(_LOW_FACTOR)
    mixed ^= mixed >> np.uint64(_MIX_SHIFT)
    return mixed


def _text_hash(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")
