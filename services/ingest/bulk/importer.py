"""One import from its beginning to its end: read aside, appended entry by entry, kept as far as it is durable."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from cdp.bulk.v1 import bulk_pb2 as pb
from core.clock import Clock
from core.errors import CdpError, Code, conflict
from services.ingest.bulk.aside import READER_DIED, Reading, reading_aside
from services.ingest.bulk.books import ImportBooks
from services.ingest.bulk.door_rules import DoorRules, rules_of_way
from services.ingest.bulk.entry import ImportedEntry
from services.ingest.bulk.files import BulkFiles
from services.ingest.bulk.frames import AHEAD, EntryFrame, ReadJob
from services.ingest.bulk.report import Report
from services.ingest.bulk.run import UNDER_WAY, ImportRun, ImportState
from services.ingest.ways import Way
from services.ingest.worker import CONSUMERS
from services.runtime.caller import Workspace
from services.runtime.failpoints import failpoint
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)

FILE_CHANGED = "FILE_CHANGED"
#: How far an import is, is kept so often; what comes after is read again after a kill, and dropped as known.
_KEEP_ROWS = 20_000
_KEEP_S = 1.0
#: Entries that unification may be behind before the import waits for it: about as many thousands of rows.
MOST_BEHIND = 1_000
_LOOK_S = 0.2
_LATER = (Code.UNAVAILABLE, Code.EXHAUSTED)
_LATER_S = 1.0
_PART_BYTES = 4 << 20
_DIGEST_IN_IDS = 16


T = TypeVar("T")


class Cancelled(Exception):
    """Somebody asked for the end of the import."""


@dataclass(slots=True)
class Importer:
    """Imports of one workspace. What a file has done wrong ends its import as failed; a log that is away is waited for;
    anything else is raised, and the import goes on after a restart."""

    workspace: Workspace
    clock: Clock
    books: ImportBooks
    way: Way
    files: BulkFiles
    folder: Path
    #: Files are read one at a time in a process; other imports wait.
    reading: asyncio.Semaphore
    #: The log's end when this share was opened: unification is not expected to be further back.
    opened_at: int
    most_behind: int
    cancelled: Callable[[int], bool]

    def report(self, number: int) -> Report:
        """The report of an import."""
        return Report(self.folder / f"{number:010d}")

    async def run(self, number: int) -> None:
        """Take an import that is under way to its end."""
        async with self.reading:
            run = self.books.run(number)
            if run.state not in UNDER_WAY:
                return
            try:
                ended = await self._import(await self._begun(run))
            except Cancelled:
                ended = self.books.run(number).ended(ImportState.CANCELLED, self.clock.now_us())
            except CdpError as error:
                if error.code is not Code.INVALID and error.code is not Code.NOT_FOUND and error.reason != FILE_CHANGED:
                    raise
                now_us = self.clock.now_us()
                ended = self.books.run(number).ended(ImportState.FAILED, now_us, error.reason, error.message)
            await self.keep(ended)
            _LOG.info("import ended", workspace=self.workspace.id, number=number, state=ended.state.value,
                      read=ended.read, accepted=ended.accepted, rejected=ended.rejected)  # fmt: skip

    async def _begun(self, run: ImportRun) -> ImportRun:
        path = self.files.path(run.whole_spec.file)
        digest = await asyncio.to_thread(digest_of, path)
        if run.digest and run.digest != digest:
            raise conflict(FILE_CHANGED, "the file is another than the one that the import began with: import it anew")
        now_us = self.clock.now_us()
        run = replace(
            run,
            state=ImportState.RUNNING,
            digest=digest,
            told_at_us=run.told_at_us or now_us,
            bytes_total=path.stat().st_size,
            resumed_at_us=now_us,
            resumed_rows=run.read,
            resumed_bytes=run.bytes_read,
        )
        await self.keep(run)
        return run

    async def _import(self, run: ImportRun) -> ImportRun:
        before = None if run.dry_run or run.again or run.row else self.books.same(run)
        if before is not None:
            return replace(run, same_as=before.number).ended(ImportState.DONE, self.clock.now_us())
        report = self.report(run.number)
        columns = [one.column for one in run.whole_spec.columns]
        await asyncio.to_thread(report.begin, columns, run.report_bytes)
        async with reading_aside() as reading:
            await reading.begin(self._job(run), await self.rules())
            appending = _Appending(self, reading, report, run)
            try:
                preview = await appending.follow()
            except CdpError as error:
                if error.reason == READER_DIED:
                    # One that dies soon after every start must still bring the import further.
                    await appending.keep()
                raise
            finally:
                await appending.close()
        failpoint("bulk.appended")
        found = replace(appending.run, bytes_read=run.bytes_total, preview=preview.SerializeToString())
        return found.ended(ImportState.DONE, self.clock.now_us())

    def _job(self, run: ImportRun) -> ReadJob:
        spec = run.whole_spec
        prefix = f"import:{run.digest[:_DIGEST_IN_IDS]}:"
        if spec.kind == pb.IMPORT_KIND_CONTACTS:
            # A mended mapping tells other traits of the same row: those are not the same fact.
            prefix += hashlib.sha256(run.spec).hexdigest()[:_DIGEST_IN_IDS] + ":"
        return ReadJob(
            file=str(self.files.path(spec.file)),
            spec=base64.b64encode(run.spec).decode(),
            row=run.row,
            offset=run.offset,
            told_at_us=run.told_at_us,
            id_prefix=prefix,
            dry_run=run.dry_run,
        )

    async def rules(self) -> DoorRules:
        """The workspace's, not older than a second."""
        return await self.patiently(partial(rules_of_way, self.way))

    async def patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """What `call` answers, once the log is there to ask."""
        while True:
            try:
                return await call()
            except CdpError as error:
                if error.code not in _LATER:
                    raise
                await asyncio.sleep(error.retry_after_s or _LATER_S)

    async def keep(self, run: ImportRun) -> None:
        """Keep an import as it is; the reports of those that are forgotten for it go."""
        for number in await self.books.keep(run):
            await asyncio.to_thread(self.report(number).forget)


class _Appending:
    """What is between the reader and the log: a few entries on their way, settled in order."""

    def __init__(self, importer: Importer, reading: Reading, report: Report, run: ImportRun) -> None:
        self.run = run
        self._importer = importer
        self._reading = reading
        self._report = report
        self._way: deque[tuple[asyncio.Task[int], EntryFrame]] = deque()
        self._seconds = asyncio.get_running_loop().time
        self._kept_row, self._kept_s = run.row, self._seconds()
        self._last = importer.opened_at

    async def follow(self) -> pb.Preview:
        """Append all that the reader says; what it found on the way, once everything is durable."""
        async for said in self._reading.said():
            if self._importer.cancelled(self.run.number):
                raise Cancelled
            if isinstance(said, pb.Preview):
                while self._way:
                    await self._settle()
                return said
            if isinstance(said, tuple):
                schema = self._importer.way.schema
                wants = said
                await self._importer.patiently(partial(schema.learn, wants))
                await self._reading.learned(await self._importer.rules())
                continue
            await self._unification()
            self._way.append((asyncio.create_task(self._append(said)), said))
            while self._way and (len(self._way) >= AHEAD or self._way[0][0].done()):
                await self._settle()
        raise AssertionError("the reader ends with a preview, or raises")

    async def keep(self) -> None:
        """Make durable how far it is."""
        self._kept_row, self._kept_s = self.run.row, self._seconds()
        await asyncio.to_thread(self._report.sync)
        await self._importer.keep(self.run)

    async def close(self) -> None:
        """Let nothing go on behind the import's back."""
        for task, _ in self._way:
            task.cancel()
        await asyncio.gather(*(task for task, _ in self._way), return_exceptions=True)

    async def _settle(self) -> None:
        """Take the oldest entry as durable: report, progress, and the reader may go on."""
        task, frame = self._way[0]
        self._last = max(self._last, await task)
        self._way.popleft()
        failpoint("bulk.entry_appended")
        if frame.rejected:
            await asyncio.to_thread(self._report.add, frame.rejected)
        self.run = self.run.reached(frame)
        self._importer.books.show(self.run)
        await self._reading.acknowledge(await self._importer.rules())
        now_s = self._seconds()
        if self.run.row - self._kept_row >= _KEEP_ROWS or now_s - self._kept_s > _KEEP_S:
            await self.keep()

    async def _append(self, frame: EntryFrame) -> int:
        if not frame.count or self.run.dry_run:
            return 0
        entry = ImportedEntry(frame, self.run.key_id)
        while True:
            try:
                return await self._importer.way.batcher.append(entry)
            except CdpError as error:
                if error.code not in _LATER:
                    raise
                _LOG.info("import waits for the log", reason=error.reason)
                await asyncio.sleep(error.retry_after_s or _LATER_S)

    async def _unification(self) -> None:
        """Wait while unification is too far behind."""
        importer = self._importer
        while self._last - max(importer.way.consumers.lowest(CONSUMERS), importer.opened_at) > importer.most_behind:
            if importer.cancelled(self.run.number):
                raise Cancelled
            importer.books.show(replace(self.run, waiting=True))
            await asyncio.sleep(_LOOK_S)


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal; blocks."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_PART_BYTES):
            found.update(part)
    return found.hexdigest()
