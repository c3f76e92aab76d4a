"""All events of a workspace: per type a short list of runs, newest last, that merge as they grow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from core.events.columns import EventColumns
from core.index.contacts import Moves
from core.index.dictionary import TextDictionary
from core.index.event_decode import decode
from core.index.event_run import EventRun, in_order, join
from core.kernels.ranges import sorted_unique
from core.schema import Kind

#: A run this long is merged no further, which bounds the pause of a merge and the copy after a merge of contacts.
_SEALED_ROWS = 1 << 20
#: So many events wait at most before they are sorted into runs.
_PENDING_ROWS = 1 << 18


class EventStore:
    """The writer. Batches wait unsorted until `seal`; each type's runs then merge geometrically: a run joins its older
    neighbour when it is at least half as long, so that an event is copied O(log n) times and late events cost
    nothing special. Runs are immutable, and readers keep those they pinned."""

    def __init__(self, dictionary: TextDictionary) -> None:
        self._dictionary = dictionary
        self._pending: list[EventRun] = []
        self._pending_types: list[NDArray[np.uint32]] = []
        self._pending_rows = 0
        self._runs: dict[str, tuple[EventRun, ...]] = {}
        self._param_kinds: dict[str, dict[str, Kind]] = {}
        self._item_kinds: dict[str, Kind] = {}
        self.next_log_order = 0
        self.next_serial = 1

    def add(self, events: EventColumns) -> bool:
        """Append a batch; True where `seal` is due."""
        if len(events) == 0:
            return False
        run, types = decode(events, self._dictionary, self.next_log_order)
        self.next_log_order += len(events)
        self._pending.append(run)
        self._pending_types.append(types)
        self._pending_rows += len(events)
        return self._pending_rows >= _PENDING_ROWS

    def seal(self, moves: Moves) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Apply `moves` to all events and sort what waits into runs.

        Returns the contacts (after the moves) and instants of the new events, in no order.
        """
        if moves:
            self._move(moves)
        if not self._pending:
            return np.zeros(0, np.uint32), np.zeros(0, np.int64)
        types = np.concatenate(self._pending_types)
        fresh = _unsorted(self._pending)
        self._pending, self._pending_types, self._pending_rows = [], [], 0
        contacts, kept = moves.resolve(fresh.contacts)
        fresh = fresh.with_contacts(contacts, 0)
        for code in sorted_unique(types).tolist():
            rows = np.flatnonzero((types == code) & kept)
            if len(rows):
                self._append(self._dictionary.text(code), fresh.take(rows, self._serial()))
        return contacts[kept], fresh.occurred_at_us[kept]

    def view(self) -> Mapping[str, tuple[EventRun, ...]]:
        """The sealed runs by type name, as of now."""
        return dict(self._runs)

    def param_kinds(self) -> Mapping[str, Mapping[str, Kind]]:
        """Type -> parameter -> kind; a parameter that held integers and decimals is DECIMAL, else the first kind."""
        return {name: dict(kinds) for name, kinds in self._param_kinds.items()}

    def item_kinds(self) -> Mapping[str, Kind]:
        """Item field -> kind."""
        return dict(self._item_kinds)

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

    def _append(self, name: str, fresh: EventRun) -> None:
        self._learn(name, fresh)
        runs = [*self._runs.get(name, ()), in_order(fresh)]
        while len(runs) > 1 and len(runs[-2]) < _SEALED_ROWS and 2 * len(runs[-1]) >= len(runs[-2]):
            last = runs.pop()
            runs[-1] = join((runs[-1], last), self._serial())
        self._runs[name] = tuple(runs)

    def _move(self, moves: Moves) -> None:
        for name, runs in self._runs.items():
            moved: list[EventRun] = []
            for run in runs:
                rows = run.rows_among(moves.fresh)
                if len(rows):
                    run = self._moved(run, rows, moves)
                if len(run):
                    moved.append(run)
            self._runs[name] = tuple(moved)

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
        return changed.take(np.flatnonzero(remaining), changed.serial)

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
    return runs[0] if len(runs) == 1 else join(runs, 0, sort=False)


def learn(kinds: dict[str, Kind], name: str, kind: Kind) -> None:
    """Note that `name` holds values of `kind`: the first kind stays, but integers widen to decimals."""
    if kinds.setdefault(name, kind) is Kind.INTEGER and kind is Kind.DECIMAL:
        kinds[name] = kind
