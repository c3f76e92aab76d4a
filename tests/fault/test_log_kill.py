"""The log's server killed in the middle of writes, and its file cut: what was acknowledged is there, in order."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import CdpError, Code
from core.eventlog.protocol import Commit, EventLog, Fence, Partition, TableWrite
from services.runtime.redis_lane import Confirmation
from services.runtime.redis_log import RedisLog
from services.runtime.server_process import Fsync
from tests.servers import start_valkey

NOW_US = 1_700_000_000_000_000
MANY = 1_000_000_000
PARTITIONS = [Partition("ingest", f"ws{number}", number) for number in range(3)]
FOLD = Partition("profile_unification", "ws", 9)


class Ledger:
    """Everything that was acknowledged, over all kills."""

    def __init__(self) -> None:
        self.appended: dict[tuple[Partition, int], bytes] = {}
        self.sent: set[bytes] = set()
        self.unknown = 0
        self.folded = 0
        self._goal, self._reached = 0, asyncio.Event()

    async def reaches(self, goal: int) -> None:
        """Return once `goal` payloads were acknowledged."""
        self._goal, self._reached = goal, asyncio.Event()
        await self._reached.wait()

    async def append(self, log: EventLog, writer: str, stop: Callable[[], bool]) -> None:
        """Write one batch after the other until the server is gone."""
        number = 0
        while not stop():
            partition = PARTITIONS[number % len(PARTITIONS)]
            number += 1
            payloads = [f"{writer}:{number}:{part}".encode() for part in range(1 + number % 3)]
            self.sent.update(payloads)
            try:
                done = await log.append(partition, payloads, NOW_US)
            except CdpError as error:
                assert (error.code, error.reason) == (Code.UNAVAILABLE, "LOG_UNAVAILABLE")
                self.unknown += 1
                return
            for part, payload in enumerate(payloads):
                self.appended[partition, done.last - len(payloads) + 1 + part] = payload
            if len(self.appended) >= self._goal:
                self._reached.set()

    async def fold(self, log: EventLog, fence: Fence, stop: Callable[[], bool]) -> None:
        """Commit one step after the other, beginning again at the last one that may be lost."""
        while not stop():
            number = self.folded + 1
            try:
                await log.commit(FOLD, fence, step(number))
            except CdpError as error:
                assert error.reason == "LOG_UNAVAILABLE"
                return
            self.folded = number

    async def check(self, log: EventLog) -> None:
        """All that was acknowledged is where it was said to be; nothing was made up; state and stream agree."""
        for partition in PARTITIONS:
            entries = await log.read(partition, 0, MANY, MANY)
            assert [entry.position for entry in entries] == list(range(1, len(entries) + 1))
            there = {entry.position: entry.payload for entry in entries}
            for (of, position), payload in self.appended.items():
                if of == partition:
                    assert there[position] == payload
            assert set(there.values()) <= self.sent
        assert await check_fold(log) in (self.folded, self.folded + 1)  # one commit's reply may have been lost


def step(number: int) -> Commit:
    """The fold's step `number`: one output, a counter, a row, the position."""
    text = b"%d" % number
    writes = [TableWrite("t", put={b"count": text, b"row:" + text: b"x" * (number % 50)})]
    return Commit("ingest", number, [b"out:" + text], writes, NOW_US)


async def check_fold(log: EventLog) -> int:
    """How many steps the partition holds; its stream, its table and its position must all say the same."""
    _, last = await log.bounds(FOLD)
    assert await log.source_position(FOLD, "ingest") == last
    [count] = await log.get(FOLD, "t", [b"count"])
    assert int(count or 0) == last
    rows = {key: value async for key, value in log.scan(FOLD, "t") if key != b"count"}
    assert rows == {b"row:%d" % number: b"x" * (number % 50) for number in range(1, last + 1)}
    outputs = [entry.payload for entry in await log.read(FOLD, 0, MANY, MANY)]
    assert outputs == [b"out:%d" % number for number in range(1, last + 1)]
    return last


@pytest.mark.parametrize(
    ("fsync", "kills"),
    [
        ("always", 5),
        ("everysec", 2),
        pytest.param("always", 50, marks=pytest.mark.fault),
        pytest.param("everysec", 50, marks=pytest.mark.fault),
    ],
)
async def test_nothing_acknowledged_is_lost_by_a_kill(tmp_path: Path, fsync: Fsync, kills: int) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    server = start_valkey(tmp_path, fsync)
    # With everysec the reply alone says nothing of the file: the acknowledgement waits for the disk.
    log = await RedisLog.connect(server.url, confirmation=Confirmation(fsync=fsync == "everysec"))
    ledger = Ledger()
    fence = await log.acquire("profile_unification:9", "a#1", 3600.0)
    assert fence is not None
    for kill in range(kills):
        goal = len(ledger.appended) + dice.randrange(50, 600)
        killed = asyncio.Event()
        tasks = [asyncio.create_task(ledger.fold(log, fence, killed.is_set))]
        tasks += [asyncio.create_task(ledger.append(log, f"{kill}.{writer}", killed.is_set)) for writer in range(8)]
        async with asyncio.timeout(60):
            await ledger.reaches(goal)
        server.kill()  # in the middle: commands are on their way
        killed.set()
        async with asyncio.timeout(10):
            await asyncio.gather(*tasks)
        server.start()
        await ledger.check(log)  # through the same object: it connects anew by itself
    assert ledger.unknown >= kills  # the kills did fall into writes
    print(f"{len(ledger.appended)} appended, {ledger.folded} folded, {ledger.unknown} unknown, {kills} kills")
    await log.close()
    server.stop()


@pytest.mark.parametrize("cuts", [8, pytest.param(60, marks=pytest.mark.fault)])
async def test_a_cut_file_holds_a_prefix(tmp_path: Path, cuts: int) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    server = start_valkey(tmp_path / "whole")
    log = await RedisLog.connect(server.url)
    fence = await log.acquire("profile_unification:9", "a#1", 3600.0)
    assert fence is not None
    for number in range(1, 201):
        await log.commit(FOLD, fence, step(number))
    await log.close()
    server.kill()
    [file] = (tmp_path / "whole").glob("appendonlydir/*.incr.aof")
    size_bytes = file.stat().st_size
    for number, offset in enumerate([1, 2, *(dice.randrange(size_bytes) for _ in range(cuts - 2))]):
        folder = tmp_path / f"cut{number}"
        shutil.copytree(tmp_path / "whole", folder)
        with (folder / "appendonlydir" / file.name).open("r+b") as cut:
            cut.truncate(size_bytes - offset)
        after = start_valkey(folder)
        reopened = await RedisLog.connect(after.url)
        there = await check_fold(reopened)
        assert 200 * (1 - offset / size_bytes) - 2 <= there + 20  # no more is gone than was cut off
        assert there < 200
        # It goes on from there, and positions stay dense.
        fence = await reopened.acquire("profile_unification:9", "a#1", 3600.0)
        assert fence is not None
        await reopened.commit(FOLD, fence, step(there + 1))
        assert await check_fold(reopened) == there + 1
        await reopened.close()
        after.stop()
