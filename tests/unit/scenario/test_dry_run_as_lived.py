"""A dry run says of the past what happened in it: the same scenario lived through, and rehearsed afterwards."""

from __future__ import annotations

import random

import pytest

from cdp.scenario.v1 import scenario_pb2
from core.clock import DAY_US, HOUR_US, MINUTE_US
from core.events.columns import Event
from core.scenario.definition import Definition, Reentry
from services.scenario.convert import definition_to_proto
from services.scenario.dry_call import dry_run
from tests.carts import abandoned_cart
from tests.unit.scenario.plays import LINES, cart
from tests.unit.scenario.world import WORKSPACE, World, a_world

CONTACTS = (1, 2, 3, 4, 5)


async def live_until(world: World, until_us: int) -> None:
    """Let time pass from timer to timer, so that each is acted upon at its own instant."""
    while True:
        due = [run.due_at_us for run in world.shard.runs.active.values() if world.clock.now_us() < run.due_at_us]
        next_us = min([*due, until_us])
        world.clock.set(max(next_us, world.clock.now_us()))
        await world.idle()
        if next_us >= until_us:
            return


def happening(chance: random.Random, number: int, at_us: int) -> Event:
    """A cart that is filled, changed or emptied, or bought."""
    cart_id = {"cart_id": f"c{chance.randrange(2)}"}
    if chance.random() < 0.3:
        return Event(f"o{number}", "order_completed", at_us, at_us, (), cart_id, (), 0)
    return cart(f"e{number}", at_us, cart_id, LINES if chance.random() < 0.85 else ())


@pytest.mark.parametrize("reentry", [Reentry.ONE_AT_A_TIME, Reentry.ALWAYS])
async def test_a_rehearsal_is_what_happened(reentry: Reentry) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    scenario: Definition = abandoned_cart()
    scenario = Definition(scenario.trigger, scenario.blocks, scenario.exit_when, reentry)
    async with a_world() as world:
        await world.save("n3", scenario)
        world.clock.advance(MINUTE_US)
        from_us = world.clock.now_us()
        for number in range(60):
            await live_until(world, world.clock.now_us() + chance.randrange(1, 20 * 60) * MINUTE_US + 1)
            await world.append((chance.choice(CONTACTS), happening(chance, number, world.clock.now_us())))
        await live_until(world, world.clock.now_us() + 6 * DAY_US + HOUR_US)
        runs = await world.runs()
        assert all(run.ended_at_us for run in runs)
        lived = sorted(
            (step.at_us, run.contact, step.block)
            for run in runs
            for step in run.steps
            if step.outcome.startswith("sent:")
        )
        request = scenario_pb2.DryRunRequest(scenario=definition_to_proto(scenario), from_us=from_us)
        report = await dry_run(world.runtime, WORKSPACE, world.shard.catalogue, world.shard.runs.people, request)
        told = sorted((one.handed.at_us, one.contact, one.block) for one in report.messages)
        assert told == lived
        assert report.entered == len(runs)
        ends = [run.end_reason for run in runs]
        assert dict(report.ends) == {reason: ends.count(reason) for reason in set(ends)}
