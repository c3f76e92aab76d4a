"""Finding the new events that have instant and id of an event of another type, as a seal sorts them into runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.index.event_ids import EventIds
from core.index.event_run import EventRun
from core.index.event_ties import Found, Key, rows_of_key
from core.kernels.ranges import expand_ranges, sorted_unique

_Runs = tuple[EventRun, ...]
#: So few new events are looked up one by one, at some microseconds each, rather than joined by sorting.
_FEW = 8
#: Looking up one costs about as much as reading so many ids of a run.
_LOOKED_UP = 64
_ODD = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))
_SHIFT = np.uint64(31)


@dataclass(slots=True)
class RunSpans:
    """When the first and last event of each run occurred, kept so that most runs are passed over without a look."""

    _of_type: dict[str, tuple[_Runs, int, int, list[tuple[EventRun, int, int]]]] = field(default_factory=dict)

    def overlapping(self, runs: Mapping[str, _Runs], first: int, last: int) -> Iterator[tuple[str, EventRun]]:
        """Type and run of those whose first event is at or before `last`, and whose last one at or after `first`."""
        for name, own in runs.items():
            known = self._of_type.get(name)
            if known is None or known[0] is not own:
                spans = [(one, int(one.occurred_at_us[0]), int(one.occurred_at_us[-1])) for one in own if len(one)]
                least, most = min((span[1] for span in spans), default=0), max((span[2] for span in spans), default=0)
                known = self._of_type[name] = (own, least, most, spans)
            if known[1] <= last and known[2] >= first:
                yield from ((name, run) for run, least, most in known[3] if least <= last and most >= first)


class _Fresh:
    """New events in log order. `types`: the dictionary code of each one's type, `names`: the names of those codes."""

    def __init__(
        self, times: NDArray[np.int64], ids: EventIds, types: NDArray[np.uint32], names: Mapping[int, str]
    ) -> None:
        self.times = times
        self.types = types
        self.names = names
        self.ordered = np.sort(times)
        self._ids = ids
        self._order: NDArray[np.intp] | None = None
        self._words: dict[bool, NDArray[np.uint64]] = {}
        self._by_word: dict[bool, tuple[NDArray[np.intp], NDArray[np.uint64]]] = {}

    def key(self, row: int) -> Key:
        """Instant and id of a row."""
        return int(self.times[row]), self._ids.at(row)

    def name(self, row: int) -> str:
        """The type of a row."""
        return self.names[int(self.types[row])]

    def rows_at(self, instants: NDArray[np.int64]) -> NDArray[np.intp]:
        """The rows of these instants (unique), in the order of the instants."""
        if self._order is None:
            self._order = np.argsort(self.times, kind="stable")
        return self._order[expand_ranges(*_ranges(self.ordered, instants))[0]]

    def words(self, as_bytes: bool = False) -> NDArray[np.uint64]:
        """The word of each row, of its id as it is or of the id's bytes."""
        as_bytes = as_bytes and self._ids.pairs is not None
        found = self._words.get(as_bytes)
        if found is None:
            found = self._words[as_bytes] = _words(self.times, self._ids.as_bytes() if as_bytes else self._ids)
        return found

    def words_at(self, rows: NDArray[np.intp]) -> NDArray[np.uint64]:
        """The words of some rows, of their ids as they are."""
        if 2 * len(rows) < len(self.times):
            return _words(self.times[rows], self._ids.take(rows))
        return self.words()[rows]

    def rows_like(self, run: EventRun, rows: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """Own rows that have the key of one of `rows` of a run, and those of `rows`; by chance some that do not."""
        ids = run.ids.take(rows)
        as_bytes = ids.pairs is None
        words = self.words(as_bytes)
        other = _words(run.occurred_at_us[rows], ids.as_bytes() if self._ids.pairs is None else ids)
        if as_bytes not in self._by_word:
            order = np.argsort(words)
            self._by_word[as_bytes] = order, words[order]
        order, ordered = self._by_word[as_bytes]
        places = ordered.searchsorted(other)
        alike = ordered.take(places, mode="clip") == other
        if not alike.any():
            return order[:0], rows[:0]
        return order[expand_ranges(*_ranges(ordered, sorted_unique(other[alike])))[0]], rows[alike]


def tied_events(
    times: NDArray[np.int64],
    ids: EventIds,
    types: NDArray[np.uint32],
    name_of: Callable[[int], str],
    runs: Mapping[str, _Runs],
    spans: RunSpans,
) -> Found:
    """What new events, in log order, have instant and id of an event of another type: of one another or, where sealed
    in `runs`, of an earlier one. `types`: the type of each as a number that `name_of` names."""
    found = Found()
    if len(times) == 0:
        return found
    names = {code: name_of(code) for code in sorted_unique(types).tolist()}
    codes = {name: code for code, name in names.items()}
    fresh = _Fresh(times, ids, types, names)
    instants = fresh.ordered
    if len(instants) > 1:
        repeated = instants[1:] == instants[:-1]
        if repeated.any():
            if len(names) > 1:
                _among_fresh(fresh, fresh.rows_at(sorted_unique(instants[1:][repeated])), found)
            instants = instants[np.append(True, ~repeated)]
    for name, run in spans.overlapping(runs, int(instants[0]), int(instants[-1])):
        if len(names) == 1 and name in codes:
            continue
        common = _common(instants, run)
        if len(common) == 0:
            continue
        rows = fresh.rows_at(common)
        if name in codes:
            rows = rows[types[rows] != codes[name]]
        if len(rows):
            _against(run, name, fresh, rows, found)
    return found


def _common(instants: NDArray[np.int64], run: EventRun) -> NDArray[np.int64]:
    """Those of `instants`, ascending and unique, at which an event of the run occurred."""
    times = run.occurred_at_us
    if len(instants) > 1:
        first, after = int(instants.searchsorted(times[0])), int(instants.searchsorted(times[-1], "right"))
        instants = instants[first:after]
        if len(instants) == 0:
            return instants
    inside = times[run.between(int(instants[0]), int(instants[-1]) + 1)]
    if len(inside) == 0:
        return instants[:0]
    if len(instants) <= len(inside):
        places = inside.searchsorted(instants)
        common: NDArray[np.int64] = instants[inside.take(places, mode="clip") == instants]
        return common
    places = instants.searchsorted(inside)
    return sorted_unique(inside[instants.take(places, mode="clip") == inside])


def _among_fresh(fresh: _Fresh, rows: NDArray[np.intp], found: Found) -> None:
    """Note the new events, of those at `rows`, that have the key of one of another type."""
    words = fresh.words_at(rows)
    ordered = np.sort(words)
    repeated = ordered[1:] == ordered[:-1]
    if not repeated.any():
        return
    by_key: dict[Key, dict[int, str]] = {}
    for row in rows[np.isin(words, ordered[1:][repeated])].tolist():
        by_key.setdefault(fresh.key(row), {})[row] = fresh.name(row)
    found.fresh.update((key, events) for key, events in by_key.items() if len(set(events.values())) > 1)


def _against(run: EventRun, name: str, fresh: _Fresh, rows: NDArray[np.intp], found: Found) -> None:
    """Note the new events at `rows`, none of the type `name`, that have the key of an event of a run of that type. The
    run has events at each of their instants."""
    older: dict[Key, int]
    first, after = _ranges(run.occurred_at_us, sorted_unique(fresh.times[rows]))
    if len(rows) <= _FEW or _LOOKED_UP * len(rows) <= int((after - first).sum()):
        older = {key: len(rows_of_key(run, key)) for key in {fresh.key(row) for row in rows.tolist()}}
    else:
        alike, sealed = fresh.rows_like(run, expand_ranges(first, after)[0])
        rows = alike[np.isin(alike, rows)] if len(alike) else alike
        older = Counter((int(run.occurred_at_us[row]), run.ids.at(row)) for row in sealed.tolist())
    new: set[Key] = set()
    for row in rows.tolist():
        key = fresh.key(row)
        if older.get(key):
            new.add(key)
            found.fresh.setdefault(key, {})[row] = fresh.name(row)
    for key in new:
        found.older.setdefault(key, []).extend([name] * older[key])


def _ranges(ordered: NDArray[Any], values: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the rows of each of `values` start and stop in `ordered`."""
    return ordered.searchsorted(values), ordered.searchsorted(values, "right")


def _words(times: NDArray[np.int64], ids: EventIds) -> NDArray[np.uint64]:
    """A number for each key: the same for the same key in the same form of ids, hardly ever for two keys."""
    if ids.pairs is not None:
        words = ids.pairs[0::2] * _ODD[0] + ids.pairs[1::2]
    else:
        assert ids.offsets is not None and ids.data is not None
        offsets = ids.offsets.astype(np.int64)
        lengths = np.diff(offsets)
        places = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        weights = np.cumprod(np.full(int(lengths.max(initial=0)) + 1, _ODD[0]))
        sums = np.zeros(len(ids.data) + 1, np.uint64)
        np.cumsum((ids.data.astype(np.uint64) + np.uint64(1)) * weights[places], out=sums[1:])
        words = sums[offsets[1:]] - sums[offsets[:-1]]
    words ^= words >> _SHIFT
    words = words * _ODD[1] + times.view(np.uint64)
    return words ^ (words >> _SHIFT)
