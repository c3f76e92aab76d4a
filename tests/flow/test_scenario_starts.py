"""What starts runs, on the whole platform: moves between cells, changes of an attribute, the clock, calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import grpc
import pytest

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from cdp.scenario.v1 import scenario_pb2 as pb
from core.clock import DAY_US, SECOND_US
from core.scenario.definition import (
    ApiTrigger,
    Block,
    Definition,
    EventTrigger,
    Exit,
    FieldTrigger,
    Reentry,
    RfmTrigger,
    ScheduleTrigger,
    SegmentTrigger,
    Send,
    Trigger,
    Wait,
)
from services.demo.client import again
from services.runtime.errors import from_rpc
from services.runtime.facts import scalar_from_proto, value_to_proto
from services.runtime.roles import ALL_ROLES, Role
from services.scenario.convert import definition_to_proto
from tests.flow.bad_input import of
from tests.flow.platform import eventually
from tests.flow.shop import Shop, opened, who

pytestmark = pytest.mark.slow
Answer = TypeVar("Answer")


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with opened(tmp_path) as shop:
        yield shop


async def ask(shop: Shop, method: str, request: object, answer: type[Answer]) -> Answer:
    """The answer of ScenarioService, asked again while it cannot be had."""
    async with shop.platform.channel(Role.SCENARIO) as channel:
        call: Callable[..., Awaitable[Answer]] = channel.unary_unary(
            f"/cdp.scenario.v1.ScenarioService/{method}",
            lambda message: message.SerializeToString(),
            answer.FromString,  # type: ignore[attr-defined]
        )
        return await again(lambda: call(request, metadata=shop.platform.metadata, timeout=30.0))


async def refused(asked: Awaitable[object]) -> tuple[str, str]:
    """The reason of a refusal, and what its first violation says."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await asked
    refusal = from_rpc(error.value)
    return refusal.reason, refusal.violations[0].description if refusal.violations else ""


async def save(shop: Shop, name: str, trigger: Trigger, reentry: Reentry = Reentry.ONE_AT_A_TIME) -> None:
    """A scenario whose runs wait for a year."""
    blocks = (Block("w", Wait(365 * DAY_US)), Block("e", Exit()))
    message = definition_to_proto(Definition(trigger, blocks, reentry=reentry))
    await ask(shop, "SaveScenario", pb.SaveScenarioRequest(name=name, scenario=message), pb.SaveScenarioResponse)
    shop.platform.clock.advance(SECOND_US)


async def runs(shop: Shop, scenario: str) -> list[pb.Run]:
    listed = await ask(shop, "ListRuns", pb.ListRunsRequest(scenario=scenario, page_size=1_000), pb.ListRunsResponse)
    return list(listed.runs)


async def come(shop: Shop, scenario: str, count: int) -> list[pb.Run]:
    """The runs of a scenario, once there are so many; time goes on meanwhile, as the engine's publications need it."""

    async def there() -> bool:
        shop.platform.clock.advance(SECOND_US)
        return len(await runs(shop, scenario)) >= count

    await eventually(there, f"{count} runs of {scenario}", 40.0)
    found = await runs(shop, scenario)
    assert len(found) == count
    return found


def values(run: pb.Run, *names: str) -> tuple[object, ...]:
    return tuple(scalar_from_proto(run.values[name]) if name in run.values else None for name in names)


async def identify(shop: Shop, number: int, tier: str) -> None:
    attributes = {"tier": value_to_proto(tier)}
    person = of(ingest_pb2.Person, identifiers=[who(number)], attributes=attributes)
    await shop.ok(ingest_pb2.IdentifyRequest(person=person))


async def buy(shop: Shop, number: int, order_id: str, total: str) -> None:
    order = of(
        ingest_pb2.Order,
        order_id=order_id,
        status="completed",
        occurred_at_us=shop.platform.clock.now_us(),
        identifiers=[who(number)],
        params={"total": facts_pb2.Value(decimal=total)},
    )
    await shop.ok(ingest_pb2.RecordOrderRequest(order=order))


async def test_what_starts_runs(shop: Shop) -> None:
    await identify(shop, 1, "silver")
    await save(shop, "move", RfmTrigger("purchases"), Reentry.ALWAYS)
    await save(shop, "tier", FieldTrigger("tier", "silver", "gold"))
    await save(shop, "called", ApiTrigger(("code",)))
    assert await runs(shop, "move") == [], "saving the segments of the cells moves nobody"

    # u5 never bought: into some cell from "none"; the grid moves for others, too.
    await buy(shop, 5, "new", "50")
    shop_clock = shop.platform.clock

    async def moved() -> bool:
        shop_clock.advance(SECOND_US)
        return any(values(run, "from_cell") == ("none",) for run in await runs(shop, "move"))

    await eventually(moved, "u5 moved", 40.0)
    for run in await runs(shop, "move"):
        model, from_cell, to_cell = values(run, "model", "from_cell", "to_cell")
        assert model == "purchases"
        assert from_cell != to_cell

    await identify(shop, 0, "gold")  # not from silver
    await identify(shop, 1, "gold")
    await identify(shop, 1, "gold")
    (run,) = await come(shop, "tier", 1)
    assert values(run, "old", "new") == ("silver", "gold")

    start = pb.StartRunsRequest(name="called", contacts=[run.contact, 999], request_id="r1")
    assert (await refused(ask(shop, "StartRuns", start, pb.StartRunsResponse)))[0] == "NO_VALUE"
    start.values["code"].CopyFrom(value_to_proto("c"))
    started = await ask(shop, "StartRuns", start, pb.StartRunsResponse)
    assert (started.started, started.refused) == (1, 1)
    assert await ask(shop, "StartRuns", start, pb.StartRunsResponse) == started
    stopped = await ask(shop, "StopRuns", pb.StopRunsRequest(name="called"), pb.StopRunsResponse)
    assert stopped.stopped == 1


async def test_whole_segments(shop: Shop) -> None:
    await shop.save("buyers", "did order_completed")
    await save(shop, "daily", ScheduleTrigger("buyers", "0 * * * *", "UTC"))
    await save(shop, "entered", SegmentTrigger("buyers"))

    async def activate(existing: int = 0, approved: int = 0, name: str = "entered") -> pb.SetScenarioStateResponse:
        request = pb.SetScenarioStateRequest(name=name, state=pb.SCENARIO_STATE_ACTIVE, approved_contacts=approved)
        request.existing = existing  # type: ignore[assignment]
        return await ask(shop, "SetScenarioState", request, pb.SetScenarioStateResponse)

    pause = pb.SetScenarioStateRequest(name="entered", state=pb.SCENARIO_STATE_PAUSED)
    paused = await ask(shop, "SetScenarioState", pause, pb.SetScenarioStateResponse)
    assert paused.state == pb.SCENARIO_STATE_PAUSED
    assert await refused(activate()) == ("EXISTING_MEMBERS", "5")
    assert (await activate(pb.EXISTING_MEMBERS_START)).existing_members == 5
    await come(shop, "entered", 5)
    got = await ask(shop, "GetScenario", pb.GetScenarioRequest(name="entered"), pb.GetScenarioResponse)
    assert (got.state, got.entries) == (pb.SCENARIO_STATE_ACTIVE, 5)

    shop.platform.clock.advance(3_600 * SECOND_US)
    await come(shop, "daily", 5)
    await shop.platform.stop(ALL_ROLES)
    await shop.platform.start(ALL_ROLES)
    await shop.platform.host(Role.SCENARIO).wait_ready(20.0)
    listed = await ask(shop, "ListLaunches", pb.ListLaunchesRequest(), pb.ListLaunchesResponse)
    assert [(one.scenario, one.kind, one.contacts, one.started, one.done) for one in listed.launches] == [
        ("daily", "schedule", 5, 5, True),
        ("entered", "existing", 5, 5, True),
    ]
    save_again = pb.SaveScenarioRequest(name="daily", scenario=got.scenario)
    await ask(shop, "SaveScenario", save_again, pb.SaveScenarioResponse)
    move = pb.MigrateRunsRequest(name="daily", from_version=1, blocks={"w": "w"})
    assert (await ask(shop, "MigrateRuns", move, pb.MigrateRunsResponse)).moved == 5
    assert {run.version for run in await runs(shop, "daily")} == {2}


async def test_a_dry_run_on_the_orders_of_last_month(shop: Shop) -> None:
    """u_i ordered i + 1 times, two days apart: who comes again within three days is not thanked twice."""
    now_us = shop.platform.clock.now_us()
    await shop.save("buyers", "did order_completed in last 30 days")
    blocks = (Block("w", Wait(3 * DAY_US)), Block("m", Send("email", "thanks")))
    again_bought = "did order_completed at least 4 times"
    thanks = Definition(EventTrigger("order_completed", "total >= 200"), blocks, exit_when=again_bought)

    async def rehearse(definition: Definition, from_us: int) -> pb.DryRunResponse:
        request = pb.DryRunRequest(scenario=definition_to_proto(definition), from_us=from_us)
        return await ask(shop, "DryRun", request, pb.DryRunResponse)

    report = await rehearse(thanks, now_us - 60 * DAY_US)
    # u1 bought twice, u2 three times, u3 four and u4 four times before now: every second order comes while the run of
    # the one before waits, and the fourth ends it.
    assert (report.entered, report.refused) == (1 + 2 + 2 + 2, 1 + 1 + 2 + 2)
    assert dict(report.ends) == {"completed": 5, "exit_when": 2}
    assert dict(report.held) == {"NO_ADDRESS": 5}
    assert {one.block for one in report.messages} == {"m"}
    assert all(one.at_us < now_us for one in report.messages)
    assert await runs(shop, "") == []

    await save(shop, "entered", SegmentTrigger("buyers"))
    await buy(shop, 6, "fresh", "70")
    await come(shop, "entered", 1)
    entered = Definition(SegmentTrigger("buyers"), (Block("e", Exit("seen")),))
    report = await rehearse(entered, now_us)
    assert (report.entered, dict(report.ends)) == (1, {"seen": 1})
