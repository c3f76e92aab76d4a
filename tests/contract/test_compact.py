"""What was trimmed or deleted leaves no byte behind, in any log; the real server's files are searched."""

from __future__ import annotations

import asyncio
from pathlib import Path

from core.eventlog.protocol import Commit, TableWrite
from services.runtime.redis_log import RedisLog
from tests.contract.subject import Subject
from tests.servers import start_valkey

NOW_US = 1_700_000_000_000_000


async def test_compact_changes_nothing_that_is_kept(subject: Subject) -> None:
    partition = subject.partition()
    fence = await subject.fence(partition)
    put = [TableWrite("t", put={b"k": b"v"})]
    await subject.log.commit(partition, fence, Commit("s", 1, [b"%d" % n for n in range(1, 11)], put, NOW_US))
    await subject.log.trim(partition, 4)
    assert await subject.log.compact(partition)
    assert await subject.log.bounds(partition) == (4, 10)
    assert [one.payload for one in await subject.log.read(partition, 3, 100, 1 << 20)] == [
        b"%d" % n for n in range(4, 11)
    ]
    await subject.log.trim(partition, 99)
    assert await subject.log.compact(partition)
    assert await subject.log.bounds(partition) == (11, 10)
    assert (await subject.log.append(partition, [b"next"], NOW_US)).last == 11
    assert [one.payload for one in await subject.log.read(partition, 10, 5, 1 << 20)] == [b"next"]
    assert await subject.log.get(partition, "t", [b"k"]) == [b"v"]


async def test_no_byte_of_what_was_trimmed_is_in_the_servers_files(tmp_path: Path) -> None:
    server = start_valkey(tmp_path)
    log = await RedisLog.connect(server.url)
    try:
        other = Subject(log, log, _no_wait, 1.0, real=True)
        partition = other.partition()
        fence = await other.fence(partition)
        outputs = [b"kept", b"SENTINEL-entry", b"kept as well"]
        put = [TableWrite("t", put={b"a": b"SENTINEL-row", b"b": b"kept row"})]
        await log.commit(partition, fence, Commit("s", 1, outputs, put, NOW_US))
        assert _count(tmp_path, b"SENTINEL") > 0
        await log.commit(partition, fence, Commit(None, None, (), [TableWrite("t", delete=[b"a"])], NOW_US))
        await log.trim(partition, 3)
        assert await log.compact(partition)
        deadline_s = asyncio.get_running_loop().time() + 10  # the server removes its former file in the background
        while _count(tmp_path, b"SENTINEL") and asyncio.get_running_loop().time() < deadline_s:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        assert _count(tmp_path, b"SENTINEL") == 0
        assert _count(tmp_path, b"kept as well") > 0
        assert await log.get(partition, "t", [b"b"]) == [b"kept row"]
    finally:
        await log.close()
        server.stop()


async def test_many_may_compact_at_once(tmp_path: Path) -> None:
    server = start_valkey(tmp_path)
    log = await RedisLog.connect(server.url)
    try:
        some = Subject(log, log, _no_wait, 1.0, real=True)
        partitions = [some.partition() for _ in range(8)]
        for partition in partitions:
            await log.append(partition, [b"entry"], NOW_US)
        assert await asyncio.gather(*(log.compact(partition) for partition in partitions)) == [True] * 8
    finally:
        await log.close()
        server.stop()


async def _no_wait(lease: str) -> None:
    raise AssertionError(f"nobody waits for {lease} here")


def _count(folder: Path, what: bytes) -> int:
    return sum(path.read_bytes().count(what) for path in folder.rglob("*") if path.is_file())
