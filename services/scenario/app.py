"""The scenario role, wired."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from starlette.routing import BaseRoute

from cdp.scenario.v1 import scenario_pb2_grpc
from services.runtime.caller import Scope
from services.runtime.context import Runtime
from services.runtime.ownership import Ownership
from services.runtime.roles import Role
from services.runtime.service import GrpcService
from services.scenario.rpc import ScenarioRpc
from services.scenario.worker import ScenarioShard

_SCOPES = {
    "SaveScenario": Scope.FULL,
    "GetScenario": Scope.READ,
    "ListScenarios": Scope.READ,
    "DeleteScenario": Scope.FULL,
    "ListScenarioVersions": Scope.READ,
    "ListAuditRecords": Scope.READ,
    "GetRun": Scope.READ,
    "ListRuns": Scope.READ,
    "ConvertScenario": Scope.READ,
    "ListReadyScenarios": Scope.READ,
    "SetScenarioState": Scope.FULL,
    "StartRuns": Scope.FULL,
    "StopRuns": Scope.FULL,
    "MigrateRuns": Scope.FULL,
    "CheckScenario": Scope.READ,
    "DryRun": Scope.READ,
    "ListLaunches": Scope.READ,
}


class ScenarioService:
    """Scenarios of all workspaces whose leases this process holds."""

    role = Role.SCENARIO

    def __init__(self, runtime: Runtime) -> None:
        self._ownership = Ownership[ScenarioShard](runtime, Role.SCENARIO, partial(ScenarioShard.open, runtime))
        self._rpc = ScenarioRpc(runtime, self._ownership)

    def grpc_services(self) -> Sequence[GrpcService]:
        """ScenarioService."""
        add = partial(scenario_pb2_grpc.add_ScenarioServiceServicer_to_server, self._rpc)
        return (GrpcService("cdp.scenario.v1.ScenarioService", add, _SCOPES),)

    def http_routes(self) -> Sequence[BaseRoute]:
        """None."""
        return ()

    async def start(self) -> None:
        """Begin to hold leases and to work."""
        self._ownership.start()

    def ready(self) -> bool:
        """True when every workspace's runs are read and driven."""
        return self._ownership.ready()

    async def stop(self) -> None:
        """Close all shards. Idempotent."""
        await self._ownership.stop()


def build(runtime: Runtime) -> ScenarioService:
    """The service, not started."""
    return ScenarioService(runtime)
