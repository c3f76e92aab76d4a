"""A frequency cap is never exceeded, whoever sends, whatever stops in the midst of it, and wherever the day begins."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest

from tests.fault.capped import Plan, passed_caps, send_all
from tests.unit.channel.world import World, a_world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with a_world() as made:
        yield made


async def test_a_few_campaigns_with_crashes_pass_no_cap(world: World) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    taking = await send_all(world, Plan(8, 30, 4, 2), random.Random(seed))
    assert passed_caps(taking.arrived, 30) == []
    assert len(taking.arrived) > 30


@pytest.mark.fault
async def test_50_campaigns_to_200_people_by_4_callers_pass_no_cap(world: World) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    taking = await send_all(world, Plan(50, 200, 4, 12), random.Random(seed))
    assert passed_caps(taking.arrived, 200) == []
    assert len(taking.arrived) > 500
