"""The gRPC server of a process: our services behind the gate, health per service, reflection, graceful drain."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.runtime.caller import Scope
from services.runtime.forward import Forwarder
from services.runtime.gate import Gate
from services.runtime.roles import Role
from services.runtime.service import GrpcService, Service
from services.runtime.settings import Settings
from services.runtime.telemetry import get_logger
from services.runtime.workspaces import WorkspaceDirectory

_LOG = get_logger(__name__)

_HEALTH_POLL_S = 0.1


class GrpcServer:
    """Bind first (the port is known, nothing is answered), then start with the services, then drain. Used once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._scopes: dict[str, Scope] = {}
        self._roles: dict[str, Role] = {}
        self._gate: Gate | None = None
        self._server: grpc.aio.Server | None = None
        self._health = health.aio.HealthServicer()
        self._watch: asyncio.Task[None] | None = None

    def bind(self, directory: WorkspaceDirectory) -> int:
        """Take the port (0: any free one) and return it. Raises RuntimeError when it is taken."""
        settings = self._settings
        limit = settings.maximum_concurrent_rpcs
        self._gate = Gate(directory, self._scopes, settings.maximum_call_s, limit)
        self._server = grpc.aio.server(
            interceptors=[self._gate],
            # The gate refuses what is over the limit, with a reason and a hint when to come again. This is the wall
            # behind it, and leaves room for health checks, which are to be answered just then.
            maximum_concurrent_rpcs=2 * limit + 100,
            options=[
                ("grpc.max_receive_message_length", settings.maximum_message_bytes),
                ("grpc.max_send_message_length", settings.maximum_message_bytes),
                ("grpc.max_connection_age_ms", int(settings.maximum_connection_age_s * 1000)),
                ("grpc.max_connection_age_grace_ms", int(settings.maximum_call_s * 1000)),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
                ("grpc.so_reuseport", 0),
                # The gate refuses with a reason; grpc's own early refusal of waiting calls is a bare CANCELLED.
                ("grpc.server.max_pending_requests", 20_000),
                ("grpc.server.max_pending_requests_hard_limit", 40_000),
            ],
        )
        return self._server.add_insecure_port(f"{settings.grpc_host}:{settings.grpc_port}")

    async def start(self, services: Sequence[Service], forwarder: Forwarder | None = None) -> None:
        """Answer calls from now on. Health is NOT_SERVING per service until the service is ready. With a `forwarder`,
        calls to workspaces that another process owns are passed on to it."""
        assert self._server is not None, "bind() comes first"
        assert self._gate is not None, "bind() makes it"
        by_name: list[tuple[str, Service]] = []
        for service in services:
            for grpc_service in service.grpc_services():
                self._add(grpc_service, service.role)
                by_name.append((grpc_service.full_name, service))
        if forwarder is not None:
            self._gate.forward_with(forwarder, self._roles)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = [name for name, _ in by_name]
        reflection.enable_server_reflection((*names, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)
        for name in (*names, ""):
            await self._health.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._server.start()
        self._watch = asyncio.create_task(self._follow_readiness(by_name), name="grpc-health")

    def _add(self, service: GrpcService, role: Role) -> None:
        assert self._server is not None, "bind() comes first"
        service.add(self._server)
        for method, scope in service.scopes.items():
            self._scopes[f"/{service.full_name}/{method}"] = scope
            self._roles[f"/{service.full_name}/{method}"] = role

    async def _follow_readiness(self, by_name: Sequence[tuple[str, Service]]) -> None:
        shown: dict[str, bool] = {}
        while True:
            now = {name: _ready(service) for name, service in by_name}
            now[""] = all(now.values())
            for name, ready in now.items():
                if shown.get(name) != ready:
                    serving, waiting = (
                        health_pb2.HealthCheckResponse.SERVING,
                        health_pb2.HealthCheckResponse.NOT_SERVING,
                    )
                    await self._health.set(name, serving if ready else waiting)
            shown = now
            await asyncio.sleep(_HEALTH_POLL_S)

    async def leave(self) -> None:
        """Say NOT_SERVING for every service from now on, and go on answering. Idempotent."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch
            await self._health.enter_graceful_shutdown()

    async def drain(self, wait_s: float) -> None:
        """Say NOT_SERVING, give clients a fifth of `wait_s` to see it, end streams, finish calls in flight for at most
        `wait_s`, stop. Idempotent; a server that was bound only gives its port back."""
        if self._server is None or self._gate is None:
            return
        server, self._server = self._server, None
        if self._watch is not None:
            await self.leave()
            await asyncio.sleep(wait_s / 5)
        stopping = asyncio.create_task(server.stop(wait_s))
        await asyncio.sleep(0)
        self._gate.end_streams()
        await stopping


def _ready(service: Service) -> bool:
    try:
        return service.ready()
    except Exception:  # noqa: BLE001 - a service that cannot say is not ready, and the others have to be watched on
        _LOG.exception("readiness unknown", role=service.role)
        return False
