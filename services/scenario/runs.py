"""All runs of one workspace: the active ones in memory, the ended ones by index, both in the state tables.

Tables: "runs" (run id -> active run), "ended" (run id -> run as it ended) and "ended_index" (run id -> EndedRow).
Ended runs are kept for good. Memory is changed first; `drain` gives the writes, which the caller commits in the same
turn, and gives the whole shard up if that fails.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace

from core.eventlog.protocol import EventLog, Partition, TableWrite
from core.scenario.run import Run, State
from services.scenario.codec import EndedRow, decode_ended, decode_run, encode_ended, encode_run
from services.scenario.people import People

RUNS, ENDED, ENDED_INDEX = "runs", "ended", "ended_index"

#: Scenario, contact, key.
Entry = tuple[str, int, str]


@dataclass(slots=True)
class _Changes:
    put: dict[bytes, bytes] = field(default_factory=dict)
    delete: dict[bytes, None] = field(default_factory=dict)

    def set(self, key: bytes, value: bytes) -> None:
        self.delete.pop(key, None)
        self.put[key] = value

    def remove(self, key: bytes) -> None:
        self.put.pop(key, None)
        self.delete[key] = None


class Runs:
    """Runs by id, by contact and by what they are about. `people` says whose facts of merged contacts are."""

    def __init__(self, people: People | None = None) -> None:
        self.people = people or People()
        self.active: dict[str, Run] = {}
        self._ended: dict[str, EndedRow] = {}
        self._of_contact: defaultdict[int, set[str]] = defaultdict(set)
        self._ended_of_contact: defaultdict[int, set[str]] = defaultdict(set)
        self._running: Counter[Entry] = Counter()
        self._finished: Counter[Entry] = Counter()
        self._changes: defaultdict[str, _Changes] = defaultdict(_Changes)

    @staticmethod
    async def load(log: EventLog, partition: Partition) -> Runs:
        """Read what is stored."""
        self = Runs(await People.load(log, partition))
        async for _, stored in log.scan(partition, RUNS):
            self._add(decode_run(stored))
        async for key, stored in log.scan(partition, ENDED_INDEX):
            self._add_ended(key.decode(), decode_ended(stored))
        return self

    def of_contact(self, contact: int) -> list[Run]:
        """The contact's active runs, the earliest started first."""
        ids = self._of_contact.get(contact)
        if not ids:
            return []
        return sorted((self.active[one] for one in ids), key=lambda run: (run.started_at_us, run.run_id))

    def is_known(self, run_id: str) -> bool:
        """Whether there is, or was, such a run."""
        return run_id in self.active or run_id in self._ended

    def running(self, entry: Entry) -> int:
        """How many active runs the contact has for the key."""
        return self._running[entry]

    def finished(self, entry: Entry) -> int:
        """How many ended runs the contact had for the key."""
        return self._finished[entry]

    def put(self, run: Run) -> None:
        """Keep `run` as it is now; an ended one leaves the active runs."""
        self._remove(run.run_id)
        key = run.run_id.encode()
        if run.state is not State.ENDED:
            self._add(run)
            self._changes[RUNS].set(key, encode_run(run))
            return
        counts = not run.end_reason.startswith("missing_value:")
        row = EndedRow(run.scenario, run.contact, run.key, run.started_at_us, counts, run.part)
        self._add_ended(run.run_id, row)
        self._changes[RUNS].remove(key)
        self._changes[ENDED].set(key, encode_run(run))
        self._changes[ENDED_INDEX].set(key, encode_ended(row))

    def move_ended(self, loser: int, survivor: int) -> None:
        """The ended runs of `loser` are the survivor's from here on."""
        self._move_ended(sorted(self._ended_of_contact.get(loser, ())), survivor)

    def give_back_ended(self, survivor: int, restored: int, parts: Collection[int]) -> None:
        """The ended runs of `parts`, which were the survivor's, are those of `restored` from here on."""
        mine = sorted(self._ended_of_contact.get(survivor, ()))
        self._move_ended([run_id for run_id in mine if self._ended[run_id].part in parts], restored)

    def erase(self, contact: int) -> list[str]:
        """Forget everything of a contact; returns the ids of the active runs that are gone."""
        active = sorted(self._of_contact.get(contact, ()))
        for run_id in active:
            self._remove(run_id)
            self._changes[RUNS].remove(run_id.encode())
        for run_id in self._ended_of_contact.pop(contact, set()):
            row = self._ended.pop(run_id)
            self._finished[(row.scenario, row.contact, row.key)] -= int(row.counts)
            for table in (ENDED, ENDED_INDEX):
                self._changes[table].remove(run_id.encode())
        return active

    def drain(self) -> tuple[TableWrite, ...]:
        """What changed since the last call, as writes; commit them."""
        changes, self._changes = self._changes, defaultdict(_Changes)
        writes = [TableWrite(table, change.put, tuple(change.delete)) for table, change in changes.items()]
        return (*writes, *self.people.drain())

    def page(
        self, scenario: str, contact: int | None, size: int, before: tuple[int, str] | None
    ) -> list[tuple[int, str]]:
        """Up to `size` (started_at_us, run id) of active and ended runs below `before`, newest first."""
        wanted = (
            (row.started_at_us, run_id)
            for run_id, row in self._all(contact)
            if not scenario or row.scenario == scenario
        )
        return heapq.nlargest(size, (one for one in wanted if before is None or one < before))

    async def read(self, log: EventLog, partition: Partition, run_ids: Iterable[str]) -> list[Run]:
        """The runs with these ids, in that order; those that are gone are left out."""
        ids = list(run_ids)
        ended = [one for one in ids if one in self._ended]
        stored = await log.get(partition, ENDED, [one.encode() for one in ended])
        found: dict[str, Run] = {}
        for run_id, payload in zip(ended, stored, strict=True):
            row = self._ended.get(run_id)
            if payload is not None and row is not None:
                found[run_id] = replace(decode_run(payload), contact=row.contact, part=row.part)
        found.update({one: self.active[one] for one in ids if one in self.active})
        return [found[one] for one in ids if one in found]

    def _all(self, contact: int | None) -> Iterator[tuple[str, Run | EndedRow]]:
        if contact is None:
            yield from self.active.items()
            yield from self._ended.items()
            return
        yield from ((one, self.active[one]) for one in self._of_contact.get(contact, ()))
        yield from ((one, self._ended[one]) for one in self._ended_of_contact.get(contact, ()))

    def _move_ended(self, run_ids: Iterable[str], contact: int) -> None:
        for run_id in run_ids:
            row = self._ended[run_id]
            self._finished[(row.scenario, row.contact, row.key)] -= int(row.counts)
            self._ended_of_contact[row.contact].discard(run_id)
            if not self._ended_of_contact[row.contact]:
                del self._ended_of_contact[row.contact]
            part = row.contact if row.part is None else row.part
            moved = replace(row, contact=contact, part=None if part == contact else part)
            self._add_ended(run_id, moved)
            self._changes[ENDED_INDEX].set(run_id.encode(), encode_ended(moved))

    def _add(self, run: Run) -> None:
        self.active[run.run_id] = run
        self._of_contact[run.contact].add(run.run_id)
        self._running[(run.scenario, run.contact, run.key)] += 1

    def _add_ended(self, run_id: str, row: EndedRow) -> None:
        self._ended[run_id] = row
        self._ended_of_contact[row.contact].add(run_id)
        self._finished[(row.scenario, row.contact, row.key)] += int(row.counts)

    def _remove(self, run_id: str) -> None:
        run = self.active.pop(run_id, None)
        if run is None:
            return
        entry = (run.scenario, run.contact, run.key)
        self._running[entry] -= 1
        if not self._running[entry]:
            del self._running[entry]
        self._of_contact[run.contact].discard(run_id)
        if not self._of_contact[run.contact]:
            del self._of_contact[run.contact]
