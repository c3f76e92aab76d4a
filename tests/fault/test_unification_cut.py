"""A power loss: the log server's file is cut anywhere, and what unification holds is the fold of a prefix."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from random import Random

import pytest

from core.clock import ManualClock
from core.eventlog.memory import MemoryLog
from core.eventlog.protocol import EventLog
from services.runtime.redis_log import RedisLog
from services.runtime.waiter import LoopWaiter
from tests.fault.test_unification_kill import Digest, _digest, _payloads
from tests.fault.unification_child import fold_all
from tests.flow.unification_house import OWN, UPSTREAM
from tests.servers import start_valkey
from tests.unit.profile.people import T


@pytest.mark.slow
@pytest.mark.parametrize("cuts", [6, pytest.param(60, marks=pytest.mark.fault)])
async def test_a_cut_file_holds_the_fold_of_a_prefix(tmp_path: Path, cuts: int) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = Random(seed)
    payloads = _payloads(rng)
    expected = await _after_each(payloads, tmp_path)
    file, size_bytes = await _folded(payloads, tmp_path)
    met = set()
    for number, offset in enumerate([1, 2, *(rng.randrange(1, size_bytes) for _ in range(cuts - 2))]):
        folder = tmp_path / f"cut{number}"
        shutil.copytree(tmp_path / "whole", folder)
        with (folder / file).open("r+b") as cut:
            cut.truncate(size_bytes - offset)
        server = start_valkey(folder)
        log = await RedisLog.connect(server.url)
        kept = [entry.payload for entry in await log.read(UPSTREAM, 0, 10_000, 1 << 30)]
        assert kept == payloads[: len(kept)]
        position = await log.source_position(OWN, "ingest")
        assert position <= len(kept)
        assert await _digest(log) == expected[position], f"{offset} bytes cut off"
        met.add(position)
        # What was lost is sent again, as a client does who got no answer; and all is as if nothing had happened.
        if len(kept) < len(payloads):
            await log.append(UPSTREAM, payloads[len(kept) :], T)
        await fold_all(log, str(tmp_path), 2)
        assert await _digest(log) == expected[-1]
        await log.close()
        server.stop()
    print(f"prefixes of {sorted(met)} of {len(payloads)} entries")
    assert len(met) > 1


async def _after_each(payloads: list[bytes], folder: Path) -> list[Digest]:
    """What is held after each number of entries, from none to all."""
    log = MemoryLog(ManualClock(T), LoopWaiter())
    held = [await _digest(log)]
    for payload in payloads:
        await log.append(UPSTREAM, [payload], T)
        await fold_all(log, str(folder), 1)
        held.append(await _digest(log))
    return held


async def _folded(payloads: list[bytes], folder: Path) -> tuple[str, int]:
    """Log and fold entry by entry on a real server, which is killed; its file below its folder, and the file's size."""
    server = start_valkey(folder / "whole")
    log: EventLog = await RedisLog.connect(server.url)
    for payload in payloads:
        await log.append(UPSTREAM, [payload], T)
        await fold_all(log, str(folder), 1)
    await log.close()
    server.kill()
    [file] = (folder / "whole").glob("appendonlydir/*.incr.aof")
    return str(file.relative_to(folder / "whole")), file.stat().st_size
