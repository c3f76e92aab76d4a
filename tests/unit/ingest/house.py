"""The ingest service alone, in this process: real gRPC and HTTP on free ports, a memory log, a manual clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import httpx2

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2_grpc
from cdp.workspace.v1 import workspace_pb2_grpc
from core.clock import Clock, ManualClock
from core.eventlog.memory import MemoryLog
from core.eventlog.protocol import EventLog, Partition
from core.events.columns import Event, EventColumns
from core.workspace import bucket_of
from services.ingest.app import build, ensure_development_key
from services.runtime.facts import columns_from_proto
from services.runtime.host import Host
from services.runtime.roles import ALL_ROLES, Role
from services.runtime.settings import ADDRESS_KEYS, Settings
from services.runtime.waiter import LoopWaiter

NOW_US = int(datetime(2026, 11, 1, 12, tzinfo=UTC).timestamp()) * 1_000_000
DEV = Partition("ingest", "dev", bucket_of("dev"))


@dataclass(frozen=True, slots=True)
class House:
    """A running ingest with an open client of each door."""

    host: Host
    log: EventLog
    clock: Any
    key: str
    channel: grpc.aio.Channel
    http: httpx2.AsyncClient

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Metadata of a call with the development key."""
        return (("authorization", f"Bearer {self.key}"),)

    @property
    def internal(self) -> tuple[tuple[str, str], ...]:
        """Metadata of a call of a service."""
        return self.host.runtime.stubs.internal_metadata("dev")

    @property
    def ingest(self) -> ingest_pb2_grpc.IngestServiceStub:
        """IngestService."""
        return ingest_pb2_grpc.IngestServiceStub(self.channel)

    @property
    def workspaces(self) -> workspace_pb2_grpc.WorkspaceServiceStub:
        """WorkspaceService."""
        return workspace_pb2_grpc.WorkspaceServiceStub(self.channel)

    @property
    def keys(self) -> workspace_pb2_grpc.KeyServiceStub:
        """KeyService."""
        return workspace_pb2_grpc.KeyServiceStub(self.channel)

    async def post(self, path: str, document: Any, **headers: str) -> httpx2.Response:
        """POST a JSON document with the development key."""
        return await self.http.post(path, json=document, auth=(self.key, ""), headers=headers)

    async def batches(self) -> list[facts_pb2.AcceptedBatch]:
        """All entries of workspace dev's log."""
        entries = await self.log.read(DEV, 0, 10_000, 1 << 30)
        return [facts_pb2.AcceptedBatch.FromString(entry.payload) for entry in entries]

    async def columns(self) -> list[EventColumns]:
        """The events of each entry."""
        return [columns_from_proto(batch.events) for batch in await self.batches()]

    async def events(self) -> list[Event]:
        """All accepted events."""
        return [event for columns in await self.columns() for event in columns.rows()]

    async def facts(self) -> list[facts_pb2.AcceptedFact]:
        """All accepted facts that are no events."""
        return [fact for batch in await self.batches() for fact in batch.facts]


def settings(data_dir: Path, extra: Mapping[str, str] | None = None) -> Settings:
    """Settings of a process that plays ingest only."""
    peers = {ADDRESS_KEYS[role]: "127.0.0.1:1" for role in ALL_ROLES if role is not Role.INGEST}
    return Settings.from_environment(
        {
            "CDP_ROLES": "ingest",
            "CDP_GRPC_PORT": "0",
            "CDP_HTTP_PORT": "0",
            "CDP_DATA_DIR": str(data_dir),
            "CDP_DRAIN_S": "0.05",
            **peers,
            **(extra or {}),
        }
    )


@asynccontextmanager
async def running(
    data_dir: Path, log: EventLog | None = None, clock: Clock | None = None, extra: Mapping[str, str] | None = None
) -> AsyncIterator[House]:
    """Start ingest with a development key; end it afterwards. A given log stays open. `extra` are further settings."""
    time = clock or ManualClock(NOW_US)
    own = log or MemoryLog(time, LoopWaiter())
    host = Host(settings(data_dir, extra), time, own, {Role.INGEST: build})
    await host.start()
    try:
        key = await ensure_development_key(host.runtime, host.service(Role.INGEST))
        assert key is not None
        await host.wait_ready(10.0)
        await eventually(lambda: len(host.runtime.workspaces.all()) > 0)
        async with (
            grpc.aio.insecure_channel(host.runtime.owner) as channel,
            httpx2.AsyncClient(base_url=f"http://127.0.0.1:{host.http_port}") as http,
        ):
            yield House(host, own, time, key, channel, http)
    finally:
        await host.stop()
        if log is None:
            await own.close()


async def eventually(holds: Callable[[], bool], within_s: float = 10.0) -> None:
    """Return once `holds()`; TimeoutError after `within_s`."""
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110 - what is watched has no event to wait for
            await asyncio.sleep(0.005)
