"""The staging of a run as a process of its own: what it is told, and what it answers.

Reading a million items keeps an interpreter busy for half a minute; the process that serves calls must not be that one,
and what a hostile file does to a parser stays outside of it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass

from core.errors import CdpError, Code, invalid
from services.ingest.feeds.staging import Tally

_MODULE = "services.ingest.feeds.stage_process"
#: A line of the process, its messages included.
_LINE_BYTES = 1 << 20
STAGING_DIED = "STAGING_DIED"


@dataclass(frozen=True, slots=True)
class StageJob:
    """One staging: where the file and the store lie, how to read it, and by which rules. `home` is the workspace's
    currency, `rates` are (currency, from, scaled) of those in force at `now_us`. `told_before`: an earlier run told
    products; `same_currency`: what it told was in `home`, too."""

    file: str
    store: str
    run: int
    format: int
    encoding: str
    delimiter: str
    columns: dict[str, str]
    limit_bytes: int
    maximum_items: int
    now_us: int
    currency: str
    low_stock: int
    zone: str
    told_before: bool
    same_currency: bool
    partial: bool
    home: str
    rates: list[tuple[str, int, int]]


@dataclass(frozen=True, slots=True)
class StageProgress:
    """How far the process is."""

    tally: Tally
    bytes_read: int
    bytes_total: int


def progress_line(progress: StageProgress) -> str:
    """One line of the process's answer."""
    return json.dumps({"progress": asdict(progress)})


def refusal_line(error: CdpError) -> str:
    """The last line of a process that could not read the file."""
    return json.dumps({"refused": {"reason": error.reason, "message": error.message}})


DONE_LINE = json.dumps({"done": True})


async def stage_aside(job: StageJob, progress: Callable[[StageProgress], None]) -> StageProgress:
    """Run the job in a process; its last progress once all is staged. Raises INVALID with the reason why the file
    cannot be imported, INTERNAL / STAGING_DIED when the process ended without a word. Cancelled, it kills the process.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        _MODULE,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LINE_BYTES,
    )
    assert process.stdin is not None and process.stdout is not None, "both are pipes"
    latest = StageProgress(Tally(), 0, 0)
    try:
        process.stdin.write(json.dumps(asdict(job)).encode() + b"\n")
        await process.stdin.drain()
        process.stdin.close()
        while line := await process.stdout.readline():
            told = json.loads(line)
            if "refused" in told:
                raise invalid(told["refused"]["reason"], told["refused"]["message"])
            if "done" in told:
                return latest
            found = told["progress"]
            latest = StageProgress(Tally(**found["tally"]), found["bytes_read"], found["bytes_total"])
            progress(latest)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise CdpError(Code.INTERNAL, STAGING_DIED, "the process that reads the file ended at once") from error
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):  # it may end between the two lines
                process.kill()
            await process.wait()
    raise CdpError(Code.INTERNAL, STAGING_DIED, f"the process that read the file ended with {process.returncode}")
