"""The log without set-up: started beside the data, joined by a second process, gone with a killed parent."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import CdpError, Code
from core.eventlog.protocol import Partition
from services.runtime.disk_brake import DiskBrake
from services.runtime.embedded_log import EmbeddedServer, open_log
from services.runtime.redis_log import RedisLog
from tests.servers import eventually, start_valkey

NOW_US = 1_700_000_000_000_000
WS = Partition("ingest", "ws", 17)

_PARENT = """
import asyncio, sys
from pathlib import Path
from core.eventlog.protocol import Partition
from services.runtime.disk_brake import DiskBrake
from services.runtime.embedded_log import open_log

async def main():
    log, server = await open_log(None, Path(sys.argv[1]))
    await log.append(Partition("ingest", "ws", 17), [b"of the parent"], 1)
    print(server.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def started(data: Path) -> tuple[RedisLog, EmbeddedServer]:
    """A log whose server this test owns."""
    log, server = await open_log(None, data)
    assert server is not None
    return log, server


async def payloads(log: RedisLog) -> list[bytes]:
    return [entry.payload for entry in await log.read(WS, 0, 100, 10_000)]


async def test_data_stay_over_a_restart(tmp_path: Path) -> None:
    for number in range(2):
        log, server = await started(tmp_path)
        await log.append(WS, [b"%d" % number], NOW_US)
        assert await payloads(log) == [b"0", b"1"][: number + 1]
        await log.close()
        await server.close()
        await server.close()
        assert server.ended()
    for name in ("server.conf", "server.json"):  # they hold the password
        assert stat.S_IMODE((tmp_path / "log" / name).stat().st_mode) == 0o600


async def test_a_second_process_joins(tmp_path: Path) -> None:
    (log, server), (joined, nothing) = await started(tmp_path), await open_log(None, tmp_path)
    assert nothing is None
    await joined.append(WS, [b"a"], NOW_US)
    assert await payloads(log) == [b"a"]
    await joined.close()
    await log.close()
    await server.close()


async def test_two_that_start_at_once_share_one_server(tmp_path: Path) -> None:
    opened = await asyncio.gather(*(open_log(None, tmp_path) for _ in range(3)))
    assert sum(server is not None for _, server in opened) == 1
    for number, (log, _) in enumerate(opened):
        assert (await log.append(WS, [b"a"], NOW_US)).last == number + 1
    for log, _ in opened:
        await log.close()
    for _, server in opened:
        if server is not None:
            await server.close()


async def test_a_killed_server_comes_back(tmp_path: Path) -> None:
    log, server = await started(tmp_path)
    await log.append(WS, [b"a"], NOW_US)
    os.kill(server.pid, signal.SIGKILL)
    async with asyncio.timeout(10):
        while True:
            try:
                await log.append(WS, [b"b"], NOW_US)
                break
            except CdpError as error:
                assert error.reason == "LOG_UNAVAILABLE"
                await asyncio.sleep(0.02)
    assert await payloads(log) == [b"a", b"b"]
    await log.close()
    await server.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
async def test_a_killed_parent_takes_the_server_along(tmp_path: Path) -> None:
    parent = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", _PARENT, str(tmp_path)], stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await asyncio.to_thread(parent.stdout.readline))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    await asyncio.to_thread(eventually, lambda: not _lives(pid), 10.0)
    log, server = await started(tmp_path)
    assert await payloads(log) == [b"of the parent"]
    await log.close()
    await server.close()


async def test_a_named_server_wins(tmp_path: Path) -> None:
    named = start_valkey(tmp_path / "named")
    log, server = await open_log(named.url, tmp_path / "data")
    assert server is None
    assert not (tmp_path / "data").exists()
    await log.close()
    named.stop()


async def test_a_short_disk_stops_writes_only(tmp_path: Path) -> None:
    log, server = await started(tmp_path)
    fence = await log.acquire("ingest:17", "a#1", 60.0)
    assert (await log.append(WS, [b"a", b"b"], NOW_US)).last == 2
    brake = DiskBrake(server.url, keep_free_bytes=1000)
    for _ in range(2):
        await brake.check(free_bytes=999)
        with pytest.raises(CdpError) as refused:
            await log.append(WS, [b"c"], NOW_US)
        assert (refused.value.code, refused.value.reason) == (Code.EXHAUSTED, "LOG_FULL")
    assert await payloads(log) == [b"a", b"b"]
    assert await log.acquire("ingest:17", "a#1", 60.0) == fence
    assert await log.trim(WS, 2) == 1
    await brake.check(free_bytes=1000)
    assert (await log.append(WS, [b"c"], NOW_US)).last == 3
    await brake.close()
    await log.close()
    await server.close()


async def test_the_disk_is_watched(tmp_path: Path) -> None:
    log, server = await open_log(None, tmp_path, keep_free_bytes=1 << 60)  # more than any disk has
    assert server is not None
    async with asyncio.timeout(10):
        while True:
            try:
                await log.append(WS, [b"a"], NOW_US)
            except CdpError as error:
                assert error.reason == "LOG_FULL"
                break
    await log.close()
    await server.close()


async def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    log, server = await started(tmp_path)
    for _ in range(50):
        await log.append(WS, [b"x" * 100], NOW_US)
    await log.close()
    await server.close()
    [file] = (tmp_path / "log").glob("appendonlydir/*.incr.aof")
    data = bytearray(file.read_bytes())
    data[2000:2100] = b"#" * 100
    file.write_bytes(data)
    with pytest.raises(CdpError) as refused:
        await open_log(None, tmp_path)
    assert refused.value.reason == "LOG_SERVER_FAILED"
    assert "Bad file format" in refused.value.message


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False
