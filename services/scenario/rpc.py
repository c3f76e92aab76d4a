"""ScenarioService: convert, let the shard do it, convert."""

from __future__ import annotations

from typing import Any

import grpc

from cdp.scenario.v1 import scenario_pb2, scenario_pb2_grpc
from core.errors import not_found
from services.runtime.caller import caller
from services.runtime.context import Runtime
from services.runtime.ownership import Ownership
from services.runtime.pages import bad_page_token, number_of, page_entries
from services.scenario.convert import run_to_proto, stored_to_proto
from services.scenario.worker import ScenarioShard

Context = grpc.aio.ServicerContext[Any, Any]


class ScenarioRpc(scenario_pb2_grpc.ScenarioServiceServicer):
    """Answers for the workspaces whose shards are open here."""

    def __init__(self, runtime: Runtime, ownership: Ownership[ScenarioShard]) -> None:
        self._log = runtime.log
        self._ownership = ownership

    def _shard(self) -> ScenarioShard:
        return self._ownership.shard(caller().workspace.id)

    async def SaveScenario(
        self, request: scenario_pb2.SaveScenarioRequest, context: Context
    ) -> scenario_pb2.SaveScenarioResponse:
        """See the protocol."""
        actor = caller().key_name
        stored = await self._shard().save(request.name, request.scenario, request.etag, actor, request.request_id)
        return scenario_pb2.SaveScenarioResponse(scenario=stored_to_proto(stored))

    async def GetScenario(
        self, request: scenario_pb2.GetScenarioRequest, context: Context
    ) -> scenario_pb2.GetScenarioResponse:
        """See the protocol."""
        stored = self._shard().catalogue.definitions.get(request.name, request.version)
        return scenario_pb2.GetScenarioResponse(scenario=stored_to_proto(stored))

    async def ListScenarios(
        self, request: scenario_pb2.ListScenariosRequest, context: Context
    ) -> scenario_pb2.ListScenariosResponse:
        """Pages by name; the token is the last name of the page before."""
        page, token = self._shard().catalogue.definitions.page(request.page_size, request.page_token)
        return scenario_pb2.ListScenariosResponse(
            scenarios=[stored_to_proto(one) for one in page], next_page_token=token
        )

    async def DeleteScenario(
        self, request: scenario_pb2.DeleteScenarioRequest, context: Context
    ) -> scenario_pb2.DeleteScenarioResponse:
        """See the protocol."""
        stored = await self._shard().delete(request.name, request.etag, caller().key_name)
        return scenario_pb2.DeleteScenarioResponse(revision=stored.revision.to_proto())

    async def ListScenarioVersions(
        self, request: scenario_pb2.ListScenarioVersionsRequest, context: Context
    ) -> scenario_pb2.ListScenarioVersionsResponse:
        """See the protocol."""
        versions = self._shard().catalogue.definitions.versions(request.name)
        return scenario_pb2.ListScenarioVersionsResponse(versions=[stored_to_proto(one) for one in versions])

    async def ListAuditRecords(
        self, request: scenario_pb2.ListAuditRecordsRequest, context: Context
    ) -> scenario_pb2.ListAuditRecordsResponse:
        """See the protocol."""
        records, token = self._shard().catalogue.definitions.audit(request.page_size, request.page_token)
        return scenario_pb2.ListAuditRecordsResponse(
            records=[record.to_proto() for record in records], next_page_token=token
        )

    async def GetRun(self, request: scenario_pb2.GetRunRequest, context: Context) -> scenario_pb2.GetRunResponse:
        """See the protocol."""
        shard = self._shard()
        runs = await shard.runs.read(self._log, shard.partition, [request.run_id])
        if not runs:
            raise not_found("NO_SUCH_RUN", f"there is no run {request.run_id!r}")
        return scenario_pb2.GetRunResponse(run=run_to_proto(runs[0]))

    async def ListRuns(self, request: scenario_pb2.ListRunsRequest, context: Context) -> scenario_pb2.ListRunsResponse:
        """Active and ended runs, newest first; the token is the start and the id of the last run of a page."""
        shard = self._shard()
        size = page_entries(request.page_size)
        contact = request.contact if request.by_contact else None
        found = shard.runs.page(request.scenario, contact, size + 1, _before(request.page_token))
        page = found[:size]
        runs = await shard.runs.read(self._log, shard.partition, [run_id for _, run_id in page])
        token = f"{page[-1][0]}:{page[-1][1]}" if len(found) > size else ""
        return scenario_pb2.ListRunsResponse(
            runs=[run_to_proto(run) for run in runs], next_page_token=token, position=shard.position
        )


def _before(token: str) -> tuple[int, str] | None:
    if not token:
        return None
    started_at_us, colon, run_id = token.partition(":")
    if not colon:
        raise bad_page_token()
    distance_us = number_of(started_at_us.removeprefix("-"))
    return -distance_us if started_at_us.startswith("-") else distance_us, run_id
