"""Writes of attributes that may start runs, until somebody has looked at the contact's history.

Table "field_checks": id -> check as JSON. It is written with the position of the entry that told the write, and taken
away with the run that it starts, so a kill in between loses none and starts none twice.
"""

from __future__ import annotations

import heapq
import json
from dataclasses import asdict, dataclass

from core.eventlog.protocol import EventLog, Partition, TableWrite

FIELD_CHECKS = "field_checks"


@dataclass(frozen=True, slots=True)
class FieldCheck:
    """A write of the trigger's attribute at `at_us` to `contact`, told of its `part`, that stands at `position` of the
    profile log and at `upstream_position` of ingest's. It is looked at from `due_at_us` on."""

    id: str
    scenario: str
    version: int
    contact: int
    part: int
    at_us: int
    due_at_us: int
    position: int
    upstream_position: int


class FieldChecks:
    """Checks that are still to be made. Memory is changed first; `drain` gives the writes."""

    def __init__(self) -> None:
        self._waiting: dict[str, FieldCheck] = {}
        self._order: list[tuple[int, str]] = []
        self._changed: dict[str, None] = {}

    @staticmethod
    async def load(log: EventLog, partition: Partition) -> FieldChecks:
        """Read what is stored."""
        self = FieldChecks()
        async for _, stored in log.scan(partition, FIELD_CHECKS):
            self._add(FieldCheck(**json.loads(stored)))
        return self

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, check: FieldCheck) -> None:
        """Look at this write when it is due."""
        self._add(check)
        self._changed[check.id] = None

    def due(self, now_us: int, limit: int) -> list[FieldCheck]:
        """Up to `limit` checks that are due, the earliest first; they stay until they are made."""
        found: list[FieldCheck] = []
        taken: list[tuple[int, str]] = []
        while self._order and self._order[0][0] <= now_us and len(found) < limit:
            entry = heapq.heappop(self._order)
            check = self._waiting.get(entry[1])
            if check is not None:
                found.append(check)
                taken.append(entry)
        for entry in taken:
            heapq.heappush(self._order, entry)
        return found

    def made(self, check_id: str) -> None:
        """Nothing is left to be looked at."""
        if self._waiting.pop(check_id, None) is not None:
            self._changed[check_id] = None

    def drain(self) -> tuple[TableWrite, ...]:
        """What changed since the last call, as writes; commit them."""
        changed, self._changed = self._changed, {}
        if not changed:
            return ()
        put = {
            one.encode(): json.dumps(asdict(self._waiting[one])).encode() for one in changed if one in self._waiting
        }  # fmt: skip
        return (TableWrite(FIELD_CHECKS, put, tuple(one.encode() for one in changed if one not in self._waiting)),)

    def _add(self, check: FieldCheck) -> None:
        self._waiting[check.id] = check
        heapq.heappush(self._order, (check.due_at_us, check.id))
