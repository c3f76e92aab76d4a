"""How much each key of a workspace has sent: a fold of ingest's log, kept by the archive worker day by day.

Every entry says how many of its items came by which key (`AcceptedBatch.uses`). The worker adds that up when it
archives, in the same commit; so usage is exact, durable, and up to a minute behind. What this process itself appended
since then is added from memory, so that with one process a quota is exact, and with several passed by at most what the
others took since the last archived entry.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from core.clock import Clock
from core.eventlog.protocol import EventLog, Partition, TableWrite
from core.limits import Spent, day_of

#: "<day>|<key id>" -> items in decimal digits; EVERYBODY in the place of the id counts them all.
TABLE = "usage"
SOURCE = "archive"
EVERYBODY = "*"

_REFRESH_S = 5.0
#: Entries of this process that the archive has not counted yet; more than it takes in a quarter of an hour.
_RECENT_ENTRIES = 100_000

#: (day, key id) -> items.
Uses = Mapping[tuple[str, str], int]


def added_up(uses: Iterable[tuple[str, str, int]]) -> Uses:
    """(day, key id, items) of entries, added up, and each day's total under EVERYBODY."""
    total: Counter[tuple[str, str]] = Counter()
    for day, key_id, items in uses:
        total[day, key_id] += items
        total[day, EVERYBODY] += items
    return total


async def usage_write(log: EventLog, partition: Partition, uses: Uses) -> TableWrite:
    """The table after `uses` more; for the one who owns the partition."""
    keys = [_row(day, key_id) for day, key_id in uses]
    before = await log.get(partition, TABLE, keys) if keys else []
    after = {
        key: str(int(held or b"0") + items).encode()
        for key, held, items in zip(keys, before, uses.values(), strict=True)
    }
    return TableWrite(TABLE, after)


async def usage_by_day(log: EventLog, partition: Partition, days: int, now_us: int) -> list[tuple[str, str, int]]:
    """(day, key id, items) of the last `days` UTC days, today included, by day and key; what the archive counted."""
    today = datetime.fromisoformat(day_of(now_us)).replace(tzinfo=UTC)
    first = (today - timedelta(days=days - 1)).strftime("%Y-%m-%d")
    rows = []
    async for key, value in log.scan(partition, TABLE):
        day, _, key_id = key.decode().partition("|")
        if day >= first and key_id != EVERYBODY:
            rows.append((day, key_id, int(value)))
    return sorted(rows)


class Usage:
    """What one workspace has sent in the present day and month."""

    def __init__(self, log: EventLog, partition: Partition, clock: Clock) -> None:
        self._log = log
        self._partition = partition
        self._clock = clock
        self._recent: deque[tuple[int, str, Mapping[str, int]]] = deque(maxlen=_RECENT_ENTRIES)
        self._counted: dict[str, tuple[float, Spent]] = {}
        self._seconds = asyncio.get_running_loop().time

    def appended(self, position: int, recorded_at_us: int, uses: Mapping[str, int]) -> None:
        """An entry of this process is durable at `position`."""
        if uses:
            self._recent.append((position, day_of(recorded_at_us), uses))

    async def spent(self, key_id: str) -> Spent:
        """What `key_id` (or EVERYBODY) has sent, what this process just did included."""
        known = self._counted.get(key_id)
        if known is None or known[0] < self._seconds():
            known = self._counted[key_id] = (self._seconds() + _REFRESH_S, await self._count(key_id))
        today = day_of(self._clock.now_us())
        day, month = known[1].day, known[1].month
        for _, entry_day, uses in self._recent:
            items = sum(uses.values()) if key_id == EVERYBODY else uses.get(key_id, 0)
            day += items if entry_day == today else 0
            month += items if entry_day[:7] == today[:7] else 0
        return Spent(day, month)

    async def _count(self, key_id: str) -> Spent:
        # The position first: an entry archived in between is counted twice until the next look, never left out.
        archived = await self._log.source_position(self._partition, SOURCE)
        today = day_of(self._clock.now_us())
        days = _days_of_month(today)
        rows = await self._log.get(self._partition, TABLE, [_row(day, key_id) for day in days])
        while self._recent and self._recent[0][0] <= archived:
            self._recent.popleft()
        items = [int(row or b"0") for row in rows]
        return Spent(items[-1], sum(items))


def _days_of_month(today: str) -> Sequence[str]:
    return [f"{today[:8]}{day:02d}" for day in range(1, int(today[8:]) + 1)]


def _row(day: str, key_id: str) -> bytes:
    return f"{day}|{key_id}".encode()
