"""The archive worker of a workspace: log entries to Parquet, then the log is trimmed as far as nobody needs it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.clock import Clock
from core.eventlog.protocol import Commit, Entry, EventLog, Fence, Partition, TableWrite
from services.ingest.archive import remove_leftovers, write_ranges
from services.ingest.archive_forget import Forgetting, forget_in_file
from services.ingest.usage import EVERYBODY, added_up, usage_write
from services.runtime.failpoints import failpoint
from services.runtime.feed import ConsumerPositions
from services.runtime.patience import commit_patiently
from services.runtime.telemetry import FOLDED_POSITION, UPSTREAM_LAG, get_logger

_LOG = get_logger(__name__)

SOURCE = "archive"
#: Table of what was archived: "<day>/<first>-<last>" -> {"events", "facts"}. A file that is not in it does not count.
TABLE = "archive"
#: Readers that the log is kept for.
CONSUMERS = ("profile_unification",)

FLUSH_BYTES = 8 << 20
FLUSH_S = 60.0
_TRIM_S = 10.0
_READ_ENTRIES = 64
_READ_BYTES = 4 << 20
_IDLE_S = 5.0
_NO_DISK_S = 2.0
#: After an entry has come the worker lets others gather, so that a steady stream does not wake it for each.
_GATHER_S = 0.25


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What went: files written anew, events and facts in them; and the position that the log begins at."""

    files: int
    events: int
    facts: int
    first_position: int


class ArchiveShard:
    """See `services.runtime.ownership.Shard`. What was read and not yet written is read again after a restart."""

    def __init__(
        self,
        log: EventLog,
        clock: Clock,
        partition: Partition,
        fence: Fence,
        folder: Path,
        consumers: ConsumerPositions,
        *,
        flush_bytes: int = FLUSH_BYTES,
        flush_s: float = FLUSH_S,
        followed: Callable[[], int] | None = None,
    ) -> None:
        """`folder` is the workspace's own. `followed`: how far another reader of this process is, for whom the log is
        kept as well."""
        self._followed = followed
        self._log = log
        self._clock = clock
        self._partition = partition
        self._fence = fence
        self._folder = folder
        self._consumers = consumers
        self._flush_bytes = flush_bytes
        self._flush_s = flush_s
        self._seconds: Callable[[], float] = asyncio.get_running_loop().time
        self._pending: list[Entry] = []
        self._pending_bytes = 0
        self._pending_since_s = 0.0
        self._trimmed_s = -_TRIM_S
        self._asked = 0
        self._woken = asyncio.Event()
        self._rewriting = asyncio.Lock()
        self.archived = 0
        self._labels = (SOURCE, partition.workspace)

    async def open(self) -> None:
        """Find where the archive stands, and remove what a killed worker left beyond it."""
        self.archived = await self._log.source_position(self._partition, SOURCE)
        removed = await asyncio.to_thread(remove_leftovers, self._folder, self.archived)
        if removed:
            _LOG.info("removed what was not committed", workspace=self._partition.workspace, files=removed)

    async def run(self) -> None:
        """Archive until cancelled."""
        while True:
            await self.step()

    async def step(self) -> None:
        """Read what is there, write it if it is much or old enough, trim now and then, or wait for more."""
        after = self._pending[-1].position if self._pending else self.archived
        # No more than one file's worth is taken, however long the disk is full.
        full = self._pending_bytes >= self._flush_bytes
        entries = [] if full else await self._log.read(self._partition, after, _READ_ENTRIES, _READ_BYTES)
        if entries and not self._pending:
            self._pending_since_s = self._seconds()
        self._pending += entries
        self._pending_bytes += sum(len(entry.payload) for entry in entries)
        age_s = self._seconds() - self._pending_since_s
        is_due = age_s >= self._flush_s or self._asked > self.archived
        if self._pending_bytes >= self._flush_bytes or (self._pending and is_due):
            await self.flush()
        elif not entries:
            await self._trim()
            left_s = self._flush_s - age_s if self._pending else _IDLE_S
            if await self._more(after, max(0.0, min(left_s, _IDLE_S))):
                await asyncio.sleep(min(_GATHER_S, self._flush_s))

    async def _more(self, after: int, timeout_s: float) -> bool:
        """Whether there is an entry beyond `after`, within the time; sooner when somebody asks for the archive."""
        arrival = asyncio.ensure_future(self._log.wait(self._partition, after, timeout_s))
        asked = asyncio.ensure_future(self._woken.wait())
        try:
            await asyncio.wait({arrival, asked}, return_when=asyncio.FIRST_COMPLETED)
            return arrival.done() and arrival.result()
        finally:
            self._woken.clear()
            arrival.cancel()
            asked.cancel()

    async def flush(self) -> None:
        """Write what was read and commit the position. Nothing when nothing was read."""
        if not self._pending:
            return
        async with self._rewriting:
            await self._flush()

    async def _flush(self) -> None:
        entries = self._pending
        try:
            written = await asyncio.to_thread(write_ranges, self._folder, entries)
        except OSError as error:
            # The disk is full or broken: the log keeps what is not archived, and callers are served meanwhile.
            _LOG.warning("archive cannot be written, trying again", workspace=self._partition.workspace,
                         error=error.strerror, entries=len(entries), pause_s=_NO_DISK_S)  # fmt: skip
            await asyncio.sleep(_NO_DISK_S)
            return
        self._pending, self._pending_bytes = [], 0
        failpoint("ingest.archive_written")
        rows = {one.name.encode(): json.dumps({"events": one.events, "facts": one.facts}).encode() for one in written}
        last = entries[-1].position
        uses = added_up((day, key, items) for one in written for (day, key), items in one.uses.items()
                        if key != EVERYBODY)  # fmt: skip
        usage = await usage_write(self._log, self._partition, uses)
        commit = Commit(SOURCE, last, (), (TableWrite(TABLE, rows), usage), self._clock.now_us())
        await commit_patiently(self._log, self._partition, self._fence, commit)
        failpoint("ingest.archive_committed")
        self.archived = last
        FOLDED_POSITION.labels(*self._labels).set(last)
        await self._trim()

    async def forget(self, wanted: Forgetting, through: int) -> Forgotten | None:
        """Take people out of everything archived, and trim the log beyond `through`, so that nothing of them is left
        in either. None: the archive or another reader is not there yet, ask again. Whoever asks has read through
        `through`."""
        if self.archived < through:
            self._asked = max(self._asked, through)
            self._woken.set()
            return None
        if self._followed is not None and self._followed() < through:
            return None
        files = events = facts = 0
        async with self._rewriting:
            async for key, _ in self._log.scan(self._partition, TABLE):
                name = key.decode()
                if int(name.partition("/")[2].partition("-")[0]) > through:
                    continue
                gone_events, gone_facts, row = await asyncio.to_thread(forget_in_file, self._folder, name, wanted)
                if gone_events or gone_facts:
                    files, events, facts = files + 1, events + gone_events, facts + gone_facts
                    failpoint("ingest.archive_rewritten")
                    write = TableWrite(TABLE, {key: row})
                    commit = Commit(None, None, (), (write,), self._clock.now_us())
                    await self._log.commit(self._partition, self._fence, commit)
        await self._log.trim(self._partition, through + 1)
        await self._log.compact(self._partition)
        first, _ = await self._log.bounds(self._partition)
        return Forgotten(files, events, facts, first)

    async def _trim(self) -> None:
        if self._seconds() - self._trimmed_s < _TRIM_S:
            return
        self._trimmed_s = self._seconds()
        _, last = await self._log.bounds(self._partition)
        UPSTREAM_LAG.labels(*self._labels).set(last - self.archived)
        needed = min(self._consumers.lowest(CONSUMERS), self.archived) + 1
        if self._followed is not None:
            needed = min(needed, self._followed() + 1)
        trimmed = await self._log.trim(self._partition, needed)
        if trimmed:
            failpoint("ingest.trimmed")
            _LOG.debug("log trimmed", workspace=self._partition.workspace, entries=trimmed, below=needed)

    def ready(self) -> bool:
        """Always: nobody waits for the archive."""
        return True

    async def close(self) -> None:
        """Let go; what is pending is read again by the next owner."""
        self._pending = []
