"""The archive of unification's log: entries to Parquet, then the log is trimmed down to a margin.

Readers that are further behind, timelines among them, read what was trimmed out of the archive (`ArchivedLog`), so
nothing holds trimming back but the archive itself; the margin keeps what is usually read in the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from core.clock import Clock
from core.eventlog.protocol import Commit, Entry, EventLog, Fence, Partition, TableWrite
from services.profile_unification.archived_log import RANGES, load_ranges, range_key, range_row
from services.profile_unification.forgetting import without_people
from services.profile_unification.log_files import LogRange, read_range, remove_range, remove_strays, write_range
from services.runtime.failpoints import failpoint
from services.runtime.patience import commit_patiently
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)

SOURCE = "archive"
FLUSH_BYTES = 16 << 20
FLUSH_S = 300.0
FLUSH_ENTRIES = 4_096
_READ_ENTRIES = 256
_READ_BYTES = 8 << 20
_IDLE_S = 5.0
_NO_DISK_S = 5.0


class LogArchive:
    """Archives one workspace's log under its lease. Made by `open`; `run` is its work, `through` and `forget` may be
    called meanwhile."""

    def __init__(
        self, log: EventLog, clock: Clock, partition: Partition, fence: Fence, folder: Path, margin_entries: int
    ) -> None:
        """`folder` is the workspace's own. `margin_entries` stay in the log although they are archived; 0: all."""
        self._margin_entries = margin_entries
        self._log = log
        self._clock = clock
        self._partition = partition
        self._fence = fence
        self._folder = folder
        self._seconds: Callable[[], float] = asyncio.get_running_loop().time
        self._since_s = self._seconds()
        self._ranges: list[LogRange] = []
        self._lock = asyncio.Lock()
        self.archived = 0

    @property
    def trims(self) -> bool:
        """Whether the archive lasts, so that the log may be trimmed."""
        return self._margin_entries > 0

    async def open(self) -> None:
        """Find where the archive stands, and remove what a killed worker left."""
        self.archived = await self._log.source_position(self._partition, SOURCE)
        self._ranges = await load_ranges(self._log, self._partition)
        removed = await asyncio.to_thread(remove_strays, self._folder, self._ranges)
        if removed:
            _LOG.info("removed what was not committed", workspace=self._partition.workspace, files=removed)

    async def run(self) -> None:
        """Archive until cancelled: once there is much, or what there is has waited for long."""
        while True:
            _, last = await self._log.bounds(self._partition)
            if last > self.archived:
                if last - self.archived >= FLUSH_ENTRIES or self._seconds() - self._since_s >= FLUSH_S:
                    await self.through(last)
                    await self.trim(last + 1 - self._margin_entries)
                await asyncio.sleep(_IDLE_S)
            else:
                self._since_s = self._seconds()
                await self._log.wait(self._partition, self.archived, _IDLE_S)

    async def through(self, position: int) -> None:
        """Archive everything up to `position` of the log at least."""
        async with self._lock:
            while await self._write_one(position):
                pass

    async def trim(self, below: int) -> int:
        """Trim the log below `below`, as far as it is archived, if it may be trimmed. Returns where it begins."""
        wanted = min(below, self.archived + 1)
        trimmed = await self._log.trim(self._partition, wanted) if self.trims else 0
        if trimmed:
            failpoint("profile_unification.trimmed")
            _LOG.debug("log trimmed", workspace=self._partition.workspace, entries=trimmed, below=wanted)
        first, _ = await self._log.bounds(self._partition)
        return first

    async def forget(self, contacts: frozenset[int], through: int) -> tuple[int, int, int]:
        """Rewrite all files of entries up to `through` that tell of `contacts`, who are all numbers that people had:
        how many files, events and facts. The archive is beyond `through`."""
        files = events = facts = 0
        async with self._lock:
            for place, one in enumerate(self._ranges):
                if one.first > through:
                    break
                entries, removed = await asyncio.to_thread(_rewritten, self._folder, one, contacts)
                if entries is None:
                    continue
                fresh = await asyncio.to_thread(write_range, self._folder, entries, one.generation + 1)
                failpoint("profile_unification.archive_rewritten")
                await self._commit(None, fresh)
                self._ranges[place] = fresh
                await asyncio.to_thread(remove_range, self._folder, one)
                files, events, facts = files + 1, events + removed[0], facts + removed[1]
        return files, events, facts

    async def _write_one(self, position: int) -> bool:
        """One more file, if the archive is not at `position` yet."""
        if self.archived >= position:
            return False
        entries: list[Entry] = []
        size_bytes = 0
        while size_bytes < FLUSH_BYTES:
            after = entries[-1].position if entries else self.archived
            more = await self._log.read(self._partition, after, _READ_ENTRIES, _READ_BYTES)
            entries += more
            size_bytes += sum(len(one.payload) for one in more)
            if not more:
                break
        if not entries:
            return False
        try:
            written = await asyncio.to_thread(write_range, self._folder, entries)
        except OSError as error:
            # The disk is full or broken: the log keeps what is not archived.
            _LOG.warning("archive cannot be written, trying again", workspace=self._partition.workspace,
                         error=error.strerror, pause_s=_NO_DISK_S)  # fmt: skip
            await asyncio.sleep(_NO_DISK_S)
            return True
        failpoint("profile_unification.archive_written")
        await self._commit(written.last, written)
        self._ranges.append(written)
        self.archived = written.last
        self._since_s = self._seconds()
        return True

    async def _commit(self, position: int | None, one: LogRange) -> None:
        writes = (TableWrite(RANGES, {range_key(one): range_row(one)}),)
        source = None if position is None else SOURCE
        commit = Commit(source, position, (), writes, self._clock.now_us())
        await commit_patiently(self._log, self._partition, self._fence, commit)


def _rewritten(folder: Path, one: LogRange, contacts: frozenset[int]) -> tuple[list[Entry] | None, tuple[int, int]]:
    """The entries of a range without `contacts`, None where it tells nothing of them; how many events and facts
    went."""
    entries = read_range(folder, one, one.first - 1, one.last - one.first + 1, 1 << 62)
    kept, events, facts, changed = [], 0, 0, False
    for entry in entries:
        payload, gone_events, gone_facts = without_people(entry.payload, contacts)
        kept.append(Entry(entry.position, entry.recorded_at_us, payload))
        events, facts = events + gone_events, facts + gone_facts
        changed |= payload is not entry.payload
    return (kept if changed else None), (events, facts)
