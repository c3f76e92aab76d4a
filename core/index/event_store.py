"""All events of a workspace: per type a short list of runs, newest last, that merge as they grow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.events.columns import EventColumns
from core.events.facts import MarkedEvent
from core.index.contacts import Moves
from core.index.dictionary import TextDictionary
from core.index.event_decode import decode
from core.index.event_marks import Mark, marked_rows
from core.index.event_merge import merge_all, merge_runs, sorted_run
from core.index.event_parting import Parting
from core.index.event_run import EventRun, join
from core.index.event_ties import EventTies, Gone
from core.index.tied_events import RunSpans, tied_events
from core.kernels.ranges import sorted_unique
from core.schema import Kind

#: A run this long is merged no further on the way of a batch, which bounds the pause.
_SEALED_ROWS = 1 << 20
#: So many rows are merged in one go at most; what is due beyond that waits for the next one.
_MERGE_ROWS = 3 << 19
#: Compaction joins such runs up to this, which bounds the copy after a merge of contacts.
_COMPACT_ROWS = 1 << 22
#: So many events wait at most before they are sorted into runs.
_PENDING_ROWS = 1 << 18


@dataclass(frozen=True, slots=True)
class Compaction:
    """Neighbouring runs of one type, oldest first, that shall become one."""

    type_name: str
    runs: tuple[EventRun, ...]

    def merged(self) -> EventRun:
        """The one run; it depends on nothing that changes."""
        return merge_all(self.runs, 0)


class EventStore:
    """The writer. Batches wait unsorted until `seal`; each type's runs then merge geometrically: a run joins its older
    neighbour when it is at least half as long, so that an event is copied O(log n) times and late events cost
    nothing special. Runs are immutable, and readers keep those they pinned."""

    def __init__(self, dictionary: TextDictionary) -> None:
        self._dictionary = dictionary
        self._pending: list[EventRun] = []
        self._pending_types: list[NDArray[np.uint32]] = []
        self._pending_rows = 0
        self._marks: list[Mark] = []
        self._runs: dict[str, tuple[EventRun, ...]] = {}
        self._waiting: list[str] = []
        self._spans = RunSpans()
        self._param_kinds: dict[str, dict[str, Kind]] = {}
        self._item_kinds: dict[str, Kind] = {}
        self.ties = EventTies()
        self.next_log_order = 0
        self.next_serial = 1

    def add(self, events: EventColumns) -> bool:
        """Append a batch; True where `seal` is due."""
        if len(events) == 0:
            return False
        run, types = decode(events, self._dictionary)
        self.next_log_order += len(events)
        self._pending.append(run)
        self._pending_types.append(types)
        self._pending_rows += len(events)
        return self._pending_rows >= _PENDING_ROWS

    def mark(self, contact: int, events: Sequence[MarkedEvent]) -> None:
        """A machine made these events of `contact`, of those added so far; it counts once sealed."""
        self._marks += [Mark(one.id.encode(), one.occurred_at_us, contact, self.next_log_order) for one in events]

    @property
    def marks_wait(self) -> bool:
        """Whether there are marks that `seal` has not applied yet."""
        return bool(self._marks)

    def seal(self, moves: Moves) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Apply `moves` to all events and sort what waits into runs.

        Returns the contacts (after the moves) and instants of the new events, in no order.
        """
        if moves:
            self._move(moves)
        marks, self._marks = [mark.moved(moves) for mark in self._marks], []
        if marks:
            self._mark_runs(marks)
        if not self._pending:
            return np.zeros(0, np.uint32), np.zeros(0, np.int64)
        types = np.concatenate(self._pending_types)
        fresh = _unsorted(self._pending)
        self._pending, self._pending_types, self._pending_rows = [], [], 0
        contacts, kept = moves.resolve(fresh.contacts)
        fresh = fresh.with_contacts(contacts, 0)
        if marks:
            first = self.next_log_order - len(fresh)
            fresh = fresh.marked(marked_rows(marks, fresh, first), 0)
        self._tie(fresh, types, None if kept.all() else np.flatnonzero(kept))
        for code in sorted_unique(types).tolist():
            rows = np.flatnonzero((types == code) & kept)
            if len(rows):
                self._append(self._dictionary.text(code), fresh.take(rows, self._serial()))
        self._merge_due()
        return contacts[kept], fresh.occurred_at_us[kept]

    def part(self, parting: Parting) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Give events of a contact back to another one; whatever waits must be sealed. Returns contacts and instants
        of all events of both, in no order."""
        survivor = np.array([parting.survivor], np.uint32)
        contacts, instants = [survivor[:0]], [np.zeros(0, np.int64)]
        for name, runs in self._runs.items():
            parted = []
            for run in runs:
                rows = run.rows_among(survivor)
                leaving = parting.rows(run, rows) if len(rows) else rows
                if len(leaving):
                    owners = run.contacts.copy()
                    owners[leaving] = parting.restored
                    run = run.moved(survivor, owners, self._serial())
                contacts.append(run.contacts[rows])
                instants.append(run.occurred_at_us[rows])
                parted.append(run)
            self._runs[name] = tuple(parted)
        return np.concatenate(contacts), np.concatenate(instants)

    def view(self) -> Mapping[str, tuple[EventRun, ...]]:
        """The sealed runs by type name, as of now."""
        return dict(self._runs)

    def param_kinds(self) -> Mapping[str, Mapping[str, Kind]]:
        """Type -> parameter -> kind; a parameter that held integers and decimals is DECIMAL, else the first kind."""
        return {name: dict(kinds) for name, kinds in self._param_kinds.items()}

    def item_kinds(self) -> Mapping[str, Kind]:
        """Item field -> kind."""
        return dict(self._item_kinds)

    @property
    def nbytes(self) -> int:
        """What the sealed events occupy."""
        return sum(run.nbytes for runs in self._runs.values() for run in runs)

    @property
    def cache_nbytes(self) -> int:
        """What is kept beside them only to answer sooner."""
        return sum(run.cache_nbytes for runs in self._runs.values() for run in runs)

    def forget(self) -> None:
        """Drop that; whoever keeps a budget calls this where `cache_nbytes` exceeds it."""
        for runs in self._runs.values():
            for run in runs:
                run.forget()

    def compactions(self) -> list[Compaction]:
        """Neighbouring long runs that are better one run. `Compaction.merged` takes a fraction of a second and may be
        called in any thread, beside `add` and `seal`; `swap` then puts the result in."""
        return [
            Compaction(name, some) for name, runs in self._runs.items() for some in _neighbours(runs) if len(some) > 1
        ]

    def swap(self, done: Compaction, merged: EventRun) -> bool:
        """Put `merged` in the place of the runs that it was made of; False, and nothing changes, where they are no
        longer there (contacts were merged meanwhile)."""
        runs = self._runs.get(done.type_name, ())
        serials = [run.serial for run in runs]
        wanted = [run.serial for run in done.runs]
        at = serials.index(wanted[0]) if wanted[0] in serials else -1
        if at < 0 or serials[at : at + len(wanted)] != wanted:
            return False
        named = replace(merged, serial=self._serial(), _lazy=merged._lazy)
        self._runs[done.type_name] = (*runs[:at], named, *runs[at + len(wanted) :])
        return True

    def load(self, name: str, run: EventRun) -> None:
        """Put back a run of a snapshot, in the order in which the snapshot named it."""
        self._runs[name] = (*self._runs.get(name, ()), run)
        self.next_serial = max(self.next_serial, run.serial + 1)

    def restore(
        self, param_kinds: Mapping[str, Mapping[str, Kind]], item_kinds: Mapping[str, Kind], next_log_order: int
    ) -> None:
        """What a snapshot had learned."""
        self._param_kinds = {name: dict(kinds) for name, kinds in param_kinds.items()}
        self._item_kinds = dict(item_kinds)
        self.next_log_order = next_log_order

    def _tie(self, fresh: EventRun, types: NDArray[np.uint32], rows: NDArray[np.int64] | None) -> None:
        """Keep the log order of events, of which those at `rows` (None: all) of `fresh` are the latest, that runs of
        several types will not tell."""
        times, ids = fresh.occurred_at_us, fresh.ids
        if rows is not None:
            times, ids, types = times[rows], ids.take(rows), types[rows]
        found = tied_events(times, ids, types, self._dictionary.text, self._runs, self._spans)
        self.ties = found.added_to(self.ties)

    def _append(self, name: str, fresh: EventRun) -> None:
        self._learn(name, fresh)
        self._runs[name] = (*self._runs.get(name, ()), sorted_run(fresh))

    def _merge_due(self) -> None:
        """Merge the runs of all types as they grew. Types grow alike, so that all their long runs are due at one time:
        those that would exceed the pause wait, and go first the next time."""
        merged_rows, waiting = 0, []
        for name in (*self._waiting, *(name for name in self._runs if name not in self._waiting)):
            runs = list(self._runs.get(name, ()))
            for place in range(len(runs) - 2, -1, -1):
                older, newer = runs[place : place + 2]
                if not _due(older, newer):
                    continue
                rows = len(older) + len(newer)
                if merged_rows and merged_rows + rows > _MERGE_ROWS:
                    waiting.append(name)
                    break
                merged_rows += rows
                runs[place : place + 2] = [merge_runs(older, newer, self._serial())]
            if len(runs) < len(self._runs.get(name, ())):
                self._runs[name] = tuple(runs)
        self._waiting = waiting

    def _move(self, moves: Moves) -> None:
        gone: list[Gone] = []
        for name, runs in self._runs.items():
            moved: list[EventRun] = []
            for run in runs:
                rows = run.rows_among(moves.fresh)
                if len(rows):
                    if self.ties:
                        gone.append(Gone(name, runs, run, rows[~moves.resolve(run.contacts[rows])[1]]))
                    run = self._moved(run, rows, moves)
                if len(run):
                    moved.append(run)
            self._runs[name] = tuple(moved)
        self.ties = self.ties.without(gone)

    def _mark_runs(self, marks: Sequence[Mark]) -> None:
        for name, runs in self._runs.items():
            found = [marked_rows(marks, run) for run in runs]
            if any(map(len, found)):
                pairs = zip(runs, found, strict=True)
                self._runs[name] = tuple(run.marked(rows, self._serial()) if len(rows) else run for run, rows in pairs)

    def _moved(self, run: EventRun, rows: NDArray[np.int64], moves: Moves) -> EventRun:
        """`rows` of `run` go to their new contacts, or vanish."""
        owners, kept = moves.resolve(run.contacts[rows])
        contacts = run.contacts.copy()
        contacts[rows] = owners
        changed = run.moved(moves.fresh, contacts, self._serial())
        if kept.all():
            return changed
        remaining = np.ones(len(run), np.bool_)
        remaining[rows[~kept]] = False
        # Packed anew: what is left must not tell how small or large the values of the erased were.
        return changed.take(np.flatnonzero(remaining), changed.serial).packed()

    def _learn(self, name: str, run: EventRun) -> None:
        kinds = self._param_kinds.setdefault(name, {})
        for param, columns in run.params.columns.items():
            for column in columns:
                learn(kinds, param, column.kind)
        for param, columns in run.items.columns.items():
            for column in columns:
                learn(self._item_kinds, param, column.kind)

    def _serial(self) -> int:
        self.next_serial += 1
        return self.next_serial - 1


def _unsorted(runs: Sequence[EventRun]) -> EventRun:
    return join(runs, 0)


def _due(older: EventRun, newer: EventRun) -> bool:
    return len(older) < _SEALED_ROWS and 2 * len(newer) >= len(older)


def _neighbours(runs: Sequence[EventRun]) -> list[tuple[EventRun, ...]]:
    """Runs up to the last long one, in groups of at most the length to which they are joined; shorter ones between
    long ones are those whose merge had to wait too long."""
    after = max((place + 1 for place, run in enumerate(runs) if len(run) >= _SEALED_ROWS), default=0)
    groups: list[list[EventRun]] = [[]]
    for run in runs[:after]:
        if sum(map(len, groups[-1])) + len(run) > _COMPACT_ROWS:
            groups.append([])
        groups[-1].append(run)
    return [tuple(group) for group in groups]


def learn(kinds: dict[str, Kind], name: str, kind: Kind) -> None:
    """Note that `name` holds values of `kind`: the first kind stays, but integers widen to decimals."""
    if kinds.setdefault(name, kind) is Kind.INTEGER and kind is Kind.DECIMAL:
        kinds[name] = kind
