"""The whole platform in a test: all roles in one process, or each in a host of its own, on a memory log and a manual
clock. Calls between services are real gRPC over loopback; ports are chosen free."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType

import grpc

from core.clock import ManualClock
from core.eventlog.memory import MemoryLog
from core.eventlog.protocol import EventLog
from services.__main__ import BUILDS, development_key
from services.runtime.host import Host
from services.runtime.roles import ALL_ROLES, Role
from services.runtime.server_process import free_port
from services.runtime.settings import ADDRESS_KEYS, Settings
from services.runtime.waiter import LoopWaiter

TOGETHER: tuple[tuple[Role, ...], ...] = (ALL_ROLES,)
APART: tuple[tuple[Role, ...], ...] = tuple((role,) for role in ALL_ROLES)


class Platform:
    """Hosts of an arrangement. Use `async with`; then `key`, `channel` and `http_url` open it as a client would."""

    def __init__(
        self,
        data_dir: Path,
        clock: ManualClock,
        arrangement: tuple[tuple[Role, ...], ...] = TOGETHER,
        extra: Mapping[str, str] | None = None,
        log: EventLog | None = None,
    ) -> None:
        self.clock = clock
        self.log = log or MemoryLog(clock, LoopWaiter())
        self.key = ""
        self._data_dir = data_dir
        self._extra = dict(extra or {})
        self._ports = {roles: (free_port(), free_port()) for roles in arrangement}
        self._hosts: dict[tuple[Role, ...], Host] = {}
        self._channel: grpc.aio.Channel | None = None

    def _settings(self, roles: tuple[Role, ...]) -> Settings:
        grpc_port, http_port = self._ports[roles]
        environment = {
            "CDP_ROLES": ",".join(roles),
            "CDP_GRPC_PORT": str(grpc_port),
            "CDP_HTTP_PORT": str(http_port),
            "CDP_DATA_DIR": str(self._data_dir),
            "CDP_DRAIN_S": "0.05",
            "CDP_TICK_INTERVAL_S": "0.02",
            "CDP_SNAPSHOT_INTERVAL_S": "0.5",
            "CDP_LEASE_TTL_S": "5",
            "CDP_PUBLIC_URL": f"http://127.0.0.1:{self._http_port(Role.CHANNEL)}",
            **{ADDRESS_KEYS[role]: f"127.0.0.1:{ports[0]}" for held, ports in self._ports.items() for role in held},
            **self._extra,
        }
        return Settings.from_environment(environment)

    def _http_port(self, role: Role) -> int:
        return next(ports[1] for roles, ports in self._ports.items() if role in roles)

    def http_url(self, role: Role) -> str:
        """Where the HTTP routes of `role` answer."""
        return f"http://127.0.0.1:{self._http_port(role)}"

    def address(self, role: Role) -> str:
        """Where the gRPC services of `role` answer."""
        return f"127.0.0.1:{next(ports[0] for roles, ports in self._ports.items() if role in roles)}"

    def host(self, role: Role) -> Host:
        """The host that plays `role`."""
        return next(host for roles, host in self._hosts.items() if role in roles)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Metadata of a client's call."""
        return (("authorization", f"Bearer {self.key}"),)

    async def start(self, roles: tuple[Role, ...]) -> None:
        """Start (again) the host of these roles."""
        host = Host(self._settings(roles), self.clock, self.log, BUILDS)
        self._hosts[roles] = host
        await host.start()
        if Role.INGEST in roles:
            key = await development_key(host)
            assert key is not None
            self.key = key

    async def stop(self, roles: tuple[Role, ...]) -> None:
        """Stop the host of these roles; its log and data stay."""
        await self._hosts.pop(roles).stop()

    async def __aenter__(self) -> Platform:
        for roles in self._ports:
            await self.start(roles)
        for host in self._hosts.values():
            await host.wait_ready(20.0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for roles in tuple(self._hosts):
            await self.stop(roles)
        await self.log.close()

    @asynccontextmanager
    async def channel(self, role: Role) -> AsyncIterator[grpc.aio.Channel]:
        """A client's channel to the services of `role`."""
        async with grpc.aio.insecure_channel(self.address(role)) as channel:
            yield channel


async def eventually(holds: Callable[[], Awaitable[bool]], what: str, within_s: float = 20.0) -> None:
    """Wait until `holds()`; fail with `what` after the time."""
    deadline_s = asyncio.get_running_loop().time() + within_s
    while not await holds():
        assert asyncio.get_running_loop().time() < deadline_s, f"not within {within_s} s: {what}"
        await asyncio.sleep(0.02)
