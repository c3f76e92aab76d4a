"""What the log's state keeps of a workspace's imports. Each change is one fenced commit."""

from __future__ import annotations

import asyncio

from core.clock import Clock
from core.errors import not_found
from core.eventlog.protocol import Commit, EventLog, Fence, Partition, TableWrite
from services.ingest.bulk.run import UNDER_WAY, ImportRun, ImportState
from services.runtime.pages import number_of, page_entries

#: Table of imports: number -> ImportRun.
IMPORTS = "imports"
_KEPT = 200


class ImportBooks:
    """The owner's memory of it."""

    def __init__(self, log: EventLog, clock: Clock, partition: Partition, fence: Fence) -> None:
        self._log = log
        self._clock = clock
        self._partition = partition
        self._fence = fence
        self._runs: dict[int, ImportRun] = {}
        self._moved = asyncio.Event()

    @staticmethod
    async def load(log: EventLog, clock: Clock, partition: Partition, fence: Fence) -> ImportBooks:
        """Read what is kept."""
        self = ImportBooks(log, clock, partition, fence)
        found = [ImportRun.decode(value) async for _, value in log.scan(partition, IMPORTS)]
        self._runs = {run.number: run for run in sorted(found, key=lambda run: run.number)}
        return self

    def next_number(self) -> int:
        """Of the next import."""
        return next(reversed(self._runs), 0) + 1

    def run(self, number: int) -> ImportRun:
        """An import. Raises NOT_FOUND / NO_SUCH_IMPORT."""
        found = self._runs.get(number)
        if found is None:
            raise not_found("NO_SUCH_IMPORT", f"there is no import {number}")
        return found

    def all(self) -> list[ImportRun]:
        """Every import that is remembered, oldest first."""
        return list(self._runs.values())

    def under_way(self) -> list[ImportRun]:
        """Those that have not ended, oldest first."""
        return [run for run in self._runs.values() if run.state in UNDER_WAY]

    def requested(self, request_id: str) -> ImportRun | None:
        """The import that a request began before."""
        if not request_id:
            return None
        return next((run for run in self._runs.values() if run.request_id == request_id), None)

    def same(self, run: ImportRun) -> ImportRun | None:
        """An earlier import that accepted all rows of the same file in the same way."""
        for one in self._runs.values():
            alike = (one.digest, one.spec, one.dry_run) == (run.digest, run.spec, False)
            if alike and one.number != run.number and one.state is ImportState.DONE and not one.rejected:
                return one
        return None

    def page(self, page_size: int, page_token: str) -> tuple[list[ImportRun], str]:
        """A page of imports, newest first, and the token of the next. Raises INVALID / BAD_PAGE_TOKEN."""
        before = number_of(page_token) if page_token else 2**63
        rest = [run for run in reversed(self._runs.values()) if run.number < before]
        page = rest[: page_entries(page_size)]
        return page, str(page[-1].number) if len(page) < len(rest) else ""

    async def wait(self, number: int, timeout_s: float) -> ImportRun:
        """The import once it has ended, or after the time. Raises NOT_FOUND."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.run(number).state in UNDER_WAY:
                    await self._moved.wait()
        except TimeoutError:
            pass
        return self.run(number)

    def show(self, run: ImportRun) -> None:
        """Take over how far an import is, without keeping it."""
        self._runs[run.number] = run

    async def keep(self, run: ImportRun) -> list[int]:
        """Keep an import as it is now; the numbers of the oldest that are forgotten for it."""
        ended = [one.number for one in self._runs.values() if one.state not in UNDER_WAY]
        forgotten = [number for number in ended[: max(0, len(self._runs) - _KEPT)] if number != run.number]
        gone = [f"{number:010d}".encode() for number in forgotten]
        commit = Commit(None, None, [], [TableWrite(IMPORTS, {run.key: run.encode()}, gone)], self._clock.now_us())
        await self._log.commit(self._partition, self._fence, commit)
        self._runs[run.number] = run
        for number in forgotten:
            del self._runs[number]
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
        return forgotten
