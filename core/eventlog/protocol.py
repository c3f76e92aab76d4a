"""What a service asks of its durable log and state; one contract suite runs on every implementation.

A `Partition` is one service's share of one workspace: one stream of entries and the state that is folded with it.
Positions are dense: the first entry is 1, the next 2; 0 stands before everything. An entry is a batch of facts,
opaque here. `recorded_at_us` is given by the log at acceptance and never runs back within a stream.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Partition:
    """`service`'s stream and state of one workspace; `bucket` (0 to 255) keeps all its keys on one cluster slot."""

    service: str
    workspace: str
    bucket: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One accepted batch."""

    position: int
    recorded_at_us: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Fence:
    """Proof of ownership: a writing script refuses an epoch that is not the lease's newest."""

    lease: str
    epoch: int


@dataclass(frozen=True, slots=True)
class TableWrite:
    """Changes of one named table of the partition's state. `put` and `delete` speak of the same table at once."""

    table: str
    put: Mapping[bytes, bytes] = field(default_factory=dict)
    delete: Sequence[bytes] = ()
    drop: bool = False  # forget the whole table before `put` is applied


@dataclass(frozen=True, slots=True)
class Commit:
    """One atomic step of a fold: state, outputs and the upstream position that caused them, or nothing of it.

    `source` names the upstream ("ingest", "clock", a request id's space); a commit whose `source_position` is not
    beyond the stored one for that source is a no-op, so replays are harmless. None: no upstream, always applied.
    """

    source: str | None
    source_position: int | None
    outputs: Sequence[bytes]
    writes: Sequence[TableWrite]
    now_us: int


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit did. `applied` is False for a position that was already there; `last` is the stream's end."""

    applied: bool
    last: int
    recorded_at_us: int


class EventLog(Protocol):
    """Streams and state of all partitions of one server (or memory). Every method may raise CdpError:
    UNAVAILABLE/LOG_UNAVAILABLE when the server is away, CONFLICT/FENCED for a lost lease,
    EXHAUSTED/LOG_FULL when it accepts no more bytes, NOT_FOUND/LOG_TRIMMED for a position below the first kept."""

    async def append(self, partition: Partition, payloads: Sequence[bytes], now_us: int) -> Committed:
        """Add entries without a fence (many writers). Returns once they are durable as configured.
        `recorded_at_us` of each is max(now_us, the last one's). Empty `payloads`: nothing is written."""
        ...

    async def commit(self, partition: Partition, fence: Fence, commit: Commit) -> Committed:
        """Apply `commit` atomically, if `fence` holds. Returns once durable."""
        ...

    async def read(self, partition: Partition, after: int, limit_entries: int, limit_bytes: int) -> list[Entry]:
        """Entries with position > `after` in order, at most `limit_entries`, and no more than `limit_bytes` of
        payload except that a single larger entry is still returned. Empty list: nothing there yet."""
        ...

    async def wait(self, partition: Partition, after: int, timeout_s: float) -> bool:
        """Return True as soon as an entry beyond `after` exists, False after `timeout_s`."""
        ...

    async def bounds(self, partition: Partition) -> tuple[int, int]:
        """(first kept position, last position); an empty stream is (last + 1, last), at first (1, 0)."""
        ...

    async def epoch(self, partition: Partition) -> str:
        """A random id given to the stream when it was created: cursors of another epoch are void."""
        ...

    async def trim(self, partition: Partition, below: int) -> int:
        """Forget entries with position < `below` (MINID); returns how many. State is untouched."""
        ...

    async def compact(self, partition: Partition) -> bool:
        """Rewrite what is stored, in memory and on disk, so that nothing is left there of what was trimmed or deleted
        before. Takes as long as writing everything once. False: this server is not ours to tell, its operator sees to
        its files."""
        ...

    async def source_position(self, partition: Partition, source: str) -> int:
        """The last committed upstream position of `source`; 0 if none."""
        ...

    async def get(self, partition: Partition, table: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """Values of `keys` in order; None for a key that is not there."""
        ...

    def scan(self, partition: Partition, table: str) -> AsyncIterator[tuple[bytes, bytes]]:
        """All (key, value) of a table, each once, in no order; a table that is not there is empty."""
        ...

    async def acquire(self, lease: str, owner: str, ttl_s: float) -> Fence | None:
        """Take or renew `lease` for `owner`. A new owner gets a larger epoch, a renewal keeps it; None: another
        owner holds it. Time is the log server's (the memory log's clock)."""
        ...

    async def release(self, lease: str, owner: str) -> None:
        """Give the lease up if `owner` holds it; the epoch is remembered."""
        ...

    async def owner(self, lease: str) -> str | None:
        """Who holds `lease` now."""
        ...

    async def close(self) -> None:
        """Let connections go. Idempotent."""
        ...
