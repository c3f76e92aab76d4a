"""Campaigns to people in five zones under caps, by several callers, with crashes in between; and the count after."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from cdp.channel.v1 import channel_pb2
from cdp.facts.v1 import facts_pb2
from cdp.profile.v1 import profile_pb2
from core.clock import HOUR_US, MINUTE_US, SECOND_US
from core.delivery.outbox import Accepted, Deferred, Outcome, Rejected, Unknown
from core.errors import CdpError
from tests.unit.channel.taking import Taken, TakingSender
from tests.unit.channel.world import World, outgoing

ZONES = ("UTC", "Europe/Vienna", "America/New_York", "Asia/Kolkata", "Pacific/Apia")
PER_DAY, PER_WEEK, PER_TWELVE_HOURS = 2, 5, 1
_ROLLING_US = 12 * HOUR_US


@dataclass(frozen=True, slots=True)
class Plan:
    """How much, and how often everything stops in the midst of it."""

    campaigns: int
    contacts: int
    callers: int
    crashes: int


async def send_all(world: World, plan: Plan, chance: random.Random) -> TakingSender:
    """Send every campaign to everybody; returns the sender with what it was given. Afterwards nothing is on its way."""
    taking = TakingSender(world.clock)
    taking.answer_s = 0.002
    world.senders["sms"] = taking
    world.drain_s = 0.0
    await world.stop()
    await world.start()
    await world.save_template("text", channel="sms", subject="", body_text='"{{ contact.first_name }}"')
    await world.set(
        caps=[
            channel_pb2.Cap(name="day", limit=PER_DAY, period=channel_pb2.CAP_PERIOD_DAY),
            channel_pb2.Cap(name="week", limit=PER_WEEK, period=channel_pb2.CAP_PERIOD_WEEK),
            channel_pb2.Cap(
                name="hours",
                limit=PER_TWELVE_HOURS,
                period=channel_pb2.CAP_PERIOD_ROLLING,
                rolling_us=_ROLLING_US,
                category="offers",
            ),
        ]
    )
    for contact in range(1, plan.contacts + 1):
        _person(world, contact, ZONES[contact % len(ZONES)])
    taking.answer = lambda taken: _answer(chance)
    crashes = set(chance.sample(range(plan.campaigns), plan.crashes))
    for first in range(0, plan.campaigns, plan.callers):
        group = range(first, min(first + plan.callers, plan.campaigns))
        calls = [asyncio.create_task(_campaign(world, number, plan.contacts)) for number in group]
        if crashes & set(group):
            await _crash(world, taking, chance)
        await asyncio.gather(*calls)
        if chance.randrange(4):  # otherwise they meet the next ones
            await _until_idle(world)
        world.clock.advance(chance.choice((SECOND_US, 20 * MINUTE_US, 3 * HOUR_US, 13 * HOUR_US)))
    while world.shard.state.pending:
        await _until_idle(world)
        world.clock.advance(MINUTE_US)
    return taking


def passed_caps(taken: Iterable[Taken], contacts: int) -> list[str]:
    """Every cap that was passed, counted from its definition alone: local dates, ISO weeks and distances."""
    to: dict[int, list[Taken]] = defaultdict(list)
    for one in taken:
        to[int(one.address[3:])].append(one)
    assert set(to) <= set(range(1, contacts + 1))
    passed = []
    for contact, calls in to.items():
        zone = ZoneInfo(ZONES[contact % len(ZONES)])
        local = [datetime.fromtimestamp(one.at_us / SECOND_US, zone) for one in calls]
        days = [moment.date() for moment in local]
        weeks = [moment.isocalendar()[:2] for moment in local]
        passed += [f"{contact} on {day}" for day in set(days) if days.count(day) > PER_DAY]
        passed += [f"{contact} in week {week}" for week in set(weeks) if weeks.count(week) > PER_WEEK]
        offers = sorted(one.at_us for one in calls if "offers" in one.message_id)
        passed += [
            f"{contact} after {late - early} us"
            for early, late in zip(offers, offers[PER_TWELVE_HOURS:], strict=False)
            if late - early < _ROLLING_US
        ]
    return passed


async def _until_idle(world: World) -> None:
    """Return once nothing is left that is due now."""
    for _ in range(10_000):
        now_us = world.clock.now_us()
        if not any(record.delivery.due_at_us <= now_us for record in world.shard.state.pending.values()):
            return
        await world.log.waiter.wait_wake(0.01)
    raise AssertionError(f"{len(world.shard.state.pending)} messages are still on their way")


def _person(world: World, contact: int, zone: str) -> None:
    world.peers.add(contact, "")
    profile = world.peers.profiles[contact]
    profile.identifiers.append(facts_pb2.Identifier(kind="phone", value=f"+43{contact}"))
    profile.consents.append(profile_pb2.Consent(channel="sms", state="granted", occurred_at_us=1))
    world.peers.place(contact, zone)


def _answer(chance: random.Random) -> Outcome:
    """Mostly yes; an unknown fate counts as one that arrived."""
    number = chance.randrange(20)
    if number == 0:
        return Rejected("NUMBER_BLOCKED", "")
    if number == 1:
        return Unknown("NO_ANSWER")
    return Deferred("BUSY", "") if number in (2, 3) else Accepted("taken")


async def _campaign(world: World, number: int, contacts: int) -> None:
    """Hand a campaign over, again until it is taken: whoever calls does so after a crash."""
    kind = "offers" if number % 2 else "news"
    messages = [
        outgoing(f"{kind}-{number}-{contact}", contact, channel="sms", template="text", kind="promo", category=kind)
        for contact in range(1, contacts + 1)
    ]
    while True:
        try:
            await world.send(*messages)
            return
        except CdpError as error:
            assert error.reason in ("FENCED", "LOG_UNAVAILABLE"), error
            await asyncio.sleep(0.01)


async def _crash(world: World, taking: TakingSender, chance: random.Random) -> None:
    """Stop in the midst of it, half the time while messages have arrived and nobody here knows; and start again on what
    is durable."""
    wanted = chance.randrange(2) * chance.randrange(1, 20)
    for _ in range(chance.randrange(1, 400)):
        await asyncio.sleep(0)
        if 0 < wanted <= taking.under_way:
            break
    await world.stop()
    await world.start()
