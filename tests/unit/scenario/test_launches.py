"""Starts of whole segments: schedules, existing members, products, edits; with progress, approval and restarts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pyroaring import BitMap

from cdp.segment.v1 import segment_pb2
from core.clock import DAY_US, HOUR_US, MINUTE_US
from core.errors import CdpError
from core.events.columns import Event
from core.events.facts import Erasure, Merge, ProductChange, ProductChangeKind, ProductState
from core.scenario.definition import (
    Block,
    Definition,
    Exit,
    ProductTrigger,
    Reentry,
    RfmTrigger,
    ScheduleTrigger,
    SegmentTrigger,
    Send,
    Trigger,
    Wait,
)
from core.scenario.launch import Launch
from core.scenario.run import State
from services.scenario.control import Existing
from services.scenario.states import ScenarioState
from tests.unit.scenario.plays import T0
from tests.unit.scenario.world import World, a_world, until

#: T0 is 2027-01-15 08:00 UTC, which is 03:00 in the workspace's zone.
DAILY = Definition(ScheduleTrigger("everybody", "0 4 * * *"), (Block("m", Send("email", "digest")),))
ENTERED = Definition(SegmentTrigger("everybody"), (Block("w", Wait(DAY_US)), Block("e", Exit())))
BACK = Definition(
    ProductTrigger(("back_in_stock",), "viewers"), (Block("m", Send("email", "back")),), reentry=Reentry.ONE_AT_A_TIME
)  # fmt: skip


def launch_of(world: World, scenario: str = "s") -> Launch:
    (launch,) = world.shard.launches.newest_first(scenario)
    return launch


async def done(world: World, count: int = 1) -> list[Launch]:
    """The launches, the newest first, once so many are done."""
    await until(lambda: sum(one.is_done for one in world.shard.launches) == count)
    return world.shard.launches.newest_first("")


async def test_a_schedule_starts_everybody_at_its_instant_and_once() -> None:
    async with a_world() as world:
        world.engine.segments["everybody"] = "among all contacts: email is missing"
        await world.save("s", DAILY)
        await world.advance(HOUR_US - 1)
        assert world.shard.launches.open() == []
        world.clock.advance(1)
        (launch,) = await done(world)
        assert (launch.due_at_us, launch.contacts, launch.started, launch.refused) == (T0 + HOUR_US, 5, 5, 0)
        await until(lambda: len(world.channel.taken) == 5)
        assert {run.trigger_at_us for run in await world.runs()} == {T0 + HOUR_US}
        await world.restart()
        await world.advance(HOUR_US)
        assert len(await done(world)) == 1
        world.clock.advance(DAY_US - HOUR_US)
        await done(world, 2)
        await until(lambda: len(world.channel.taken) == 10)


async def test_who_is_in_is_as_of_the_instant_however_late_it_is_asked() -> None:
    async with a_world() as world:
        world.engine.segments["everybody"] = "among all contacts: did signed_up"
        await world.save("s", DAILY)
        await world.append((1, sign_up(T0)), (2, sign_up(T0 + HOUR_US)), (3, sign_up(T0 + HOUR_US + 1)))
        world.engine.away = True
        world.clock.advance(HOUR_US)
        await until(lambda: len(world.shard.launches.open()) == 1)
        assert launch_of(world).held_by == "members"
        world.clock.advance(HOUR_US)
        world.engine.away = False
        await done(world)
        assert {run.contact for run in await world.runs()} == {1, 2}


async def test_of_the_instants_of_a_downtime_the_latest_is_launched() -> None:
    async with a_world() as world:
        world.engine.segments["everybody"] = "among all contacts: email is missing"
        await world.save("s", DAILY)
        await world.stop()
        world.clock.advance(3 * DAY_US + 5 * HOUR_US)
        await world.start()
        (launch,) = await done(world)
        assert launch.due_at_us == T0 + 3 * DAY_US + HOUR_US


async def test_a_paused_or_drained_schedule_misses_its_instants() -> None:
    async with a_world() as world:
        world.engine.segments["everybody"] = "among all contacts: email is missing"
        await world.save("s", DAILY)
        await set_state(world, ScenarioState.PAUSED)
        await world.advance(2 * HOUR_US)
        await set_state(world, ScenarioState.ACTIVE)
        await world.advance(HOUR_US)
        assert world.shard.launches.newest_first("") == []
        world.clock.advance(DAY_US)
        await done(world)


async def test_more_than_the_workspace_allows_needs_an_approval() -> None:
    async with a_world() as world:
        world.engine.segments["everybody"] = "among all contacts: email is missing"
        world.channel.approval_contacts = 4
        await world.save("s", DAILY)
        world.clock.advance(HOUR_US)
        await until(lambda: [one.held_by for one in world.shard.launches] == ["approval"])
        await world.restart()
        await world.advance(MINUTE_US)
        assert launch_of(world).started == 0
        await set_state(world, ScenarioState.PAUSED)
        for approved in (0, 4):
            with pytest.raises(CdpError) as refused:
                await set_state(world, ScenarioState.ACTIVE, approved=approved)
            assert refused.value.reason == "APPROVAL_NEEDED"
            assert refused.value.violations[0].description == "5"
        await set_state(world, ScenarioState.ACTIVE, approved=5)
        (launch,) = await done(world)
        assert launch.started == 5


async def test_activation_asks_about_members_who_are_there() -> None:
    async with a_world() as world:
        world.engine.segments["everybody"] = "among all contacts: email is missing"
        await world.save("s", ENTERED)
        await set_state(world, ScenarioState.PAUSED)
        with pytest.raises(CdpError) as refused:
            await set_state(world, ScenarioState.ACTIVE)
        assert (refused.value.reason, refused.value.violations[0].description) == ("EXISTING_MEMBERS", "5")
        assert world.shard.catalogue.state("s") is ScenarioState.PAUSED
        assert await set_state(world, ScenarioState.ACTIVE, Existing.LEAVE_OUT) == 5
        assert world.shard.launches.newest_first("") == []
        await set_state(world, ScenarioState.PAUSED)
        assert await set_state(world, ScenarioState.ACTIVE, Existing.START) == 5
        (launch,) = await done(world)
        assert (launch.kind.value, launch.started) == ("existing", 5)
        await until(lambda: len(world.shard.runs.active) == 5)


async def test_a_repeated_activation_starts_nobody_twice() -> None:
    async with a_world() as world:
        world.engine.segments["everybody"] = "among all contacts: email is missing"
        await world.save("s", replace(ENTERED, reentry=Reentry.ALWAYS))
        for _ in range(3):
            await set_state(world, ScenarioState.ACTIVE, Existing.START)
            await done(world)
        assert len(await world.runs()) == 5


async def test_a_product_starts_each_contact_of_its_segment_and_each_product() -> None:
    async with a_world() as world:
        world.engine.segments["viewers"] = "among all contacts: did product_viewed (product_id = :product_id)"
        await world.save("s", BACK)
        await world.append(
            *((contact, viewed(contact, product)) for contact, product in ((1, "p1"), (2, "p1"), (2, "p2"), (3, "p3"))),
            seen=True,
        )
        await world.append(facts=[back("p1"), back("p2"), back("p4"), replace(back("p3"), changes=())])
        launches = await done(world, 2)
        assert sorted(one.contacts or 0 for one in launches) == [1, 2], "one without contacts is not listed"
        runs = await world.runs()
        assert sorted((run.contact, run.values["product_id"]) for run in runs) == [(1, "p1"), (2, "p1"), (2, "p2")]
        await until(lambda: len(world.channel.taken) == 3)


async def test_a_restart_in_the_middle_of_a_product_doubles_and_loses_nothing() -> None:
    async with a_world() as world:
        world.engine.segments["viewers"] = "among all contacts: did product_viewed (product_id = :product_id)"
        await world.save("s", replace(BACK, reentry=Reentry.ALWAYS))
        await world.contacts(*range(6, 300))
        await world.append(*((contact, viewed(contact, "p1")) for contact in range(1, 300)))
        await world.append(facts=[back("p1")])
        for _ in range(3):
            await world.restart()
        (launch,) = await done(world)
        assert (launch.started, launch.refused) == (299, 0)
        assert len(await world.runs()) == 299


async def test_two_who_became_one_are_started_once() -> None:
    async with a_world() as world:
        world.engine.segments["everybody"] = "among all contacts: email is missing"
        world.channel.approval_contacts = 4
        await world.save("s", replace(DAILY, reentry=Reentry.ALWAYS))
        world.clock.advance(HOUR_US)
        await until(lambda: [one.held_by for one in world.shard.launches] == ["approval"])
        await world.append(facts=[Merge(2, 4, 0), Merge(3, 5, 0), Erasure(3, 0)])
        await set_state(world, ScenarioState.ACTIVE, approved=5)
        (launch,) = await done(world)
        assert (launch.started, launch.refused) == (2, 3)
        assert sorted(run.contact for run in await world.runs()) == [1, 2]


async def test_a_drained_scenario_starts_no_more_of_its_launch() -> None:
    async with a_world() as world:
        world.engine.segments["everybody"] = "among all contacts: email is missing"
        await world.save("s", ENTERED)
        await set_state(world, ScenarioState.PAUSED)
        world.engine.away = True  # it counts, but says of nobody who they are
        await set_state(world, ScenarioState.ACTIVE, Existing.START)
        await set_state(world, ScenarioState.DRAINING)
        (launch,) = await done(world)
        assert (launch.cancelled, launch.contacts) == ("scenario_drained", None)
        world.engine.away = False
        await set_state(world, ScenarioState.ACTIVE, Existing.LEAVE_OUT)
        await world.idle()
        assert await world.runs() == []


@pytest.mark.parametrize(("causes", "expected"), [((), 0), (("edit",), 2)])
async def test_an_edit_starts_those_who_entered_if_the_scenario_says_so(causes: tuple[str, ...], expected: int) -> None:
    async with a_world() as world:
        await world.save("s", replace(ENTERED, causes=causes))
        for cause in (segment_pb2.CAUSE_CREATED, segment_pb2.CAUSE_EDIT):
            world.engine.memberships.append(bulk(world, cause, 2, 4))
        world.engine.memberships.append(
            segment_pb2.WatchResponse(
                memberships=[
                    segment_pb2.Membership(
                        contact=5,
                        segment="everybody",
                        change=segment_pb2.CHANGE_ENTERED,
                        effective_at_us=world.clock.now_us(),
                        recorded_at_us=world.clock.now_us(),
                        cause=segment_pb2.CAUSE_EVENT,
                    )
                ]
            )
        )
        await until(lambda: len(world.shard.runs.active) == 1 + expected)
        assert {run.contact for run in await world.runs()} == {5, 2, 4} if expected else {5}
        assert all(run.state is State.WAITING for run in await world.runs())


async def set_state(world: World, state: ScenarioState, existing: Existing = Existing.ASK, approved: int = 0) -> int:
    return await world.shard.control.set_state("s", state, existing, "", approved, "tester")


def bulk(world: World, cause: segment_pb2.Cause.ValueType, *contacts: int) -> segment_pb2.WatchResponse:
    change = segment_pb2.BulkMembership(
        segment="everybody",
        entered_roaring=BitMap(contacts).serialize(),
        left_roaring=BitMap().serialize(),
        recorded_at_us=world.clock.now_us(),
        cause=cause,
    )
    return segment_pb2.WatchResponse(bulk=[change])


def sign_up(at_us: int) -> Event:
    return Event(f"s{at_us}", "signed_up", at_us, at_us, (), {}, (), 0)


def viewed(contact: int, product_id: str) -> Event:
    return Event(f"v{contact}-{product_id}", "product_viewed", T0, T0, (), {"product_id": product_id}, (), 0)


def back(product_id: str) -> ProductState:
    return ProductState(product_id, {"stock": 3}, T0, 0, (ProductChange(ProductChangeKind.BACK_IN_STOCK),))


async def test_moves_between_cells_by_their_segments() -> None:
    async with a_world() as world:
        trigger = RfmTrigger("purchases", ("VIP", "regulars"), ("at risk",))
        await world.save("s", Definition(trigger, (Block("w", Wait(DAY_US)), Block("e", Exit()))))
        assert sorted(world.engine.segments) == [
            "rfm cell: purchases / VIP", "rfm cell: purchases / at risk", "rfm cell: purchases / regulars",
        ]  # fmt: skip
        world.engine.segments.pop("rfm cell: purchases / VIP")
        await world.restart()
        await until(lambda: len(world.engine.segments) == 3)
        for contact, from_cell, to_cell, cause in (
            (1, "VIP", "at risk", segment_pb2.CAUSE_POPULATION),
            (2, "", "at risk", segment_pb2.CAUSE_EVENT),
            (3, "VIP", "regulars", segment_pb2.CAUSE_EVENT),
            (4, "VIP", "at risk", segment_pb2.CAUSE_EDIT),
            (5, "regulars", "at risk", segment_pb2.CAUSE_TIME),
        ):
            world.engine.memberships.append(a_move(world, contact, from_cell, to_cell, cause))
        await until(lambda: len(world.shard.runs.active) == 2)
        told = {(run.contact, run.values["from_cell"], run.values["to_cell"]) for run in await world.runs()}
        assert told == {(1, "VIP", "at risk"), (5, "regulars", "at risk")}


@pytest.mark.parametrize(
    ("trigger", "path"),
    [
        (RfmTrigger("purchases", ("nowhere",)), "trigger.rfm.from_cells"),
        (RfmTrigger("none"), "trigger.rfm.model"),
        (ScheduleTrigger("none", "0 4 * * *"), "trigger.schedule.segment"),
        (ScheduleTrigger("viewers", "0 4 * * *"), "trigger.schedule.segment"),
        (ProductTrigger(("new",), "none"), "trigger.product.segment"),
        (ProductTrigger(("new",), "everybody"), "trigger.product.segment"),
    ],
)
async def test_a_trigger_that_names_what_is_not_there_is_refused(trigger: Trigger, path: str) -> None:
    async with a_world() as world:
        world.engine.segments["everybody"] = "among all contacts: email is missing"
        world.engine.segments["viewers"] = "among all contacts: did product_viewed (product_id = :product_id)"
        with pytest.raises(CdpError) as refused:
            await world.save("s", Definition(trigger, (Block("e", Exit()),)))
        assert (refused.value.reason, refused.value.violations[0].path) == ("SCENARIO_INVALID", path)


def a_move(
    world: World, contact: int, from_cell: str, to_cell: str, cause: segment_pb2.Cause.ValueType
) -> segment_pb2.WatchResponse:
    """One step out of a cell, if one is given, and into another."""
    now_us = world.clock.now_us()
    changes = [(from_cell, segment_pb2.CHANGE_LEFT)] if from_cell else []
    changes.append((to_cell, segment_pb2.CHANGE_ENTERED))
    return segment_pb2.WatchResponse(
        memberships=[
            segment_pb2.Membership(
                contact=contact, segment=f"rfm cell: purchases / {cell}", change=change, cause=cause,
                effective_at_us=now_us, recorded_at_us=now_us,
            )
            for cell, change in changes
        ]
    )  # fmt: skip
