"""Whole scenarios: started by calls and by others, paused, drained, stopped, their runs stopped and moved."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.clock import DAY_US, HOUR_US, MINUTE_US
from core.errors import CdpError
from core.events.facts import Erasure, Merge
from core.scenario.definition import (
    ApiTrigger,
    Block,
    Definition,
    EventTrigger,
    Exit,
    Reentry,
    Send,
    StartScenario,
    Wait,
)
from core.scenario.run import State
from services.scenario.calls import Called
from services.scenario.control import Existing
from services.scenario.states import ScenarioState
from tests.unit.scenario.plays import cart
from tests.unit.scenario.world import World, a_world, until

CALLED = Definition(ApiTrigger(("code",)), (Block("w", Wait(DAY_US)), Block("m", Send("email", "letter"))))
WAITS = Definition(EventTrigger("cart_updated"), (Block("w", Wait(DAY_US)), Block("m", Send("email", "letter"))))


async def call(world: World, request_id: str, *contacts: int, name: str = "s") -> Called:
    return await world.shard.calls.start_runs(name, contacts, {"code": "c"}, request_id)


async def set_state(world: World, state: ScenarioState) -> None:
    await world.shard.control.set_state("s", state, Existing.ASK, "", 0, "tester")


async def test_a_call_starts_those_who_are_there_and_once() -> None:
    async with a_world() as world:
        await world.save("s", replace(CALLED, reentry=Reentry.ALWAYS))
        await world.append(facts=[Merge(1, 2, 0), Erasure(3, 0)])
        called = await call(world, "r1", 1, 2, 1, 4, 3, 99)
        assert (len(called.run_ids), called.refused) == (2, 4)
        assert await call(world, "r1", 1, 2, 1, 4, 3, 99) == called
        await world.restart()
        assert await call(world, "r1", 1, 2, 1, 4, 3, 99) == called
        assert len(await world.runs()) == 2
        assert {run.values["code"] for run in await world.runs()} == {"c"}
        # A contact that became a part of another one is that one.
        (run_id,) = (await call(world, "r2", 2)).run_ids
        assert {run.run_id: run.contact for run in await world.runs()}[run_id] == 1


@pytest.mark.parametrize(
    ("name", "contacts", "values", "request_id", "reason"),
    [
        ("s", [1], {"code": "c"}, "", "NO_REQUEST_ID"),
        ("s", [1], {}, "r", "NO_VALUE"),
        ("s", list(range(1_001)), {"code": "c"}, "r", "TOO_MANY_CONTACTS"),
        ("event", [1], {"code": "c"}, "r", "NOT_STARTED_BY_CALLS"),
        ("none", [1], {"code": "c"}, "r", "NO_SUCH_SCENARIO"),
        ("drained", [1], {"code": "c"}, "r", "SCENARIO_NOT_ACTIVE"),
    ],
)
async def test_calls_that_are_refused(
    name: str, contacts: list[int], values: dict[str, str], request_id: str, reason: str
) -> None:
    async with a_world() as world:
        for saved, definition in (("s", CALLED), ("event", WAITS), ("drained", CALLED)):
            await world.save(saved, definition)
        await world.shard.control.set_state("drained", ScenarioState.DRAINING, Existing.ASK, "", 0, "tester")
        with pytest.raises(CdpError) as refused:
            await world.shard.calls.start_runs(name, contacts, values, request_id)
        assert refused.value.reason == reason


async def test_another_scenario_starts_it_for_the_same_contact() -> None:
    async with a_world() as world:
        await world.save("s", replace(CALLED, trigger=ApiTrigger(("cart_id",))))
        blocks = (Block("one", StartScenario("s")), Block("none", StartScenario("nowhere")), Block("e", Exit()))
        await world.save("other", Definition(EventTrigger("cart_updated"), blocks))
        await world.append((1, cart("e1", world.clock.now_us())))
        await until(lambda: len(world.shard.runs.active) == 1)
        runs = {run.scenario: run for run in await world.runs()}
        assert (runs["s"].contact, runs["s"].values["cart_id"]) == (1, "c1")
        assert [step.outcome for step in runs["other"].steps] == [
            f"started:{runs['s'].run_id}", "refused:not_started_so", "exit",
        ]  # fmt: skip


async def test_the_greatest_number_of_entries_is_kept_over_restarts() -> None:
    async with a_world() as world:
        await world.save("s", replace(WAITS, entries_limit=2))
        for contact in (1, 2, 3):
            await world.append((contact, cart(f"e{contact}", world.clock.now_us())))
            await world.restart()
        assert {run.contact for run in await world.runs()} == {1, 2}
        assert world.shard.catalogue.states.of("s").entries == 2
        await world.save("s", replace(WAITS, entries_limit=3))
        await world.append((4, cart("e4", world.clock.now_us())))
        assert len(await world.runs()) == 3


async def test_another_run_starts_only_after_the_pause() -> None:
    definition = Definition(
        EventTrigger("cart_updated"), (Block("e", Exit()),), reentry=Reentry.AFTER, reentry_after_us=HOUR_US
    )  # fmt: skip
    async with a_world() as world:
        await world.save("s", definition)
        for number, wait_us in enumerate((0, HOUR_US - 1, 1)):
            await world.advance(wait_us)
            await world.append((1, cart(f"e{number}", world.clock.now_us())))
        assert [run.trigger_id for run in await world.runs()] == ["e2", "e0"]


async def test_paused_drained_and_stopped() -> None:
    async with a_world() as world:
        await world.save("s", WAITS)
        await world.append((1, cart("e1", world.clock.now_us())))
        for state in (ScenarioState.PAUSED, ScenarioState.DRAINING):
            await set_state(world, state)
            await world.append((2, cart(f"{state}", world.clock.now_us())))
            assert len(world.shard.runs.active) == 1, "it starts nothing"
        await world.restart()
        assert world.shard.catalogue.state("s") is ScenarioState.DRAINING
        await set_state(world, ScenarioState.PAUSED)
        await world.advance(DAY_US)
        assert world.channel.taken == {}, "runs stand still"
        await set_state(world, ScenarioState.DRAINING)
        await until(lambda: len(world.channel.taken) == 1)
        await set_state(world, ScenarioState.ACTIVE)
        await world.append(*((one, cart(f"f{one}", world.clock.now_us())) for one in (3, 4)))
        assert len(world.shard.runs.active) == 2
        await set_state(world, ScenarioState.STOPPED)
        assert len(world.shard.runs.active) == 0
        assert [run.end_reason for run in await world.runs()][:2] == ["scenario_stopped"] * 2
        audit, _ = world.shard.catalogue.definitions.audit(0, "")
        assert [one.action for one in audit] == [
            "stopped", "active", "draining", "paused", "draining", "paused", "saved",
        ]  # fmt: skip


async def test_a_new_version_keeps_the_state_and_a_deletion_forgets_it() -> None:
    async with a_world() as world:
        await world.save("s", WAITS)
        await set_state(world, ScenarioState.STOPPED)
        await world.save("s", replace(WAITS, description="newer"))
        assert world.shard.catalogue.state("s") is ScenarioState.STOPPED
        await world.shard.delete("s", "", "tester")
        await world.save("s", WAITS)
        await world.restart()
        assert world.shard.catalogue.state("s") is ScenarioState.ACTIVE
        etag = world.shard.catalogue.definitions.get("s").revision.etag
        with pytest.raises(CdpError, match="changed meanwhile"):
            await world.shard.control.set_state("s", ScenarioState.PAUSED, Existing.ASK, etag + "x", 0, "t")
        await world.save("s", replace(WAITS, paused=True))
        with pytest.raises(CdpError, match="saved as paused"):
            await set_state(world, ScenarioState.ACTIVE)


async def test_runs_are_stopped_all_or_some() -> None:
    async with a_world() as world:
        await world.save("s", WAITS)
        await world.save("other", WAITS)
        await world.append(*((one, cart(f"e{one}", world.clock.now_us())) for one in (1, 2, 3)))
        assert await world.shard.calls.stop_runs("s", [1, 9], "asked for") == 1
        assert await world.shard.calls.stop_runs("s", [], "") == 2
        assert await world.shard.calls.stop_runs("s", [], "") == 0
        assert sorted(run.end_reason for run in await world.runs()) == ["", "", "", "asked for", "stopped", "stopped"]
        await world.advance(DAY_US)
        assert {run.scenario for run in await world.runs() if run.end_reason == "completed"} == {"other"}


async def test_runs_are_moved_by_an_explicit_map() -> None:
    async with a_world() as world:
        await world.save("s", WAITS)
        await world.append(*((one, cart(f"e{one}", world.clock.now_us())) for one in (1, 2)))
        started_us = world.clock.now_us()
        newer = (Block("wait", Wait(5 * DAY_US)), Block("mail", Send("email", "newer")))
        await world.save("s", replace(WAITS, blocks=newer))
        await world.advance(HOUR_US)
        calls = world.shard.calls
        for blocks, reason in (({}, "say where they go"), ({"w": "nowhere"}, "no block")):
            with pytest.raises(CdpError, match=reason):
                await calls.migrate_runs("s", 1, 0, blocks)
        with pytest.raises(CdpError, match="runs of version 2"):
            await calls.migrate_runs("s", 2, 0, {})
        assert await calls.migrate_runs("s", 1, 2, {"w": "wait", "m": "mail"}) == [2, 0]
        assert await calls.migrate_runs("s", 1, 2, {"w": "wait"}) == [0, 0]
        await world.restart()
        runs = await world.runs()
        assert {(run.version, run.block, run.due_at_us) for run in runs} == {(2, "wait", started_us + DAY_US)}
        await world.advance(DAY_US - HOUR_US)
        assert world.channel.templates() == ["newer", "newer"]


async def test_a_move_to_another_kind_of_block_begins_it_anew_and_to_none_ends() -> None:
    async with a_world() as world:
        await world.save("s", WAITS)
        await world.append((1, cart("e1", world.clock.now_us())))
        await world.save("s", replace(WAITS, blocks=(Block("mail", Send("email", "newer")),)))
        assert await world.shard.calls.migrate_runs("s", 1, 0, {"w": "mail"}) == [1, 0]
        await until(lambda: world.channel.templates() == ["newer"])
        await world.append((2, cart("e2", world.clock.now_us())))
        await until(lambda: len(world.shard.runs.active) == 0)
        await world.save("s", WAITS)
        await world.append((3, cart("e3", world.clock.now_us())))
        await world.save("s", replace(WAITS, blocks=(Block("mail", Send("email", "newest")),)))
        await world.advance(MINUTE_US)
        assert await world.shard.calls.migrate_runs("s", 3, 0, {"w": ""}) == [0, 1]
        (ended,) = [run for run in await world.runs() if run.contact == 3]
        assert (ended.state, ended.end_reason) == (State.ENDED, "migrated")
