"""All runs of one workspace: the active ones in memory, the ended ones by index, both in the state tables.

Tables: "runs" (run id -> active run), "ended" (run id -> run as it ended) and "ended_index" (run id -> EndedRow).
Ended runs are kept for good. Memory is changed first; `drain` gives the writes, which the caller commits in the same
turn, and gives the whole shard up if that fails.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from core.eventlog.protocol import EventLog, Partition, TableWrite
from core.scenario.run import Run, State
from services.scenario.active import Active
from services.scenario.codec import (
    EndedRow,
    Head,
    decode_ended,
    decode_run,
    encode_ended,
    encode_run,
    head_of,
    is_current,
)
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
        self.active = Active()
        self._ended: dict[str, EndedRow] = {}
        self._of_contact: dict[int, tuple[str, ...]] = {}
        self._ended_of_contact: defaultdict[int, set[str]] = defaultdict(set)
        self._finished: Counter[Entry] = Counter()
        self._changes: defaultdict[str, _Changes] = defaultdict(_Changes)
        #: Runs that ended, of the last `drain`: the log may not have them yet.
        self._committing: Mapping[bytes, bytes] = {}

    @staticmethod
    async def load(log: EventLog, partition: Partition) -> Runs:
        """Read what is stored."""
        self = Runs(await People.load(log, partition))
        async for key, stored in log.scan(partition, RUNS):
            if is_current(stored) and (head := head_of(stored)).waits:
                self.active.keep_waiting(key.decode(), stored)
                self._of_contact[head.contact] = (*self._of_contact.get(head.contact, ()), key.decode())
            else:
                run = decode_run(stored)
                self._add(run, encode_run(run))
        async for key, stored in log.scan(partition, ENDED_INDEX):
            self._add_ended(key.decode(), decode_ended(stored))
        return self

    def of_contact(self, contact: int) -> list[Run]:
        """The contact's active runs, the earliest started first."""
        ids = self._of_contact.get(contact, ())
        return sorted((self.active[one] for one in ids), key=lambda run: (run.started_at_us, run.run_id))

    def of_scenario(self, scenario: str) -> list[str]:
        """The ids of the scenario's active runs, in no order."""
        return [run_id for run_id, head in self.active.heads() if head.scenario == scenario]

    def is_known(self, run_id: str) -> bool:
        """Whether there is, or was, such a run."""
        return run_id in self.active or run_id in self._ended

    def running(self, entry: Entry) -> int:
        """How many active runs the contact has for the key."""
        scenario, contact, key = entry
        ids = self._of_contact.get(contact, ())
        return sum(self.active.head(one).scenario == scenario and self.active[one].key == key for one in ids)

    def finished(self, entry: Entry) -> int:
        """How many ended runs the contact had for the key."""
        return self._finished[entry]

    def last_ended_us(self, entry: Entry) -> int | None:
        """When the latest ended run of the contact for the key ended; None: there was none."""
        scenario, contact, key = entry
        rows = (self._ended[one] for one in self._ended_of_contact.get(contact, ()))
        of_entry = (row for row in rows if row.counts and row.scenario == scenario and row.key == key)
        return max((row.ended_at_us for row in of_entry), default=None)

    def put(self, run: Run) -> None:
        """Keep `run` as it is now; an ended one leaves the active runs."""
        self._remove(run.run_id)
        key = run.run_id.encode()
        stored = encode_run(run)
        if run.state is not State.ENDED:
            self._add(run, stored)
            self._changes[RUNS].set(key, stored)
            return
        counts = not run.end_reason.startswith("missing_value:")
        row = EndedRow(run.scenario, run.contact, run.key, run.started_at_us, counts, run.part, run.ended_at_us)
        self._add_ended(run.run_id, row)
        self._changes[RUNS].remove(key)
        self._changes[ENDED].set(key, stored)
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
        self._committing = changes[ENDED].put if ENDED in changes else {}
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
        # Before the log is asked, because a run may end meanwhile.
        found = {one: self.active[one] for one in ids if one in self.active}
        ended = [one for one in ids if one in self._ended]
        pending = self._changes[ENDED].put if ENDED in self._changes else {}
        kept = {one: pending.get(one.encode()) or self._committing.get(one.encode()) for one in ended}
        asked = [one for one in ended if kept[one] is None]
        kept.update(zip(asked, await log.get(partition, ENDED, [one.encode() for one in asked]), strict=True))
        for run_id, payload in kept.items():
            row = self._ended.get(run_id)
            if payload is not None and row is not None:
                found[run_id] = replace(decode_run(payload), contact=row.contact, part=row.part)
        return [found[one] for one in ids if one in found]

    def _all(self, contact: int | None) -> Iterator[tuple[str, Head | EndedRow]]:
        if contact is None:
            yield from self.active.heads()
            yield from self._ended.items()
            return
        yield from ((one, self.active.head(one)) for one in self._of_contact.get(contact, ()))
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

    def _add(self, run: Run, stored: bytes) -> None:
        self.active.keep(run, stored)
        self._of_contact[run.contact] = (*self._of_contact.get(run.contact, ()), run.run_id)

    def _add_ended(self, run_id: str, row: EndedRow) -> None:
        self._ended[run_id] = row
        self._ended_of_contact[row.contact].add(run_id)
        self._finished[(row.scenario, row.contact, row.key)] += int(row.counts)

    def _remove(self, run_id: str) -> None:
        if run_id not in self.active:
            return
        contact = self.active.head(run_id).contact
        del self.active[run_id]
        left = tuple(one for one in self._of_contact[contact] if one != run_id)
        if left:
            self._of_contact[contact] = left
        else:
            del self._of_contact[contact]
