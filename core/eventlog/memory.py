"""The log in memory: the same contract as the real one, for tests, dry runs and a REPL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from core.clock import SECOND_US, Clock
from core.errors import CdpError, Code
from core.eventlog.protocol import Commit, Committed, Entry, Fence, Partition, TableWrite
from core.eventlog.rules import check_fence, fenced, source_of, split_lease, trimmed


class Waiter(Protocol):
    """How `wait` sleeps: given from outside, because core knows no event loop."""

    async def wait_for(self, ready: Callable[[], bool], timeout_s: float) -> bool:
        """True as soon as `ready()` holds (asked at once and after every `wake`), False after `timeout_s`."""
        ...

    def wake(self) -> None:
        """Let all who wait ask again."""
        ...


@dataclass(slots=True)
class _Stream:
    """State of one partition. `entries[0]` has position `first`."""

    epoch: str
    first: int = 1
    recorded_at_us: int = 0
    entries: list[Entry] = field(default_factory=list)
    tables: dict[str, dict[bytes, bytes]] = field(default_factory=dict)
    sources: dict[str, int] = field(default_factory=dict)

    @property
    def last(self) -> int:
        return self.first + len(self.entries) - 1


@dataclass(slots=True)
class _Lease:
    owner: str | None = None
    epoch: int = 0
    until_us: int = 0


class MemoryLog:
    """`EventLog` in plain dicts. Every method runs without a pause, so each is atomic among the tasks of one loop.

    `clock` is the time of leases. `limit_bytes` bounds payloads, table keys and table values together: a write that
    would pass it is refused whole with EXHAUSTED/LOG_FULL. `name` goes into the epochs, so that cursors of another
    `MemoryLog` are void.
    """

    def __init__(self, clock: Clock, waiter: Waiter, *, limit_bytes: int | None = None, name: str = "memory") -> None:
        self._clock = clock
        self._waiter = waiter
        self._limit_bytes = limit_bytes
        self._name = name
        self._used_bytes = 0
        self._streams: dict[Partition, _Stream] = {}
        self._leases: dict[str, _Lease] = {}
        self._closed = False

    async def append(self, partition: Partition, payloads: Sequence[bytes], now_us: int) -> Committed:
        """See `EventLog.append`."""
        stream = self._stream(partition)
        if not payloads:
            return Committed(False, stream.last, stream.recorded_at_us)
        if self._limit_bytes is not None:
            self._admit(sum(map(len, payloads)))
        return self._extend(stream, payloads, now_us)

    async def commit(self, partition: Partition, fence: Fence, commit: Commit) -> Committed:
        """See `EventLog.commit`."""
        check_fence(partition, fence)
        stream = self._stream(partition)
        newest = self._leases.get(fence.lease, _Lease()).epoch
        if fence.epoch != newest or newest == 0:
            raise fenced(fence, newest)
        source = source_of(commit)
        if source is not None and source[1] <= stream.sources.get(source[0], 0):
            return Committed(False, stream.last, stream.recorded_at_us)
        if self._limit_bytes is not None:
            self._admit(sum(map(len, commit.outputs)) + _growth(stream, commit.writes))
        for write in commit.writes:
            _apply(stream, write)
        if source is not None:
            stream.sources[source[0]] = source[1]
        if not commit.outputs:
            return Committed(True, stream.last, max(commit.now_us, stream.recorded_at_us))
        return self._extend(stream, commit.outputs, commit.now_us)

    async def read(self, partition: Partition, after: int, limit_entries: int, limit_bytes: int) -> list[Entry]:
        """See `EventLog.read`."""
        stream = self._stream(partition)
        if after + 1 < stream.first:
            raise trimmed(partition, after + 1, stream.first)
        found: list[Entry] = []
        size = 0
        start = after + 1 - stream.first
        for entry in stream.entries[start : start + limit_entries]:
            size += len(entry.payload)
            if found and size > limit_bytes:
                break
            found.append(entry)
        return found

    async def wait(self, partition: Partition, after: int, timeout_s: float) -> bool:
        """See `EventLog.wait`."""
        stream = self._stream(partition)
        return await self._waiter.wait_for(lambda: stream.last > after, timeout_s)

    async def bounds(self, partition: Partition) -> tuple[int, int]:
        """See `EventLog.bounds`."""
        stream = self._stream(partition)
        return stream.first, stream.last

    async def epoch(self, partition: Partition) -> str:
        """See `EventLog.epoch`. Not random here: the log's name and the number of the stream in it."""
        return self._stream(partition).epoch

    async def trim(self, partition: Partition, below: int) -> int:
        """See `EventLog.trim`."""
        stream = self._stream(partition)
        count = max(0, min(below, stream.last + 1) - stream.first)
        if self._limit_bytes is not None:
            self._used_bytes -= sum(len(entry.payload) for entry in stream.entries[:count])
        del stream.entries[:count]
        stream.first += count
        return count

    async def compact(self, partition: Partition) -> bool:
        """See `EventLog.compact`: what is gone is gone."""
        return True

    async def source_position(self, partition: Partition, source: str) -> int:
        """See `EventLog.source_position`."""
        return self._stream(partition).sources.get(source, 0)

    async def get(self, partition: Partition, table: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `EventLog.get`."""
        rows = self._stream(partition).tables.get(table, {})
        return [rows.get(key) for key in keys]

    async def scan(self, partition: Partition, table: str) -> AsyncIterator[tuple[bytes, bytes]]:
        """See `EventLog.scan`. Sees the table as it was when the scan began."""
        for row in list(self._stream(partition).tables.get(table, {}).items()):
            yield row

    async def acquire(self, lease: str, owner: str, ttl_s: float) -> Fence | None:
        """See `EventLog.acquire`."""
        split_lease(lease)
        self._check_open()
        held = self._leases.setdefault(lease, _Lease())
        now_us = self._clock.now_us()
        if held.owner not in (None, owner) and held.until_us > now_us:
            return None
        if held.owner != owner:
            held.epoch += 1
        held.owner = owner
        held.until_us = now_us + int(ttl_s * SECOND_US)
        return Fence(lease, held.epoch)

    async def release(self, lease: str, owner: str) -> None:
        """See `EventLog.release`."""
        self._check_open()
        held = self._leases.get(lease)
        if held is not None and held.owner == owner:
            held.owner = None

    async def owner(self, lease: str) -> str | None:
        """See `EventLog.owner`."""
        self._check_open()
        held = self._leases.get(lease)
        return held.owner if held is not None and held.until_us > self._clock.now_us() else None

    async def close(self) -> None:
        """See `EventLog.close`. Afterwards every other call is refused with UNAVAILABLE/LOG_UNAVAILABLE."""
        self._closed = True
        self._waiter.wake()

    def _check_open(self) -> None:
        if self._closed:
            raise CdpError(Code.UNAVAILABLE, "LOG_UNAVAILABLE", "the log is closed", retry_after_s=1.0)

    def _stream(self, partition: Partition) -> _Stream:
        self._check_open()
        stream = self._streams.get(partition)
        if stream is None:
            stream = self._streams[partition] = _Stream(f"{self._name}-{len(self._streams) + 1}")
        return stream

    def _admit(self, growth_bytes: int) -> None:
        if self._limit_bytes is not None and growth_bytes > self._limit_bytes - self._used_bytes:
            raise CdpError(
                Code.EXHAUSTED,
                "LOG_FULL",
                f"the log holds {self._used_bytes} of {self._limit_bytes} bytes; trim it or raise the limit",
                retry_after_s=1.0,
            )
        self._used_bytes += growth_bytes

    def _extend(self, stream: _Stream, payloads: Sequence[bytes], now_us: int) -> Committed:
        at_us = max(now_us, stream.recorded_at_us)
        stream.recorded_at_us = at_us
        start = stream.last + 1
        stream.entries += [Entry(start + i, at_us, bytes(payload)) for i, payload in enumerate(payloads)]
        self._waiter.wake()
        return Committed(True, stream.last, at_us)


def _apply(stream: _Stream, write: TableWrite) -> None:
    if write.drop:
        stream.tables.pop(write.table, None)
    rows = stream.tables.setdefault(write.table, {})
    for key in write.delete:
        rows.pop(key, None)
    rows.update(write.put)


def _growth(stream: _Stream, writes: Sequence[TableWrite]) -> int:
    """Bytes that `writes`, applied in order, would add to the tables (negative where they free some)."""
    growth = 0
    for table in {write.table for write in writes}:
        before = stream.tables.get(table, {})
        trial = _Stream("", tables={table: dict(before)})
        for write in writes:
            if write.table == table:
                _apply(trial, write)
        growth += _size(trial.tables[table]) - _size(before)
    return growth


def _size(rows: dict[bytes, bytes]) -> int:
    return sum(len(key) + len(value) for key, value in rows.items())
