"""One process: its log, its ports, the roles it plays, from start to drain."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial

from core.clock import Clock
from core.errors import CdpError, Code
from core.eventlog.protocol import EventLog
from services.runtime.context import Runtime
from services.runtime.forward import Forwarder
from services.runtime.http_server import HttpServer
from services.runtime.lease import LeaseKeeper
from services.runtime.owners import Owners
from services.runtime.roles import Role
from services.runtime.server import GrpcServer
from services.runtime.service import Service
from services.runtime.settings import Settings
from services.runtime.stubs import Stubs
from services.runtime.telemetry import get_logger
from services.runtime.workspaces import WorkspaceDirectory

_LOG = get_logger(__name__)

Build = Callable[[Runtime], Service]

_ANY_ADDRESS = ("0.0.0.0", "", "[::]", "::")


class Host:
    """Runs `settings.roles` on `log` (which the host does not close). Ports 0 are chosen free.

    After `stop` it may be started again.
    """

    def __init__(self, settings: Settings, clock: Clock, log: EventLog, builds: Mapping[Role, Build]) -> None:
        self._settings = settings
        self._log = log
        self._clock = clock
        self._builds = builds
        self._services: Sequence[Service] = ()
        self._runtime: Runtime | None = None
        self._directory_task: asyncio.Task[None] | None = None
        #: How everything is taken down again, last pushed first.
        self._ends = AsyncExitStack()
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
        """Bind, build, answer, begin to work. Readiness comes later: see `wait_ready`.

        Raises CONFLICT / PORT_TAKEN. Whatever is raised, nothing of the host is left running.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        settings = self._settings
        stubs = Stubs(self._address, settings.internal_token, settings.maximum_message_bytes)
        directory = WorkspaceDirectory(stubs, settings.internal_token)
        grpc_server, http_server = GrpcServer(settings), HttpServer(settings)
        # Stopping goes from the bottom of this list to its top. HTTP ends before gRPC, which its handlers call.
        for end in (
            stubs.close,
            self._give_back,
            self._stop_services,
            partial(grpc_server.drain, settings.drain_s),
            http_server.stop,
            self._unfollow,
            grpc_server.leave,
        ):
            self._ends.push_async_callback(end)
        self._bind(grpc_server, http_server, directory)
        if not settings.public_url:
            settings = replace(settings, public_url=f"http://{_reachable(settings.http_host)}:{self.http_port}")
        owner = settings.advertised_address or f"{_advertised(settings.grpc_host)}:{self.grpc_port}"
        leases = LeaseKeeper(self._log, owner, settings.lease_ttl_s)
        self._runtime = runtime = Runtime(settings, self._clock, self._log, stubs, directory, leases, owner)
        self._services = [self._builds[role](runtime) for role in settings.roles]
        forwarder = Forwarder(Owners(self._log, leases), stubs, settings.maximum_call_s)
        await grpc_server.start(self._services, forwarder)
        http_server.start([route for service in self._services for route in service.http_routes()])
        for service in self._services:
            await service.start()
        self._directory_task = asyncio.create_task(directory.run(), name="workspace-directory")
        _LOG.info("started", roles=[str(role) for role in settings.roles], grpc=owner, http_port=self.http_port)

    def _bind(self, grpc_server: GrpcServer, http_server: HttpServer, directory: WorkspaceDirectory) -> None:
        settings = self._settings
        try:
            self.grpc_port = grpc_server.bind(directory)
        except RuntimeError as error:
            raise _port_taken("CDP_GRPC_PORT", settings.grpc_host, settings.grpc_port, error) from error
        try:
            self.http_port = http_server.bind()
        except OSError as error:
            raise _port_taken("CDP_HTTP_PORT", settings.http_host, settings.http_port, error) from error

    async def wait_ready(self, timeout_s: float) -> None:
        """Return once every role here is ready. Raises UNAVAILABLE / NOT_READY naming those that are not."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        while waiting := [str(service.role) for service in self._services if not service.ready()]:
            if loop.time() > deadline_s:
                raise CdpError(Code.UNAVAILABLE, "NOT_READY", f"not ready after {timeout_s} s: {', '.join(waiting)}")
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """Leave health, drain calls, stop the roles in the order facts flow, give leases back. Idempotent.

        A step that fails does not keep the others from being taken; the first failure is raised at the end.
        """
        if self._runtime is not None:
            _LOG.info("stopping")
        await self._ends.aclose()
        self._runtime = None
        self._services = ()

    async def _unfollow(self) -> None:
        task, self._directory_task = self._directory_task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _stop_services(self) -> None:
        async with AsyncExitStack() as stops:
            for service in reversed(self._services):
                stops.push_async_callback(service.stop)

    async def _give_back(self) -> None:
        if self._runtime is not None:
            await self._runtime.leases.close()


def _port_taken(key: str, host: str, port: int, error: Exception) -> CdpError:
    return CdpError(Code.CONFLICT, "PORT_TAKEN", f"cannot listen on {host}:{port} ({error}); set {key}")


def _reachable(host: str) -> str:
    """How this process itself reaches what listens on `host`."""
    return "127.0.0.1" if host in _ANY_ADDRESS else host


def _advertised(host: str) -> str:
    """How other processes reach what listens on `host`: for all addresses at once, the one of this machine's name."""
    if host not in _ANY_ADDRESS:
        return host
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError as error:
        _LOG.warning("this machine's name has no address: set CDP_ADVERTISED_ADDRESS", error=str(error))
        return "127.0.0.1"
