"""Hosts of toy services on one memory log, each with ports of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc

from cdp.segment.v1 import segment_pb2 as pb
from cdp.segment.v1 import segment_pb2_grpc
from core.clock import SECOND_US, ManualClock
from core.errors import CdpError
from core.eventlog.memory import MemoryLog
from services.runtime.errors import from_rpc
from services.runtime.host import Build, Host
from services.runtime.roles import Role
from services.runtime.settings import ADDRESS_KEYS, Settings
from services.runtime.waiter import LoopWaiter
from tests.unit.runtime.toys import ToyEngine, ToyFeed, ToyRegistry

BUILDS: Mapping[Role, Build] = {
    Role.INGEST: ToyRegistry,
    Role.PROFILE_UNIFICATION: ToyFeed,
    Role.SEGMENT_ENGINE: ToyEngine,
}
TOKEN = "the-token-that-services-share"

T = TypeVar("T")


@dataclass(slots=True)
class House:
    """A log and what runs on it. `start` adds a host; all are stopped at the end."""

    folder: Path
    clock: ManualClock
    log: MemoryLog
    hosts: list[Host]

    def settings(self, *roles: Role, **extra: str) -> Settings:
        """Settings of a host of `roles`; ingest is the first host's unless it plays that role itself."""
        environment = {
            "CDP_ROLES": ",".join(roles),
            "CDP_GRPC_PORT": "0",
            "CDP_HTTP_PORT": "0",
            "CDP_DATA_DIR": str(self.folder),
            "CDP_INTERNAL_TOKEN": TOKEN,
            "CDP_DRAIN_S": "0.02",
            "CDP_LEASE_TTL_S": "0.3",
        }
        for role, key in ADDRESS_KEYS.items():
            if role not in roles:
                environment[key] = f"127.0.0.1:{self.hosts[0].grpc_port if self.hosts else 1}"
        return Settings.from_environment({**environment, **extra})

    def host(self, *roles: Role, **extra: str) -> Host:
        """A host that is not started."""
        return Host(self.settings(*roles, **extra), self.clock, self.log, BUILDS)

    async def start(self, *roles: Role, **extra: str) -> Host:
        """A started host."""
        host = self.host(*roles, **extra)
        await host.start()
        self.hosts.append(host)
        return host

    async def stop(self, host: Host) -> None:
        """Stop one of them now."""
        self.hosts.remove(host)
        await host.stop()

    @property
    def registry(self) -> ToyRegistry:
        """The registry of the first host."""
        return toy(self.hosts[0], ToyRegistry)


@asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    """An empty house."""
    clock = ManualClock(1_700_000_000 * SECOND_US)
    log = MemoryLog(clock, LoopWaiter())
    made = House(folder, clock, log, [])
    try:
        yield made
    finally:
        for host in reversed(made.hosts):
            await host.stop()
        await log.close()
        await asyncio.sleep(0)


def toy(host: Host, kind: type[T]) -> T:
    """The toy service of `kind` on `host`."""
    role: Role = kind.role  # type: ignore[attr-defined]
    service = host.service(role)
    assert isinstance(service, kind)
    return service


@asynccontextmanager
async def channel_to(host: Host, **options: Any) -> AsyncIterator[grpc.aio.Channel]:
    """A client's channel."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{host.grpc_port}", **options) as channel:
        yield channel


@asynccontextmanager
async def segments(host: Host) -> AsyncIterator[segment_pb2_grpc.SegmentServiceStub]:
    """A client of the toy engine."""
    async with channel_to(host) as channel:
        yield segment_pb2_grpc.SegmentServiceStub(channel)


def bearer(key: str, *more: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """Metadata of a call with `key`."""
    return (("authorization", f"Bearer {key}"), *more)


def rule(text: str) -> pb.ConvertRuleRequest:
    """What the toy obeys."""
    return pb.ConvertRuleRequest(rule=pb.RuleSource(text=text))


async def refusal(call: Awaitable[object]) -> tuple[grpc.StatusCode, CdpError]:
    """The status and the error that `call` ends with."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return error.code(), from_rpc(error)
    raise AssertionError(f"answered: {answer}")


async def until(holds: Callable[[], bool], what: str, within_s: float = 10.0) -> None:
    """Wait until `holds()`; fail with `what` after the time."""
    deadline_s = asyncio.get_running_loop().time() + within_s
    while not holds():
        assert asyncio.get_running_loop().time() < deadline_s, f"not within {within_s} s: {what}"
        await asyncio.sleep(0.005)
