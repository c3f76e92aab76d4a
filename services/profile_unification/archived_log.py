"""The log as its readers see it: what was trimmed comes out of the archive.

Any process that reaches the folder may read so; only the owner of the workspace writes it.
"""

from __future__ import annotations

import asyncio
import json
import struct
from bisect import bisect_right
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from core.errors import CdpError
from core.eventlog.protocol import Commit, Committed, Entry, EventLog, Fence, Partition
from services.profile_unification.log_files import LogRange, read_range

#: First position (uint64) -> the range that is archived from there on.
RANGES = "archive"

#: Below the folder of data.
ARCHIVE_FOLDER = "resolved"

_FIRST = struct.Struct(">Q")
_VERSION = 1
_TRIES = 3


def range_key(one: LogRange) -> bytes:
    """The key of a range."""
    return _FIRST.pack(one.first)


def range_row(one: LogRange) -> bytes:
    """The row of a range."""
    told = {"v": _VERSION, "last": one.last, "generation": one.generation, "size_bytes": one.size_bytes}
    return json.dumps(told).encode()


def range_of(key: bytes, row: bytes) -> LogRange:
    """The range behind a key and its row. Raises ValueError for a row of another version."""
    told = json.loads(row)
    if told.pop("v") != _VERSION:
        raise ValueError("an archived range of a version that this release does not read")
    return LogRange(int(_FIRST.unpack(key)[0]), **told)


async def load_ranges(log: EventLog, partition: Partition) -> list[LogRange]:
    """All archived ranges, ascending; together they leave out no position."""
    ranges = [range_of(key, row) async for key, row in log.scan(partition, RANGES)]
    return sorted(ranges, key=lambda one: one.first)


class ArchivedLog:
    """`EventLog` whose `read` goes back to the first archived entry. `folder` holds a folder of each workspace."""

    def __init__(self, log: EventLog, folder: Path) -> None:
        self._log = log
        self._folder = folder
        self._ranges: dict[Partition, list[LogRange]] = {}

    def folder_of(self, partition: Partition) -> Path:
        """Where the files of a workspace lie."""
        return self._folder / partition.workspace

    async def read(self, partition: Partition, after: int, limit_entries: int, limit_bytes: int) -> list[Entry]:
        """See `EventLog.read`. LOG_TRIMMED only for what is not archived either."""
        try:
            return await self._log.read(partition, after, limit_entries, limit_bytes)
        except CdpError as error:
            if error.reason != "LOG_TRIMMED":
                raise
            for _ in range(_TRIES):
                found = await self._archived(partition, after, limit_entries, limit_bytes)
                if found is not None:
                    return found
            raise

    async def _archived(
        self, partition: Partition, after: int, limit_entries: int, limit_bytes: int
    ) -> list[Entry] | None:
        """None: it is not there, as far as is known; ask again, and it is looked for anew."""
        ranges = self._ranges.get(partition)
        if ranges is None:
            ranges = self._ranges[partition] = await load_ranges(self._log, partition)
        place = bisect_right(ranges, after + 1, key=lambda one: one.first) - 1
        if place >= 0 and ranges[place].last > after:
            folder = self.folder_of(partition)
            try:
                return await asyncio.to_thread(read_range, folder, ranges[place], after, limit_entries, limit_bytes)
            except FileNotFoundError:
                pass  # rewritten since the ranges were read
        self._ranges.pop(partition, None)
        return None

    async def append(self, partition: Partition, payloads: Sequence[bytes], now_us: int) -> Committed:
        """See `EventLog.append`."""
        return await self._log.append(partition, payloads, now_us)

    async def commit(self, partition: Partition, fence: Fence, commit: Commit) -> Committed:
        """See `EventLog.commit`."""
        return await self._log.commit(partition, fence, commit)

    async def wait(self, partition: Partition, after: int, timeout_s: float) -> bool:
        """See `EventLog.wait`."""
        return await self._log.wait(partition, after, timeout_s)

    async def bounds(self, partition: Partition) -> tuple[int, int]:
        """See `EventLog.bounds`: of the log itself."""
        return await self._log.bounds(partition)

    async def epoch(self, partition: Partition) -> str:
        """See `EventLog.epoch`."""
        return await self._log.epoch(partition)

    async def trim(self, partition: Partition, below: int) -> int:
        """See `EventLog.trim`."""
        return await self._log.trim(partition, below)

    async def compact(self, partition: Partition) -> bool:
        """See `EventLog.compact`."""
        return await self._log.compact(partition)

    async def source_position(self, partition: Partition, source: str) -> int:
        """See `EventLog.source_position`."""
        return await self._log.source_position(partition, source)

    async def get(self, partition: Partition, table: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `EventLog.get`."""
        return await self._log.get(partition, table, keys)

    def scan(self, partition: Partition, table: str) -> AsyncIterator[tuple[bytes, bytes]]:
        """See `EventLog.scan`."""
        return self._log.scan(partition, table)

    async def acquire(self, lease: str, owner: str, ttl_s: float) -> Fence | None:
        """See `EventLog.acquire`."""
        return await self._log.acquire(lease, owner, ttl_s)

    async def release(self, lease: str, owner: str) -> None:
        """See `EventLog.release`."""
        await self._log.release(lease, owner)

    async def owner(self, lease: str) -> str | None:
        """See `EventLog.owner`."""
        return await self._log.owner(lease)

    async def close(self) -> None:
        """Nothing: the log is the process's."""
