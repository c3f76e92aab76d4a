"""The owner's end of a reading: starts the process, takes its frames, acknowledges them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from typing import Any

from cdp.bulk.v1 import bulk_pb2 as pb
from core.errors import CdpError, Code, invalid
from core.events.schema_changes import Want
from services.ingest.bulk.door_rules import DoorRules
from services.ingest.bulk.frames import EntryFrame, ReadJob, wants_from

_MODULE = "services.ingest.bulk.read_process"
#: A line of the process; its parts are not lines.
_LINE_BYTES = 4 << 20
READER_DIED = "READER_DIED"

#: What comes of a reading: entries, names to be learned, and at its end what was found.
Said = EntryFrame | tuple[Want, ...] | pb.Preview


class Reading:
    """A process that reads. Each EntryFrame is acknowledged, each request for names answered with `learned`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._version: object = None

    async def begin(self, job: ReadJob, rules: DoorRules) -> None:
        """Say what to read."""
        self._version = rules.version
        await self._tell({"job": asdict(job), **rules.line()})

    async def said(self) -> AsyncIterator[Said]:
        """All frames; a Preview is the last. Raises INVALID with the reason why the file cannot be read, INTERNAL /
        READER_DIED when the process ended without a word."""
        assert self._process.stdout is not None, "it is a pipe"
        out = self._process.stdout
        while line := await out.readline():
            head: Mapping[str, Any] = json.loads(line)
            parts = [await out.readexactly(size) for size in head["parts"]]
            if "entry" in head:
                yield EntryFrame.decode(head, parts)
            elif "wants" in head:
                yield wants_from(head)
            elif "refused" in head:
                raise invalid(head["refused"]["reason"], head["refused"]["message"])
            else:
                yield pb.Preview.FromString(parts[0])
                return
        raise _died(await self._process.wait())

    async def acknowledge(self, rules: DoorRules) -> None:
        """An entry was taken; the rules go along where they are others than the last."""
        known = rules.version == self._version
        self._version = rules.version
        await self._tell({"ack": 1} if known else {"ack": 1, **rules.line()})

    async def learned(self, rules: DoorRules) -> None:
        """The rules, with a schema that knows the names."""
        self._version = rules.version
        await self._tell({"learned": True, **rules.line()})

    async def _tell(self, line: Mapping[str, object]) -> None:
        assert self._process.stdin is not None, "it is a pipe"
        try:
            self._process.stdin.write(json.dumps(line).encode() + b"\n")
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError) as error:
            # Its last words may still stand in the pipe; without any, `said` tells that it died.
            if self._process.returncode not in (None, 0):
                raise _died(self._process.returncode) from error


@asynccontextmanager
async def reading_aside() -> AsyncIterator[Reading]:
    """A process that is ended with the context, whatever it does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        _MODULE,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LINE_BYTES,
    )
    try:
        yield Reading(process)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):  # it may end between the two lines
                process.kill()
            await process.wait()


def _died(code: int | None) -> CdpError:
    return CdpError(Code.INTERNAL, READER_DIED, f"the process that read the file ended with {code}")
