"""What is to be done with runs, and when: timers by the platform's clock, retries by the machine's."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable

from core.scenario.timers import Timers

_FIRST_RETRY_S = 0.2
_LONGEST_RETRY_S = 5.0


class Agenda:
    """Runs that wait for an instant, that can go on at once, that try again later, or that a paused scenario holds.

    Retries count in `monotonic_s`, the seconds of the machine: a clock that a test holds still does not hold them.
    """

    def __init__(self) -> None:
        self.timers = Timers()
        self._ready: dict[str, None] = {}
        self._retries: list[tuple[float, str]] = []
        self._tries: Counter[str] = Counter()
        self._held: defaultdict[str, dict[str, None]] = defaultdict(dict)

    def backlog(self) -> int:
        """How many runs could go on at once."""
        return len(self._ready)

    def go_on(self, run_id: str) -> None:
        """The run can go on at once."""
        self._ready[run_id] = None

    def retry(self, run_id: str, monotonic_s: float) -> int:
        """The run failed to go on: it is ready again after a pause that doubles. Returns how often it failed so far."""
        self._tries[run_id] += 1
        pause_s = min(_FIRST_RETRY_S * 2.0 ** (self._tries[run_id] - 1), _LONGEST_RETRY_S)
        heapq.heappush(self._retries, (monotonic_s + pause_s, run_id))
        return self._tries[run_id]

    def succeeded(self, run_id: str) -> None:
        """The run went on: its next failure is a first one."""
        self._tries.pop(run_id, None)

    def hold(self, scenario: str, run_id: str) -> None:
        """The run stands still until `release`."""
        self._held[scenario][run_id] = None

    def release(self, scenario: str) -> list[str]:
        """The held runs of a scenario, in the order in which they were held."""
        return list(self._held.pop(scenario, {}))

    def take_ready(self, monotonic_s: float, limit: int) -> list[str]:
        """Up to `limit` runs that can go on now, in the order in which they became ready."""
        while self._retries and self._retries[0][0] <= monotonic_s:
            self._ready[heapq.heappop(self._retries)[1]] = None
        taken = list(self._ready)[:limit]
        for run_id in taken:
            del self._ready[run_id]
        return taken

    def forget(self, run_ids: Iterable[str]) -> None:
        """These runs are gone."""
        for run_id in run_ids:
            self.timers.clear(run_id)
            self._ready.pop(run_id, None)
            self._tries.pop(run_id, None)
