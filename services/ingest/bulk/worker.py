"""The imports of one workspace, on the process that owns its ingest log."""

from __future__ import annotations

import asyncio
from itertools import islice
from pathlib import Path

from cdp.bulk.v1 import bulk_pb2 as pb
from core.clock import MINUTE_US, Clock
from core.errors import CdpError, Code, conflict, not_found
from core.events.schema import Schema
from services.ingest.bulk.books import ImportBooks
from services.ingest.bulk.files import BulkFiles
from services.ingest.bulk.importer import Importer
from services.ingest.bulk.mapping import unknown_columns, with_columns
from services.ingest.bulk.read import open_rows
from services.ingest.bulk.read_csv import CsvRows
from services.ingest.bulk.retention import Retention
from services.ingest.bulk.run import UNDER_WAY, ImportRun, ImportState
from services.ingest.bulk.spec import checked_spec, spec_bytes
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)

FILE_IN_USE = "FILE_IN_USE"
TOO_MANY_IMPORTS = "TOO_MANY_IMPORTS"
IMPORT_ENDED = "IMPORT_ENDED"
REPORT_DELETED = "REPORT_DELETED"
#: How often the worker looks whether something is to be deleted.
_LOOK_S = 1.0
_MOST_UNDER_WAY = 20
_FIRST_ROWS = 1_000


class BulkShard:
    """See `services.runtime.ownership.Shard`. Imports of a workspace run one after another."""

    def __init__(
        self,
        clock: Clock,
        books: ImportBooks,
        files: BulkFiles,
        importer: Importer,
        zone: str,
        retention: Retention,
    ) -> None:
        self.clock = clock
        self.books = books
        self.files = files
        self._importer = importer
        self._zone = zone
        self._retention = retention
        self._cancelled: set[int] = set()
        importer.cancelled = self._cancelled.__contains__
        self._begun = asyncio.Event()
        self._changing = asyncio.Lock()

    async def run(self) -> None:
        """Go on with what was under way, then with what is asked for, until cancelled or an import cannot go on; delete
        what was kept long enough meanwhile."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._import())
            tasks.create_task(self._forget())

    async def _import(self) -> None:
        while True:
            self._begun.clear()
            for run in self.books.under_way():
                if run.state is ImportState.RUNNING:
                    _LOG.info("import resumed", number=run.number, row=run.row)
                await self._importer.run(run.number)
                self._cancelled.discard(run.number)
            await self._begun.wait()

    async def _forget(self) -> None:
        looked_us, ended = -MINUTE_US, -1
        while True:
            now_us, now_ended = self.clock.now_us(), len(self.books.all()) - len(self.books.under_way())
            if now_us - looked_us >= MINUTE_US or now_ended != ended:
                looked_us, ended = now_us, now_ended
                await self.forget_old(now_us)
            await asyncio.sleep(_LOOK_S)

    async def forget_old(self, now_us: int) -> None:
        """Delete uploads and reports that were kept long enough."""
        async with self._changing:
            runs = self.books.all()
            try:
                for number in self._retention.reports_over(runs, now_us):
                    report = self._importer.report(number)
                    if report.exists():
                        await asyncio.to_thread(report.forget)
                files = await asyncio.to_thread(self.files.all)
                over = [
                    one for one in self._retention.uploads_over(files, runs, now_us) if not self.files.is_arriving(one)
                ]
                for name in over:
                    self.files.delete(name)
                if over:
                    _LOG.info("files deleted after their time", files=len(over))
            except OSError as error:
                # Tried again at the next look; imports go on meanwhile.
                _LOG.warning("files that are over cannot be deleted", error=error.strerror)

    async def close(self) -> None:
        """Nothing to let go of: the next owner goes on with the imports."""

    def ready(self) -> bool:
        """Always: nobody waits for an import."""
        return True

    async def propose(self, spec: pb.ImportSpec) -> pb.ProposeMappingResponse:
        """What the columns of a file could mean. Raises as `start`."""
        checked = checked_spec(spec, self._zone)
        schema = (await self._importer.rules()).schema
        path = self.files.path(checked.file)
        whole = await asyncio.to_thread(with_file_columns, path, checked, schema)
        unknown = unknown_columns(whole, schema)
        return pb.ProposeMappingResponse(columns=whole.columns, unknown_columns=unknown, delimiter=whole.delimiter)

    async def start(self, request: pb.StartImportRequest, key_id: str) -> ImportRun:
        """Begin an import, or answer the one that the request began before.

        Raises NOT_FOUND / NO_SUCH_FILE, CONFLICT / FILE_INCOMPLETE, INVALID / BAD_IMPORT and what says that the file
        cannot be read, EXHAUSTED / TOO_MANY_IMPORTS.
        """
        checked = checked_spec(request.spec, self._zone)
        async with self._changing:
            before = self.books.requested(request.request_id)
            if before is not None:
                return before
            if len(self.books.under_way()) >= _MOST_UNDER_WAY:
                what = f"{_MOST_UNDER_WAY} imports wait already"
                raise CdpError(Code.EXHAUSTED, TOO_MANY_IMPORTS, what, retry_after_s=60.0)
            schema = (await self._importer.rules()).schema
            path = self.files.path(checked.file)
            whole = await asyncio.to_thread(with_file_columns, path, checked, schema)
            run = ImportRun(
                number=self.books.next_number(),
                state=ImportState.QUEUED,
                spec=spec_bytes(whole),
                dry_run=request.dry_run,
                again=request.again,
                began_at_us=self.clock.now_us(),
                key_id=key_id,
                request_id=request.request_id,
                bytes_total=path.stat().st_size,
            )
            await self._importer.keep(run)
        self._begun.set()
        return run

    async def cancel(self, number: int) -> None:
        """End an import as soon as it can; nothing for one that has ended. Raises NOT_FOUND."""
        async with self._changing:
            run = self.books.run(number)
            if run.state is ImportState.QUEUED:
                await self._importer.keep(run.ended(ImportState.CANCELLED, self.clock.now_us()))
            elif run.state is ImportState.RUNNING:
                self._cancelled.add(number)

    def delete_file(self, name: str) -> None:
        """Remove a file. Raises NOT_FOUND, CONFLICT / FILE_IN_USE, UPLOAD_UNDER_WAY."""
        for run in self.books.under_way():
            if run.whole_spec.file == name:
                raise conflict(FILE_IN_USE, f"import {run.number} reads file {name!r}: cancel it first")
        self.files.delete(name)

    def rejected(self, number: int) -> tuple[ImportRun, Path]:
        """An import and the folder of its report. Raises NOT_FOUND: NO_SUCH_IMPORT, REPORT_DELETED."""
        run = self.books.run(number)
        ended = run.state not in UNDER_WAY
        over = ended and self._retention.report_until_us(run) <= self.clock.now_us()
        if over or (ended and run.rejected and not self._importer.report(number).exists()):
            why = "after its time, because it holds what people told"
            raise not_found(REPORT_DELETED, f"the report of import {number} was deleted {why}: import the file again")
        return run, self._importer.folder / f"{number:010d}"


def with_file_columns(path: Path, spec: pb.ImportSpec, schema: Schema) -> pb.ImportSpec:
    """The spec with every column of its file; blocks. Raises as `with_columns`, and for a file that cannot be read."""
    source = open_rows(path, spec)
    try:
        first = [row.cells for row in islice(source.rows(), _FIRST_ROWS) if row.wrong is None]
        whole = with_columns(spec, source.columns, first, schema)
        if isinstance(source, CsvRows):
            whole.delimiter = source.delimiter
        if not spec.list_separator:
            whole.list_separator = "|" if whole.delimiter == ";" else ";"
        return whole
    finally:
        source.close()
