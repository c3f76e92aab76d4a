"""The turns to send of scenarios with a limit a minute, kept over restarts. Table "paces": scenario -> last turn."""

from __future__ import annotations

from collections.abc import Iterable

from core.eventlog.protocol import EventLog, Partition, TableWrite
from core.scenario.pacing import Pace, anew

PACES = "paces"


class Paces:
    """Memory is changed first; `drain` gives the writes. A workspace without such scenarios has none."""

    def __init__(self) -> None:
        self._paces: dict[str, Pace] = {}
        self._changed: dict[str, None] = {}

    @staticmethod
    async def load(log: EventLog, partition: Partition) -> Paces:
        """Read what is stored."""
        self = Paces()
        async for key, stored in log.scan(partition, PACES):
            self._paces[key.decode()] = Pace(int(stored))
        return self

    def turn(self, scenario: str, a_minute: int, now_us: int) -> int:
        """The scenario's next turn."""
        self._changed[scenario] = None
        return self._paces.setdefault(scenario, Pace()).turn(a_minute, now_us)

    def anew(self, scenario: str, waiting: Iterable[tuple[int, str]], a_minute: int, now_us: int) -> dict[str, int]:
        """Turns from now on for all runs that wait for one, given as (former turn, run id)."""
        turns, self._paces[scenario] = anew(waiting, a_minute, now_us)
        self._changed[scenario] = None
        return turns

    def drain(self) -> tuple[TableWrite, ...]:
        """What changed since the last call, as writes; commit them."""
        changed, self._changed = self._changed, {}
        rows = {name.encode(): b"%d" % self._paces[name].last_us for name in changed}
        return (TableWrite(PACES, rows),) if rows else ()
