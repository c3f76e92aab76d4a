"""The logs under contract: memory, a real server and a real cluster of three masters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from core.clock import SECOND_US, ManualClock
from core.eventlog.memory import MemoryLog
from services.runtime.redis_log import RedisLog
from services.runtime.waiter import LoopWaiter
from tests.contract.neighbours import two as two
from tests.contract.subject import Subject
from tests.servers import ValkeyCluster, ValkeyServer, start_cluster, start_valkey


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """One real server for the session, fsync on every write; tests use fresh workspaces."""
    server = start_valkey(tmp_path_factory.mktemp("valkey"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyCluster]:
    """One real cluster for the session."""
    servers = start_cluster(tmp_path_factory.mktemp("cluster"))
    yield servers
    servers.stop()


@pytest.fixture(params=["memory", "valkey", "cluster"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    """The log under contract, three times."""
    if request.param == "memory":
        clock = ManualClock(1_700_000_000 * SECOND_US)
        memory = MemoryLog(clock, LoopWaiter())

        async def advance(lease: str) -> None:
            clock.advance(SECOND_US)

        yield Subject(memory, memory, advance, 1.0, real=False)
        await memory.close()
        return
    url: str = request.getfixturevalue(request.param).url
    log, again = await RedisLog.connect(url), await RedisLog.connect(url)

    async def nobody(lease: str) -> None:
        deadline_s = asyncio.get_running_loop().time() + 5
        while await log.owner(lease) is not None:
            assert asyncio.get_running_loop().time() < deadline_s

    yield Subject(log, again, nobody, 0.2, real=True)
    await log.close()
    await again.close()
