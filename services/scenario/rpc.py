"""ScenarioService: convert, let the shard do it, convert."""

from __future__ import annotations

from typing import Any

import grpc

from cdp.scenario.v1 import scenario_pb2
from core.errors import not_found
from services.runtime.caller import caller
from services.runtime.context import Runtime
from services.runtime.ownership import Ownership
from services.runtime.pages import bad_page_token, number_of, page_entries
from services.scenario.convert import run_to_proto, stored_to_proto
from services.scenario.convert_control import (
    existing_from_proto,
    launch_to_proto,
    state_from_proto,
    state_to_proto,
    values_from_proto,
)
from services.scenario.dry_call import dry_run, report_to_proto
from services.scenario.ready_rpc import TextRpc
from services.scenario.template_names import refuse_unknown, unknown_to_proto
from services.scenario.worker import ScenarioShard

#: An answer holds so many launches at most.
_MOST_LAUNCHES = 1_000

Context = grpc.aio.ServicerContext[Any, Any]


class ScenarioRpc(TextRpc):
    """Answers for the workspaces whose shards are open here."""

    def __init__(self, runtime: Runtime, ownership: Ownership[ScenarioShard]) -> None:
        self._runtime = runtime
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
        catalogue = self._shard().catalogue
        stored = catalogue.definitions.get(request.name, request.version)
        return scenario_pb2.GetScenarioResponse(
            scenario=stored_to_proto(stored),
            state=state_to_proto(catalogue.state(request.name)),
            entries=catalogue.states.of(request.name).entries,
        )

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

    async def SetScenarioState(
        self, request: scenario_pb2.SetScenarioStateRequest, context: Context
    ) -> scenario_pb2.SetScenarioStateResponse:
        """See the protocol."""
        shard = self._shard()
        if request.refuse_unknown_names and request.state == scenario_pb2.SCENARIO_STATE_ACTIVE:
            refuse_unknown(await shard.unknown_names(request.name, 0))
        number = await shard.control.set_state(
            request.name,
            state_from_proto(request.state),
            existing_from_proto(request.existing),
            request.etag,
            request.approved_contacts,
            caller().key_name,
        )
        return scenario_pb2.SetScenarioStateResponse(
            scenario=stored_to_proto(shard.catalogue.definitions.get(request.name)),
            state=state_to_proto(shard.catalogue.state(request.name)),
            existing_members=number,
        )

    async def CheckScenario(
        self, request: scenario_pb2.CheckScenarioRequest, context: Context
    ) -> scenario_pb2.CheckScenarioResponse:
        """See the protocol."""
        unknown = await self._shard().unknown_names(request.name, request.version)
        return scenario_pb2.CheckScenarioResponse(unknown=map(unknown_to_proto, unknown))

    async def StartRuns(
        self, request: scenario_pb2.StartRunsRequest, context: Context
    ) -> scenario_pb2.StartRunsResponse:
        """See the protocol."""
        values = values_from_proto(request.values, "values")
        called = await self._shard().calls.start_runs(request.name, request.contacts, values, request.request_id)
        return scenario_pb2.StartRunsResponse(
            started=len(called.run_ids), refused=called.refused, run_ids=called.run_ids
        )

    async def StopRuns(self, request: scenario_pb2.StopRunsRequest, context: Context) -> scenario_pb2.StopRunsResponse:
        """See the protocol."""
        stopped = await self._shard().calls.stop_runs(request.name, request.contacts, request.reason)
        return scenario_pb2.StopRunsResponse(stopped=stopped)

    async def MigrateRuns(
        self, request: scenario_pb2.MigrateRunsRequest, context: Context
    ) -> scenario_pb2.MigrateRunsResponse:
        """See the protocol."""
        moved, ended = await self._shard().calls.migrate_runs(
            request.name, request.from_version, request.to_version, dict(request.blocks)
        )
        return scenario_pb2.MigrateRunsResponse(moved=moved, ended=ended)

    async def DryRun(self, request: scenario_pb2.DryRunRequest, context: Context) -> scenario_pb2.DryRunResponse:
        """See the protocol."""
        shard = self._shard()
        workspace = caller().workspace
        return report_to_proto(await dry_run(self._runtime, workspace, shard.catalogue, shard.runs.people, request))

    async def ListLaunches(
        self, request: scenario_pb2.ListLaunchesRequest, context: Context
    ) -> scenario_pb2.ListLaunchesResponse:
        """See the protocol."""
        found = self._shard().launches.newest_first(request.scenario)
        return scenario_pb2.ListLaunchesResponse(launches=[launch_to_proto(one) for one in found[:_MOST_LAUNCHES]])


def _before(token: str) -> tuple[int, str] | None:
    if not token:
        return None
    started_at_us, colon, run_id = token.partition(":")
    if not colon:
        raise bad_page_token()
    distance_us = number_of(started_at_us.removeprefix("-"))
    return -distance_us if started_at_us.startswith("-") else distance_us, run_id
