"""ScenarioService as a client sees it: definitions, versions, audit, runs; refusals with reasons and paths."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from cdp.scenario.v1 import scenario_pb2, scenario_pb2_grpc
from core.clock import ManualClock
from core.errors import CdpError, Code
from core.scenario.definition import Block, Definition, EventTrigger, Reentry, SegmentTrigger, Wait
from core.schema import DecimalUnits
from services.runtime.errors import from_rpc
from services.runtime.roles import Role
from services.scenario.convert import definition_from_proto, definition_to_proto
from tests.carts import abandoned_cart, category_promotion
from tests.flow.platform import Platform, eventually
from tests.unit.scenario.plays import T0

WAITING = Definition(EventTrigger("signed_up"), (Block("w", Wait(1_000_000)),))


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    async with Platform(tmp_path, ManualClock(T0)) as made:
        yield made


@pytest.fixture
async def stub(platform: Platform) -> AsyncIterator[scenario_pb2_grpc.ScenarioServiceStub]:
    async with platform.channel(Role.SCENARIO) as channel:
        yield scenario_pb2_grpc.ScenarioServiceStub(channel)


def scenario(**fields: Any) -> scenario_pb2.Scenario:
    """A scenario as protobuf's keyword dicts make it: right or wrong."""
    return scenario_pb2.Scenario(**fields)


def save(
    name: str, definition: Definition = WAITING, etag: str = "", request_id: str = ""
) -> scenario_pb2.SaveScenarioRequest:
    return scenario_pb2.SaveScenarioRequest(
        name=name, scenario=definition_to_proto(definition), etag=etag, request_id=request_id
    )


@pytest.mark.parametrize(
    "definition",
    [
        abandoned_cart(),
        Definition(
            SegmentTrigger("VIP", on_leave=True),
            category_promotion("Buyers").blocks,
            "city = :town",
            Reentry.ONCE,
            5,
            {"town": "Kyiv", "limit": DecimalUnits(5)},
            "words",
            True,
        ),
    ],
)
def test_definitions_survive_the_wire(definition: Definition) -> None:
    assert definition_from_proto(definition_to_proto(definition)) == definition


async def test_versions_etags_audit(platform: Platform, stub: scenario_pb2_grpc.ScenarioServiceStub) -> None:
    me = platform.metadata
    first = (await stub.SaveScenario(save("a"), metadata=me)).scenario
    assert (first.revision.version, first.revision.name, first.blocks[0].id) == (1, "a", "w")
    second = (await stub.SaveScenario(save("a", abandoned_cart(), first.revision.etag), metadata=me)).scenario
    assert second.revision.version == 2
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.SaveScenario(save("a", etag=first.revision.etag), metadata=me)
    assert from_rpc(caught.value).reason == "ETAG_MISMATCH"
    old = await stub.GetScenario(scenario_pb2.GetScenarioRequest(name="a", version=1), metadata=me)
    assert old.scenario == first
    versions = await stub.ListScenarioVersions(scenario_pb2.ListScenarioVersionsRequest(name="a"), metadata=me)
    assert list(versions.versions) == [second, first]
    await stub.DeleteScenario(scenario_pb2.DeleteScenarioRequest(name="a"), metadata=me)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetScenario(scenario_pb2.GetScenarioRequest(name="a"), metadata=me)
    assert from_rpc(caught.value).reason == "NO_SUCH_SCENARIO"
    audit = await stub.ListAuditRecords(scenario_pb2.ListAuditRecordsRequest(), metadata=me)
    assert [record.action for record in audit.records] == ["deleted", "saved", "saved"]


async def test_a_repeated_request_saves_one_version(
    platform: Platform, stub: scenario_pb2_grpc.ScenarioServiceStub
) -> None:
    me = platform.metadata
    answers = [await stub.SaveScenario(save("a", request_id="r1"), metadata=me) for _ in range(2)]
    assert answers[0] == answers[1]
    again = await stub.SaveScenario(save("a", request_id="r2"), metadata=me)
    assert again.scenario.revision.version == 2


async def test_pages(platform: Platform, stub: scenario_pb2_grpc.ScenarioServiceStub) -> None:
    me = platform.metadata
    for name in "cab":
        await stub.SaveScenario(save(name), metadata=me)
    first = await stub.ListScenarios(scenario_pb2.ListScenariosRequest(page_size=2), metadata=me)
    rest = await stub.ListScenarios(
        scenario_pb2.ListScenariosRequest(page_size=2, page_token=first.next_page_token), metadata=me
    )
    names = [[one.revision.name for one in page.scenarios] for page in (first, rest)]
    assert (names, rest.next_page_token) == ([["a", "b"], ["c"]], "")


@pytest.mark.parametrize(
    ("scenario", "path"),
    [
        (scenario(), "trigger"),
        (scenario(trigger={"event": {"type": "a"}}), "blocks"),
        (scenario(trigger={"event": {"type": "a"}}, blocks=[{"id": "x"}]), "blocks[0]"),
        (scenario(trigger={"event": {"type": "a"}, "values": {"v": {}}}), "trigger.values[v]"),
        (scenario(reentry=9, trigger={"event": {"type": "a"}}), "reentry"),
        (
            scenario(trigger={"event": {"type": "signed_up"}}, blocks=[{"id": "x", "exit": {}}], exit_when="("),
            "exit_when",
        ),
        (
            scenario(trigger={"event": {"type": "signed_up"}}, blocks=[{"id": "x", "exit": {}}], exit_when="gendr = 1"),
            "exit_when",
        ),
    ],
)
async def test_bad_scenarios_are_refused_with_the_path(
    platform: Platform, stub: scenario_pb2_grpc.ScenarioServiceStub, scenario: scenario_pb2.Scenario, path: str
) -> None:
    request = scenario_pb2.SaveScenarioRequest(name="bad", scenario=scenario)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.SaveScenario(request, metadata=platform.metadata)
    refused: CdpError = from_rpc(caught.value)
    assert (refused.code, refused.reason, refused.violations[0].path) == (Code.INVALID, "SCENARIO_INVALID", path)
    listed = await stub.ListScenarios(scenario_pb2.ListScenariosRequest(), metadata=platform.metadata)
    assert list(listed.scenarios) == []


async def test_runs(platform: Platform, stub: scenario_pb2_grpc.ScenarioServiceStub) -> None:
    me = platform.metadata
    await stub.SaveScenario(save("w"), metadata=me)
    async with platform.channel(Role.INGEST) as channel:
        ingest = ingest_pb2_grpc.IngestServiceStub(channel)
        for number in range(3):
            person = facts_pb2.Identifier(kind="external_id", value=f"u{number}")
            event = ingest_pb2.Event(message_id=f"m{number}", type="signed_up", identifiers=[person])
            await ingest.Track(ingest_pb2.TrackRequest(event=event), metadata=me)
            platform.clock.advance(1)

    async def listed(**asked: object) -> scenario_pb2.ListRunsResponse:
        return await stub.ListRuns(scenario_pb2.ListRunsRequest(**asked), metadata=me)  # type: ignore[arg-type]

    async def all_there() -> bool:
        return len((await listed()).runs) == 3

    await eventually(all_there, "three runs")
    platform.clock.advance(2_000_000)

    async def all_ended() -> bool:
        return {run.state for run in (await listed()).runs} == {"ended"}

    await eventually(all_ended, "three ended runs")
    first = await listed(page_size=2)
    rest = await listed(page_size=2, page_token=first.next_page_token)
    starts = [run.started_at_us for page in (first, rest) for run in page.runs]
    assert (len(first.runs), len(rest.runs), rest.next_page_token) == (2, 1, "")
    assert starts == sorted(starts, reverse=True)
    one = first.runs[0]
    assert [run.run_id for run in (await listed(by_contact=True, contact=one.contact)).runs] == [one.run_id]
    got = await stub.GetRun(scenario_pb2.GetRunRequest(run_id=one.run_id), metadata=me)
    assert (got.run, got.run.steps[0].outcome, got.run.end_reason) == (one, "waited", "completed")
    assert list((await listed(scenario="none")).runs) == []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetRun(scenario_pb2.GetRunRequest(run_id="none"), metadata=me)
    assert from_rpc(caught.value).reason == "NO_SUCH_RUN"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await listed(page_token="x")
    assert from_rpc(caught.value).reason == "BAD_PAGE_TOKEN"
