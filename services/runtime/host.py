"""One process: its log, its ports, the roles it plays, from start to drain."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from core.clock import Clock
from core.errors import CdpError, Code
from core.eventlog.protocol import EventLog
from services.runtime.context import Runtime
from services.runtime.http_server import HttpServer
from services.runtime.lease import LeaseKeeper
from services.runtime.roles import Role
from services.runtime.server import GrpcServer
from services.runtime.service import Service
from services.runtime.settings import Settings
from services.runtime.stubs import Stubs
from services.runtime.telemetry import get_logger
from services.runtime.workspaces import WorkspaceDirectory

_LOG = get_logger(__name__)

Build = Callable[[Runtime], Service]


class Host:
    """Runs `settings.roles` on `log` (which the host does not close). Ports 0 are chosen free."""

    def __init__(self, settings: Settings, clock: Clock, log: EventLog, builds: Mapping[Role, Build]) -> None:
        self._settings = settings
        self._log = log
        self._clock = clock
        self._builds = builds
        self._grpc = GrpcServer(settings)
        self._http = HttpServer(settings)
        self._services: Sequence[Service] = ()
        self._directory_task: asyncio.Task[None] | None = None
        self._runtime: Runtime | None = None
        self.grpc_port = 0
        self.http_port = 0

    @property
    def runtime(self) -> Runtime:
        """The runtime of the started host."""
        assert self._runtime is not None, "start() comes first"
        return self._runtime

    def service(self, role: Role) -> Service:
        """The running service of `role`."""
        return next(service for service in self._services if service.role is role)

    def _address(self, role: Role) -> str:
        """Where `role` answers: here if this process plays it and no address was set, else as set."""
        address = self._settings.addresses.get(role)
        if address is not None:
            return address
        return f"{_reachable(self._settings.grpc_host)}:{self.grpc_port}"

    async def start(self) -> None:
        """Bind, build, answer, begin to work. Readiness comes later: see `wait_ready`."""
        settings = self._settings
        stubs = Stubs(self._address, settings.internal_token, settings.maximum_message_bytes)
        directory = WorkspaceDirectory(stubs, settings.internal_token)
        try:
            self.grpc_port = self._grpc.bind(directory)
            self.http_port = self._http.bind()
        except (RuntimeError, OSError) as error:
            raise CdpError(
                Code.CONFLICT,
                "PORT_TAKEN",
                f"cannot listen on {settings.grpc_host}:{settings.grpc_port} or "
                f"{settings.http_host}:{settings.http_port} ({error}); set CDP_GRPC_PORT or CDP_HTTP_PORT",
            ) from error
        if not settings.public_url:
            settings = replace(settings, public_url=f"http://{_reachable(settings.http_host)}:{self.http_port}")
        owner = f"{_reachable(settings.grpc_host)}:{self.grpc_port}"
        leases = LeaseKeeper(self._log, owner, settings.lease_ttl_s)
        self._runtime = Runtime(settings, self._clock, self._log, stubs, directory, leases, owner)
        self._services = [self._builds[role](self._runtime) for role in settings.roles]
        await self._grpc.start(self._services)
        self._http.start([route for service in self._services for route in service.http_routes()])
        for service in self._services:
            await service.start()
        self._directory_task = asyncio.create_task(directory.run(), name="workspace-directory")
        _LOG.info("started", roles=[str(role) for role in settings.roles], grpc=owner, http_port=self.http_port)

    async def wait_ready(self, timeout_s: float) -> None:
        """Return once every role here is ready. Raises UNAVAILABLE / NOT_READY naming those that are not."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        while waiting := [str(service.role) for service in self._services if not service.ready()]:
            if loop.time() > deadline_s:
                raise CdpError(Code.UNAVAILABLE, "NOT_READY", f"not ready after {timeout_s} s: {', '.join(waiting)}")
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """Drain calls, stop the roles in the order facts flow, give leases back. Idempotent."""
        if self._runtime is None:
            return
        await self._http.stop()
        await self._grpc.drain(self._settings.drain_s)
        for service in self._services:
            await service.stop()
        if self._directory_task is not None:
            self._directory_task.cancel()
            with suppress(asyncio.CancelledError):
                await self._directory_task
        await self._runtime.leases.close()
        await self._runtime.stubs.close()
        self._runtime = None
        _LOG.info("stopped")


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "", "[::]") else host
