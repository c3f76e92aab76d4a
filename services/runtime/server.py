"""The gRPC server of a process: our services behind the gate, health per service, reflection, graceful drain."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.runtime.caller import Scope
from services.runtime.gate import Gate
from services.runtime.service import GrpcService, Service
from services.runtime.settings import Settings
from services.runtime.workspaces import WorkspaceDirectory

_HEALTH_POLL_S = 0.1


class GrpcServer:
    """Bind first (the port is known, nothing is answered), then start with the services, then drain."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._scopes: dict[str, Scope] = {}
        self._gate: Gate | None = None
        self._server: grpc.aio.Server | None = None
        self._health = health.aio.HealthServicer()
        self._watch: asyncio.Task[None] | None = None
        self._names: list[str] = []

    def bind(self, directory: WorkspaceDirectory) -> int:
        """Take the port (0: any free one) and return it. Raises RuntimeError when it is taken."""
        settings = self._settings
        self._gate = Gate(directory, self._scopes, settings.maximum_call_s)
        self._server = grpc.aio.server(
            interceptors=[self._gate],
            maximum_concurrent_rpcs=settings.maximum_concurrent_rpcs,
            options=[
                ("grpc.max_receive_message_length", settings.maximum_message_bytes),
                ("grpc.max_send_message_length", settings.maximum_message_bytes),
                ("grpc.max_connection_age_ms", int(settings.maximum_connection_age_s * 1000)),
                ("grpc.max_connection_age_grace_ms", int(settings.maximum_call_s * 1000)),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
                ("grpc.so_reuseport", 0),
            ],
        )
        return self._server.add_insecure_port(f"{settings.grpc_host}:{settings.grpc_port}")

    async def start(self, services: Sequence[Service]) -> None:
        """Answer calls from now on. Health is NOT_SERVING per service until the service is ready."""
        assert self._server is not None, "bind() comes first"
        by_name: list[tuple[str, Service]] = []
        for service in services:
            for grpc_service in service.grpc_services():
                self._add(grpc_service)
                by_name.append((grpc_service.full_name, service))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._names = [name for name, _ in by_name]
        reflection.enable_server_reflection((*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)
        for name in (*self._names, ""):
            await self._health.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._server.start()
        self._watch = asyncio.create_task(self._follow_readiness(by_name))

    def _add(self, service: GrpcService) -> None:
        assert self._server is not None
        service.add(self._server)
        for method, scope in service.scopes.items():
            self._scopes[f"/{service.full_name}/{method}"] = scope

    async def _follow_readiness(self, by_name: Sequence[tuple[str, Service]]) -> None:
        shown: dict[str, bool] = {}
        while True:
            now = {name: service.ready() for name, service in by_name}
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

    async def drain(self, wait_s: float) -> None:
        """Say NOT_SERVING, give clients a fifth of `wait_s` to see it, end streams, finish calls in flight, stop."""
        if self._server is None or self._gate is None:
            return
        if self._watch is not None:
            self._watch.cancel()
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(wait_s / 5)
        stopping = asyncio.create_task(self._server.stop(wait_s))
        await asyncio.sleep(0)
        self._gate.end_streams()
        await stopping
        self._server = None
