"""What is kept of each scenario beside its definition: whether it is active, and how far its schedule has come.

Table "states": scenario -> row, as JSON. A scenario without a row is active. A deletion takes the row away.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from core.eventlog.protocol import EventLog, Partition, TableWrite

STATES = "states"


class ScenarioState(StrEnum):
    """PAUSED: starts nothing, runs stand still. DRAINING: starts nothing, runs go on. STOPPED: starts nothing, and runs
    end."""

    ACTIVE = "active"
    PAUSED = "paused"
    DRAINING = "draining"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class StateRow:
    """`approved`: the greatest number of contacts that somebody agreed to start at once. `after_us`: when the scenario
    became active, or the last instant of its schedule that is dealt with: nothing before it starts anything. `entries`:
    runs ever started."""

    state: ScenarioState = ScenarioState.ACTIVE
    approved: int = 0
    after_us: int = 0
    entries: int = 0


class States:
    """Rows of one workspace by scenario. Memory is changed first; `drain` gives the writes."""

    def __init__(self) -> None:
        self._rows: dict[str, StateRow] = {}
        self._changed: dict[str, None] = {}

    @staticmethod
    async def load(log: EventLog, partition: Partition) -> States:
        """Read what is stored."""
        self = States()
        async for key, stored in log.scan(partition, STATES):
            fields = json.loads(stored)
            self._rows[key.decode()] = StateRow(**{**fields, "state": ScenarioState(fields["state"])})
        return self

    def of(self, name: str) -> StateRow:
        """The row of a scenario; that of an active one where there is none."""
        return self._rows.get(name, StateRow())

    def has(self, name: str) -> bool:
        """Whether anything is kept of a scenario."""
        return name in self._rows

    def set(self, name: str, row: StateRow) -> None:
        """Keep a row."""
        self._rows[name] = row
        self._changed[name] = None

    def entered(self, name: str) -> None:
        """One more run of the scenario was started."""
        row = self.of(name)
        self.set(name, replace(row, entries=row.entries + 1))

    def dealt_with(self, name: str, due_us: int) -> None:
        """The instants of the scenario's schedule through `due_us` are dealt with."""
        self.set(name, replace(self.of(name), after_us=due_us))

    def forget(self, name: str) -> None:
        """The scenario was deleted."""
        self._rows.pop(name, None)
        self._changed[name] = None

    def drain(self) -> tuple[TableWrite, ...]:
        """What changed since the last call, as writes; commit them."""
        changed, self._changed = self._changed, {}
        if not changed:
            return ()
        put = {name.encode(): _encode(self._rows[name]) for name in changed if name in self._rows}
        return (TableWrite(STATES, put, tuple(name.encode() for name in changed if name not in self._rows)),)


def _encode(row: StateRow) -> bytes:
    return json.dumps(asdict(row)).encode()
