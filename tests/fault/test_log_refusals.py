"""A server that is full, away, locked or without its replicas: a stable refusal, and nothing half done."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.clock import ManualClock
from core.errors import CdpError, Code
from core.eventlog.memory import MemoryLog
from core.eventlog.protocol import Commit, EventLog, Partition, TableWrite
from services.runtime.redis_lane import Confirmation
from services.runtime.redis_log import RedisLog
from services.runtime.server_process import free_port
from services.runtime.waiter import LoopWaiter
from tests.servers import start_valkey

NOW_US = 1_700_000_000_000_000
WS = Partition("ingest", "ws", 17)


async def fill(log: EventLog) -> CdpError:
    """Append until the log refuses."""
    for _ in range(10_000):
        try:
            await log.append(WS, [b"x" * 100_000], NOW_US)
        except CdpError as error:
            return error
    raise AssertionError("it never refused")


@pytest.mark.parametrize("kind", ["memory", "valkey"])
async def test_a_full_log_refuses_whole_and_recovers(tmp_path: Path, kind: str) -> None:
    server = start_valkey(tmp_path, lines=("maxmemory 12mb",)) if kind == "valkey" else None
    log: EventLog
    if server is None:
        log = MemoryLog(ManualClock(NOW_US), LoopWaiter(), limit_bytes=8_000_000)
    else:
        log = await RedisLog.connect(server.url)
    fence = await log.acquire("ingest:17", "a#1", 60.0)
    assert fence is not None
    first = Commit("s", 1, [b"first"], [TableWrite("t", put={b"k": b"1"})], NOW_US)
    await log.commit(WS, fence, first)
    refused = await fill(log)
    assert (refused.code, refused.reason) == (Code.EXHAUSTED, "LOG_FULL")
    assert refused.retry_after_s is not None
    before = await log.bounds(WS)
    # The deletes alone would be allowed: the commit must be refused whole.
    second = Commit("s", 2, [b"y" * 200_000], [TableWrite("t", put={b"k": b"2"}, drop=True)], NOW_US)
    with pytest.raises(CdpError, match="the log "):
        await log.commit(WS, fence, second)
    assert await log.bounds(WS) == before
    assert await log.get(WS, "t", [b"k"]) == [b"1"]
    assert await log.source_position(WS, "s") == 1
    # Reads go on, the owner stays the owner, and trimming makes room.
    assert (await log.read(WS, 0, 1, 1))[0].payload == b"first"
    assert await log.acquire("ingest:17", "a#1", 60.0) == fence
    assert await log.trim(WS, before[1] - 2) == before[1] - 3
    assert (await log.commit(WS, fence, second)).applied
    await log.close()
    if server is not None:
        server.stop()


async def test_a_server_that_is_away(tmp_path: Path) -> None:
    server = start_valkey(tmp_path)
    log = await RedisLog.connect(server.url)
    await log.append(WS, [b"a"], NOW_US)
    server.kill()
    for _ in range(2):
        with pytest.raises(CdpError) as refused:
            await log.read(WS, 0, 1, 1)
        assert (refused.value.code, refused.value.reason) == (Code.UNAVAILABLE, "LOG_UNAVAILABLE")
        assert refused.value.retry_after_s is not None
    server.start()
    assert [entry.payload for entry in await log.read(WS, 0, 1, 1)] == [b"a"]
    await log.close()
    server.stop()


async def test_nobody_listens() -> None:
    with pytest.raises(CdpError) as refused:
        await RedisLog.connect(f"redis://127.0.0.1:{free_port()}", ready_within_s=0.0)
    assert refused.value.reason == "LOG_UNAVAILABLE"


async def test_unfit_servers(tmp_path: Path) -> None:
    for number, line in enumerate(("appendonly no", "maxmemory-policy allkeys-lru\nmaxmemory 100mb")):
        server = start_valkey(tmp_path / str(number), lines=(line,))
        with pytest.raises(CdpError) as refused:
            await RedisLog.connect(server.url)
        assert (refused.value.code, refused.value.reason) == (Code.INVALID, "LOG_UNFIT")
        server.stop()


async def test_a_wrong_password(tmp_path: Path) -> None:
    server = start_valkey(tmp_path)
    server.client().config_set("requirepass", "secret")
    for user in ("", ":wrong@"):
        with pytest.raises(CdpError) as refused:
            await RedisLog.connect(server.url.replace("//", f"//{user}"))
        assert (refused.value.code, refused.value.reason) == (Code.UNAVAILABLE, "LOG_UNAVAILABLE")
    log = await RedisLog.connect(server.url.replace("//", "//:secret@"))
    await log.append(WS, [b"a"], NOW_US)
    await log.close()
    server.kill()


async def test_too_few_replicas_acknowledge_nothing(tmp_path: Path) -> None:
    server = start_valkey(tmp_path / "primary", lines=("repl-diskless-sync-delay 0",))
    log = await RedisLog.connect(server.url, confirmation=Confirmation(replicas=1, timeout_s=0.2))
    with pytest.raises(CdpError) as refused:
        await log.append(WS, [b"a"], NOW_US)
    assert (refused.value.code, refused.value.reason) == (Code.UNAVAILABLE, "LOG_NOT_REPLICATED")
    assert [entry.payload for entry in await log.read(WS, 0, 9, 9)] == [b"a"]  # made, yet not acknowledged
    patient = await RedisLog.connect(server.url, confirmation=Confirmation(replicas=1, timeout_s=15.0))
    replica = start_valkey(tmp_path / "replica", lines=(f"replicaof 127.0.0.1 {server.port}",))
    assert (await patient.append(WS, [b"b"], NOW_US)).last == 2
    fence = await patient.acquire("ingest:17", "a#1", 60.0)
    assert fence is not None
    step = Commit("s", 1, [b"c"], [], NOW_US)
    assert (await patient.commit(WS, fence, step)).applied
    replica.stop()
    # A replay that has nothing to do is not acknowledged either while the replica is away.
    with pytest.raises(CdpError, match="0 of 1 replicas"):
        await log.commit(WS, fence, step)
    await log.close()
    await patient.close()
    server.stop()
