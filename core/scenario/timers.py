"""Timers in order of their instants. They are remade from the runs, so they have no state of their own to lose."""

from __future__ import annotations

import heapq


class Timers:
    """At most one timer per run. Setting and clearing leave stale entries behind, which are skipped when met."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str]] = []
        self._due_at_us: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._due_at_us)

    def set(self, run_id: str, due_at_us: int) -> None:
        """The run's timer is due at `due_at_us`, whatever it was before."""
        if self._due_at_us.get(run_id) != due_at_us:
            self._due_at_us[run_id] = due_at_us
            heapq.heappush(self._heap, (due_at_us, run_id))
        if len(self._heap) > 2 * len(self._due_at_us) + 1_000:
            self._heap = [(due, one) for one, due in self._due_at_us.items()]
            heapq.heapify(self._heap)

    def clear(self, run_id: str) -> None:
        """The run has no timer. Nothing if it had none."""
        self._due_at_us.pop(run_id, None)

    def pop_due(self, now_us: int, limit: int) -> list[tuple[int, str]]:
        """Up to `limit` timers (due_at_us, run_id) that are due, earliest first, taken out; each comes once."""
        due: list[tuple[int, str]] = []
        while self._heap and self._heap[0][0] <= now_us and len(due) < limit:
            due_at_us, run_id = heapq.heappop(self._heap)
            if self._due_at_us.get(run_id) == due_at_us:
                del self._due_at_us[run_id]
                due.append((due_at_us, run_id))
        return due
