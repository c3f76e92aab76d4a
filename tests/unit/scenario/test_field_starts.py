"""Runs that a change of an attribute starts: at once, after it has held, and never by late or repeated writes."""

from __future__ import annotations

from core.clock import DAY_US, HOUR_US, MINUTE_US
from core.events.facts import AttributeWrite, Merge, Unmerge
from core.scenario.definition import Block, Definition, Exit, FieldTrigger
from core.scenario.run import Run
from services.scenario.control import Existing
from services.scenario.states import ScenarioState
from tests.unit.scenario.world import World, a_world, until

CHANGED = Definition(FieldTrigger("tier"), (Block("e", Exit()),))
HELD = Definition(FieldTrigger("tier", new="gold", held_for_us=DAY_US), (Block("e", Exit()),))


async def write(world: World, contact: int, value: str | None, before_us: int = 0) -> None:
    """Tell of a write that happened so long ago, and let what follows of it happen."""
    at_us = world.clock.now_us() - before_us
    await world.append(facts=[AttributeWrite(contact, "tier", value, at_us, False, 0)])
    await looked(world)


async def looked(world: World) -> None:
    """Wait until every write that is due was looked at."""
    checks = world.shard.field_checks
    await until(lambda: not checks.due(world.clock.now_us(), 1))
    await world.idle()


async def told(world: World) -> list[tuple[int, object, object]]:
    """(contact, old, new) of the runs, the earliest first."""
    runs: list[Run] = (await world.runs())[::-1]
    return [(run.contact, run.values.get("old"), run.values.get("new")) for run in runs]


async def test_every_change_of_what_is_present_starts_a_run() -> None:
    async with a_world() as world:
        await write(world, 1, "bronze")
        await world.save("s", CHANGED)
        world.clock.advance(MINUTE_US)
        await write(world, 1, "silver")
        world.clock.advance(MINUTE_US)
        await write(world, 1, "silver")  # the same again
        await write(world, 1, "bronze", 90_000_000)  # late: what is present is silver
        world.clock.advance(MINUTE_US)
        await write(world, 1, None)
        world.clock.advance(MINUTE_US)
        await write(world, 2, "gold")
        assert await told(world) == [(1, "bronze", "silver"), (1, "silver", None), (2, None, "gold")]


async def test_a_value_has_to_hold() -> None:
    async with a_world() as world:
        await world.save("s", HELD)
        await write(world, 1, "gold")
        await write(world, 2, "gold")
        await write(world, 3, "silver")
        world.clock.advance(HOUR_US)
        await write(world, 2, "silver")
        await world.restart()
        await world.advance(23 * HOUR_US - 1)
        await looked(world)
        assert await told(world) == []
        world.clock.advance(1)
        await looked(world)
        assert await told(world) == [(1, None, "gold")]
        assert len(world.shard.field_checks) == 0


async def test_a_write_waits_for_unification_and_survives_a_restart() -> None:
    async with a_world() as world:
        await world.save("s", CHANGED)
        world.profiles.away = True
        await world.append(facts=[AttributeWrite(1, "tier", "gold", world.clock.now_us(), False, 0)])
        await until(lambda: world.profiles.histories > 0)
        await world.restart()
        assert await told(world) == []
        world.profiles.away = False
        await looked(world)
        await world.restart()
        await looked(world)
        assert await told(world) == [(1, None, "gold")]


async def test_what_starts_nothing() -> None:
    async with a_world() as world:
        await world.save("s", CHANGED)
        now_us = world.clock.now_us()
        imported = AttributeWrite(1, "tier", "gold", now_us, True, 0)
        old = AttributeWrite(2, "tier", "gold", now_us - HOUR_US - 1, False, 0)
        other = AttributeWrite(3, "city", "Kyiv", now_us, False, 0)
        await world.append(facts=[imported, old, other])
        # An unmerge tells both people anew, with the instants that their writes had.
        await world.append(facts=[Merge(4, 5, 0)])
        anew = AttributeWrite(5, "tier", "gold", now_us, False, 0, item=1)
        await world.append(facts=[Unmerge(4, 5, "key-5", (), now_us, 0, item=1), anew])
        assert len(world.shard.field_checks) == 0
        # A scenario that is paused when the write is looked at.
        world.profiles.away = True
        await world.append(facts=[AttributeWrite(1, "tier", "silver", now_us, False, 0)])
        await until(lambda: len(world.shard.field_checks) == 1)
        await world.shard.control.set_state("s", ScenarioState.DRAINING, Existing.ASK, "", 0, "tester")
        world.profiles.away = False
        await until(lambda: len(world.shard.field_checks) == 0)
        assert await told(world) == []
