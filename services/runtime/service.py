"""What a service offers to the host that runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import grpc
from starlette.routing import BaseRoute

from services.runtime.caller import Scope
from services.runtime.roles import Role


@dataclass(frozen=True, slots=True)
class GrpcService:
    """One gRPC service: its full name, how to add it to a server, and the scope that each method needs."""

    full_name: str
    add: Callable[[grpc.aio.Server], None]
    scopes: Mapping[str, Scope]


class Service(Protocol):
    """A role, built but not started."""

    role: Role

    def grpc_services(self) -> Sequence[GrpcService]:
        """The gRPC services this role answers."""
        ...

    def http_routes(self) -> Sequence[BaseRoute]:
        """Its HTTP routes; none for most roles."""
        ...

    async def start(self) -> None:
        """Spawn background work and return. The gRPC server is up by then, peers may not be."""
        ...

    def ready(self) -> bool:
        """True when calls can be answered correctly (caught up)."""
        ...

    async def stop(self) -> None:
        """Finish or cancel background work. Idempotent."""
        ...
