"""Dry runs on past data: the same machine by a virtual clock, nothing started and nothing sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from cdp.channel.v1 import channel_pb2
from cdp.facts.v1 import facts_pb2
from cdp.profile.v1 import profile_pb2
from cdp.scenario.v1 import scenario_pb2
from core.clock import DAY_US, HOUR_US, MINUTE_US
from core.events.columns import IMPORTED, MACHINE, Event
from core.events.facts import AttributeWrite
from core.scenario.commands import SendMessage
from core.scenario.definition import (
    Block,
    Definition,
    FieldTrigger,
    ScheduleTrigger,
    Send,
    Wait,
)
from services.scenario.convert import definition_to_proto
from services.scenario.dry_call import dry_run
from services.scenario.dry_holds import Holds, Rules, rules_from_proto
from services.scenario.dry_run import DryReport
from tests.carts import abandoned_cart
from tests.unit.scenario.plays import T0, cart
from tests.unit.scenario.world import WORKSPACE, World, a_world

START = T0 - 40 * DAY_US


async def rehearsed(world: World, definition: Definition, until_us: int = 0, most: int = 0) -> DryReport:
    request = scenario_pb2.DryRunRequest(
        scenario=definition_to_proto(definition), from_us=START, until_us=until_us, most_entries=most
    )
    report = await dry_run(world.runtime, WORKSPACE, world.shard.catalogue, world.shard.runs.people, request)
    assert await world.runs() == []
    assert world.channel.calls == []
    return report


def bought(contact: int, at_us: int) -> Event:
    return Event(f"o{contact}", "order_completed", at_us, at_us, (), {"cart_id": f"c{contact}"}, (), IMPORTED)


def carted(contact: int, at_us: int, flags: int = IMPORTED) -> Event:
    return cart(f"cart-{contact}-{at_us}", at_us, {"cart_id": f"c{contact}"}, flags=flags)


async def test_runs_without_a_value_are_no_entries() -> None:
    async with a_world() as world:
        nameless = (replace(carted(1, START + at_us), params={}) for at_us in (0, 1, 2))
        await world.append(*((1, event) for event in nameless), (1, carted(1, START + HOUR_US)))
        report = await rehearsed(world, replace(abandoned_cart(), entries_limit=1))
        assert (report.entered, report.refused) == (1, 0)
        assert dict(report.ends) == {"missing_value:cart_id": 1, "done": 1}


async def test_the_abandoned_cart_of_last_month() -> None:
    async with a_world() as world:
        await world.append(
            (1, carted(1, START)),  # never bought: all three messages
            (2, carted(2, START)),
            (2, bought(2, START + HOUR_US)),  # within the first wait: none
            (3, carted(3, START)),
            (3, carted(3, START + MINUTE_US)),  # the same cart again: one run
            (3, bought(3, START + 2 * DAY_US)),  # the first two
            (4, carted(4, START - 1)),  # before
            (5, carted(5, START, MACHINE)),
            (5, carted(5, T0 - HOUR_US)),  # still waiting
        )
        report = await rehearsed(world, abandoned_cart())
        assert (report.entered, report.refused, report.truncated) == (4, 1, False)
        assert dict(report.ends) == {"exit_when": 2, "done": 1, "unfinished": 1}
        told = sorted((one.contact, one.handed.at_us - START, one.block) for one in report.messages)
        assert told == [
            (1, 2 * HOUR_US, "email"),
            (1, 2 * HOUR_US + DAY_US, "second"),
            (1, 3 * DAY_US, "offer"),
            (3, 2 * HOUR_US, "email"),
            (3, 2 * HOUR_US + DAY_US, "second"),
        ]
        assert {one.handed.held_by for one in report.messages} == {"NO_ADDRESS", "CONSENT"}
        assert (await rehearsed(world, abandoned_cart(), most=2)).truncated
        assert (await rehearsed(world, abandoned_cart(), until_us=T0 - DAY_US)).entered == 3


async def test_changes_of_an_attribute_and_the_clock() -> None:
    async with a_world() as world:
        world.engine.segments["golden"] = 'among all contacts: city = "gold"'
        writes = ((1, "gold", 0), (1, "silver", 9), (1, "gold", 10), (2, "gold", 1), (2, "gold", 2), (3, None, 3))
        await world.append(
            facts=[AttributeWrite(one, "city", value, START + at * DAY_US, True, 0) for one, value, at in writes]
        )
        blocks = (Block("m", Send("email", "hello")),)
        assert (await rehearsed(world, Definition(FieldTrigger("city", new="gold"), blocks))).entered == 3
        held = FieldTrigger("city", new="gold", held_for_us=9 * DAY_US)
        assert (await rehearsed(world, Definition(held, blocks))).entered == 2
        weekly = Definition(ScheduleTrigger("golden", "0 9 * * mon"), (Block("w", Wait(MINUTE_US)), *blocks))
        report = await rehearsed(world, weekly)
        assert report.entered == len(report.messages) > 5
        assert {one.contact for one in report.messages} == {1, 2}


def profile(contact: int = 1, **states: str) -> profile_pb2.Profile:
    consents = [profile_pb2.Consent(channel=channel, state=state) for channel, state in states.items()]
    email = facts_pb2.Identifier(kind="email", value="a@b.example")
    return profile_pb2.Profile(contact=contact, key=f"k{contact}", identifiers=[email], consents=consents)


def message(number: int, **fields: object) -> SendMessage:
    given: Mapping[str, object] = {"channel": "email", "kind": "trigger", **fields}
    return SendMessage(
        message_id=str(number), contact=1, template="t", values={}, items=(), step="s", upstream_position=0, **given  # type: ignore[arg-type]
    )  # fmt: skip


def test_what_holds_messages_back() -> None:
    rules = rules_from_proto(
        channel_pb2.Settings(
            caps=[channel_pb2.Cap(name="day", limit=2, period=channel_pb2.CAP_PERIOD_DAY)],
            quiet_hours=[channel_pb2.QuietHours(**{"from": "21:00", "until": "08:30"})],
        )
    )
    holds = Holds(rules, "UTC")
    granted = profile(email="granted")
    first = holds.hand(message(1, content="a"), granted, T0)  # 08:00: waits until 08:30
    assert (first.at_us, first.held_by) == (T0 + 30 * MINUTE_US, "")
    assert holds.hand(message(2, content="a"), granted, T0 + HOUR_US).held_by == "CONTENT"
    assert holds.hand(message(3), granted, T0 + HOUR_US).held_by == ""
    assert holds.hand(message(4), granted, T0 + HOUR_US).held_by == "CAP"
    assert holds.hand(message(5, kind="transactional"), granted, T0 + HOUR_US).held_by == ""
    assert holds.hand(message(6), granted, T0 + DAY_US + HOUR_US).held_by == ""


def test_consents_and_addresses_hold() -> None:
    holds = Holds(Rules(), "UTC")
    held = {
        "no consent": holds.hand(message(1), profile(), T0).held_by,
        "denied": holds.hand(message(2), profile(email="denied"), T0).held_by,
        "no phone": holds.hand(message(3, channel="sms"), profile(sms="granted"), T0).held_by,
        "nobody": holds.hand(message(4), None, T0).held_by,
        "transactional": holds.hand(message(5, kind="transactional"), profile(email="denied"), T0).held_by,
        "suppressed": holds.hand(message(6, kind="transactional"), profile(email="suppressed"), T0).held_by,
        "inbox": holds.hand(message(7, channel="inbox"), profile(), T0).held_by,
        "inbox denied": holds.hand(message(8, channel="inbox"), profile(inbox="denied"), T0).held_by,
    }
    assert held == {
        "no consent": "CONSENT", "denied": "CONSENT", "no phone": "NO_ADDRESS", "nobody": "NO_ADDRESS",
        "transactional": "", "suppressed": "CONSENT", "inbox": "", "inbox denied": "CONSENT",
    }  # fmt: skip
    group = holds.hand(message(9, channel="sms", alternatives=(("email", "u"),)), profile(email="granted"), T0)
    assert (group.channel, group.template, group.held_by) == ("email", "u", "")
