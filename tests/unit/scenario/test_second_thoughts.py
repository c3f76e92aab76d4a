"""Whole scenarios whose owners change their minds: activated after a pause, moved between versions, held up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cdp.segment.v1 import segment_pb2
from core.clock import DAY_US, MINUTE_US, SECOND_US
from core.scenario.definition import (
    ApiTrigger,
    Block,
    Definition,
    EventTrigger,
    Exit,
    Reentry,
    RfmTrigger,
    SegmentTrigger,
    Send,
    StartScenario,
    Wait,
)
from services.scenario import worker
from services.scenario.control import Existing
from services.scenario.states import ScenarioState
from tests.unit.scenario.plays import cart
from tests.unit.scenario.world import World, a_world, until

PACED = Definition(EventTrigger("cart_updated"), (Block("m", Send("email", "letter")),), sends_per_minute=1)


def entered(world: World, contact: int) -> segment_pb2.WatchResponse:
    """Somebody enters the segment "VIP" now."""
    now_us = world.clock.now_us()
    record = segment_pb2.Membership(
        contact=contact, segment="VIP", change=segment_pb2.CHANGE_ENTERED, cause=segment_pb2.CAUSE_EVENT,
        effective_at_us=now_us, recorded_at_us=now_us,
    )  # fmt: skip
    return segment_pb2.WatchResponse(memberships=[record])


async def set_state(world: World, state: ScenarioState, existing: Existing = Existing.ASK) -> None:
    await world.shard.control.set_state("s", state, existing, "", 0, "tester")


async def test_runs_moved_to_a_version_without_a_limit_of_sends() -> None:
    """They wait for turns that they took by the old version, and a pause lets these turns pass."""
    async with a_world() as world:
        await world.save("s", PACED)
        await world.append(*((one, cart(f"e{one}", world.clock.now_us())) for one in (1, 2, 3)))
        await until(lambda: len(world.channel.taken) == 1)
        await world.save("s", replace(PACED, sends_per_minute=0))
        assert await world.shard.calls.migrate_runs("s", 1, 0, {"m": "m"}) == [2, 0]
        await set_state(world, ScenarioState.PAUSED)
        await world.advance(10 * MINUTE_US)
        assert len(world.channel.taken) == 1
        await set_state(world, ScenarioState.ACTIVE)
        await until(lambda: len(world.channel.taken) == 3)


@pytest.mark.parametrize("restarted", [False, True])
async def test_who_entered_during_a_pause_starts_nothing_afterwards(restarted: bool) -> None:
    """A shard that was opened during the pause follows no memberships, and reads those of the pause afterwards."""
    async with a_world() as world:
        world.engine.segments["VIP"] = "among all contacts: email is missing"
        waits = (Block("w", Wait(DAY_US)), Block("e", Exit()))
        await world.save("s", Definition(SegmentTrigger("VIP"), waits))
        await set_state(world, ScenarioState.PAUSED)
        if restarted:
            await world.restart()
        await world.advance(MINUTE_US)
        world.engine.memberships.append(entered(world, 1))
        await world.advance(SECOND_US)
        await set_state(world, ScenarioState.ACTIVE, Existing.LEAVE_OUT)
        world.engine.memberships.append(entered(world, 2))
        await until(lambda: bool(len(world.shard.runs.active)))
        await world.idle()
        assert {run.contact for run in await world.runs()} == {2}


async def test_turns_that_are_just_in_time_go_behind_those_that_are_late() -> None:
    """No minute has more messages than the limit, even where a pause ends between two turns."""
    async with a_world() as world:
        await world.save("s", replace(PACED, sends_per_minute=100, reentry=Reentry.ALWAYS))
        sent: list[int] = []
        world.channel.told = lambda message: sent.append(world.clock.now_us())
        for page in range(4):
            now_us = world.clock.now_us()
            await world.append(*((1 + one % 5, cart(f"e{page}-{one}", now_us)) for one in range(30)))
        await until(lambda: len(sent) == 1)
        await set_state(world, ScenarioState.PAUSED)
        await world.advance(2 * SECOND_US)
        await set_state(world, ScenarioState.ACTIVE)
        for _ in range(75 * 10):
            await world.advance(SECOND_US // 10)
        await until(lambda: len(sent) == 120)
        most = max(sum(at_us <= other < at_us + MINUTE_US for other in sent) for at_us in sent)
        assert most <= 100


async def test_a_cell_that_nobody_keeps_is_kept_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """An edit of a model adds a cell without a record of anybody's: no restart is needed for its moves to count."""
    monkeypatch.setattr(worker, "_MODELS_S", 0.01)
    async with a_world() as world:
        await world.save("s", Definition(RfmTrigger("purchases"), (Block("e", Exit()),)))
        kept = dict(world.engine.segments)
        assert len(kept) > 2
        world.engine.segments.pop("rfm cell: purchases / VIP")
        await until(lambda: world.engine.segments == kept)


async def test_runs_that_end_as_they_start_are_entries_too() -> None:
    async with a_world() as world:
        await world.save("s", Definition(EventTrigger("cart_updated"), (Block("e", Exit()),), entries_limit=2))
        await world.append(*((one, cart(f"e{one}", world.clock.now_us())) for one in (1, 2, 3)))
        assert {run.contact for run in await world.runs()} == {1, 2}


async def test_a_scenario_that_starts_itself_ends() -> None:
    async with a_world() as world:
        again = (Block("again", StartScenario("s")), Block("m", Send("email", "letter")))
        await world.save("s", Definition(ApiTrigger(), again, reentry=Reentry.ALWAYS))
        await world.shard.calls.start_runs("s", [1], {}, "r1")
        await until(lambda: len(world.channel.taken) == 21)
        await world.idle()
        assert len(await world.runs()) == 21
