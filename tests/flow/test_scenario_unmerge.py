"""Runs follow merges that are taken back: real wire protocol, real evaluator, memory log, manual clock."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from cdp.segment.v1 import segment_pb2
from core.clock import DAY_US, HOUR_US, MINUTE_US
from core.events.columns import Event
from core.events.facts import ContactFact, ContactState, Erasure, Merge, Unmerge
from core.scenario.definition import Block, Definition, EventTrigger, Reentry, SegmentTrigger, Send, Wait
from services.scenario.codec import decode_ended, decode_run, encode_run
from services.scenario.people import People
from tests.carts import abandoned_cart
from tests.unit.scenario.plays import T0, cart
from tests.unit.scenario.world import World, a_world, until

ONCE = Definition(
    EventTrigger("signed_up"), (Block("mail", Send("email", "hello")),), reentry=Reentry.ONCE
)  # fmt: skip
NOT_OPENED = Definition(
    EventTrigger("signed_up"),
    (Block("wait", Wait(HOUR_US)), Block("mail", Send("email", "hello"))),
    exit_when="did not product_viewed",
)
ON_VIP = Definition(SegmentTrigger("VIP"), (Block("mail", Send("email", "hello")),))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with a_world() as made:
        yield made


def unmerge(
    survivor: int, restored: int, *events: Event, parts: tuple[int, ...] = (), before_event: int = 0
) -> list[ContactFact]:
    """What unification says when a merge is taken back, both contacts known and reachable by mail."""
    ids, instants = tuple(one.id for one in events), tuple(one.occurred_at_us for one in events)
    undone = Unmerge(survivor, restored, f"key-{restored}", ids, T0, before_event, 7, instants, parts)
    states = (ContactState(one, f"key-{one}", True, 1, T0, before_event, item=7) for one in (survivor, restored))
    return [undone, *states]


def happened(event_type: str, event_id: str, at_us: int = T0) -> Event:
    return Event(event_id, event_type, at_us, at_us, (), {})


async def contacts_by_trigger(world: World) -> dict[str, int]:
    return {run.trigger_id: run.contact for run in await world.runs()}


@pytest.mark.parametrize("restarted", [False, True])
async def test_runs_go_back_with_their_timers_and_send_once(world: World, restarted: bool) -> None:
    await world.save("cart", abandoned_cart())
    mine, theirs = cart("mine", params={"cart_id": "c1"}), cart("theirs", params={"cart_id": "c2"})
    late = cart("late", params={"cart_id": "c3"})
    await world.append((1, mine), (2, theirs))
    await world.append(facts=[Merge(1, 2, 0)])
    await world.append((1, late), parts=[2])
    assert await contacts_by_trigger(world) == {"mine": 1, "theirs": 1, "late": 1}
    if restarted:
        await world.restart()
    await world.advance(MINUTE_US)
    await world.append(facts=unmerge(1, 2, theirs, late))
    if restarted:
        await world.restart()
    assert await contacts_by_trigger(world) == {"mine": 1, "theirs": 2, "late": 2}
    await world.advance(2 * HOUR_US - MINUTE_US - 1)
    assert world.channel.calls == []
    await world.advance(1)
    sent = sorted((message.values["cart_id"].text, message.contact) for message in world.channel.taken.values())
    assert sent == [("c1", 1), ("c2", 2), ("c3", 2)]
    assert len(world.channel.calls) == 3


async def test_an_event_after_the_unmerge_meets_the_runs_of_its_own_contact(world: World) -> None:
    await world.save("cart", abandoned_cart())
    mine, theirs = cart("mine", params={"cart_id": "c1"}), cart("theirs", params={"cart_id": "c1"})
    await world.append((1, mine))
    await world.append(facts=[Merge(1, 2, 0)])
    bought = Event("b", "order_completed", T0, T0, (), {"cart_id": "c1"})
    facts = unmerge(1, 2, theirs, before_event=1)
    await world.append((1, happened("product_viewed", "v")), (2, bought), facts=facts)
    assert (await world.run()).end_reason == ""
    await world.append((1, bought))
    assert (await world.run()).end_reason == "exit_when"


async def test_an_exit_that_holds_without_the_others_facts_ends_the_run(world: World) -> None:
    await world.save("view", NOT_OPENED)
    viewed = happened("product_viewed", "v")
    await world.append((2, viewed))
    await world.append(facts=[Merge(1, 2, 0)])
    await world.append((1, happened("signed_up", "s")))
    assert (await world.run()).end_reason == ""
    await world.append(facts=unmerge(1, 2, viewed))
    assert (await world.run()).end_reason == "exit_when"


async def test_nothing_starts_by_an_unmerge(world: World) -> None:
    await world.save("vip", ON_VIP)
    await world.save("cart", abandoned_cart())
    await world.append(facts=[Merge(1, 2, 0)])
    moved = cart("theirs")
    await world.append(facts=unmerge(1, 2, moved))
    record = segment_pb2.Membership(
        contact=2,
        segment="VIP",
        change=segment_pb2.CHANGE_ENTERED,
        cause=segment_pb2.CAUSE_UNMERGE,
        effective_at_us=T0,
        recorded_at_us=T0,
    )
    by_event = segment_pb2.Membership()
    by_event.CopyFrom(record)
    by_event.cause, by_event.contact = segment_pb2.CAUSE_EVENT, 3
    world.engine.memberships.append(segment_pb2.WatchResponse(profile_position=3, memberships=[record, by_event]))
    await until(lambda: len(world.channel.calls) > 0)
    assert [run.contact for run in await world.runs()] == [3]


@pytest.mark.parametrize("restarted", [False, True])
async def test_ended_runs_go_back_and_count(world: World, restarted: bool) -> None:
    await world.save("once", ONCE)
    first, again, other = (happened("signed_up", name) for name in ("first", "again", "other"))
    await world.append((2, first))
    await world.append(facts=[Merge(1, 2, 0)])
    await world.append((1, again))
    assert await contacts_by_trigger(world) == {"first": 1}, "once for the person that they were"
    if restarted:
        await world.restart()
    await world.append(facts=unmerge(1, 2, first))
    if restarted:
        await world.restart()
    await world.append((2, again), (1, other))
    await world.advance(MINUTE_US)
    assert await contacts_by_trigger(world) == {"first": 2, "other": 1}
    assert len(world.channel.calls) == 2


async def test_parts_of_the_restored_go_with_it(world: World) -> None:
    """3 is part of 2, which is part of 1; then the merge of 1 and 2 is taken back, and that of 1 and 4 stands."""
    await world.save("cart", abandoned_cart())
    events = {one: cart(f"e{one}", params={"cart_id": f"c{one}"}) for one in (1, 2, 3, 4)}
    await world.append(*((one, event) for one, event in events.items()))
    await world.append(facts=[Merge(2, 3, 0)])
    await world.append(facts=[Merge(1, 2, 0), Merge(1, 4, 0)])
    await world.append(facts=unmerge(1, 2, events[2], events[3], parts=(2, 3)))
    await world.restart()
    assert await contacts_by_trigger(world) == {"e1": 1, "e2": 2, "e3": 2, "e4": 1}
    assert [world.shard.runs.people.owner(one) for one in (1, 2, 3, 4)] == [1, 2, 2, 1]


async def test_whoever_hung_on_the_restored_stays_with_the_survivor_where_the_merge_says_so() -> None:
    """4 became part of 2 under its number, but hangs on a part that stays: it is the survivor's."""
    people = People()
    people.merged(4, 2)
    people.merged(2, 1)
    people.drain()
    people.unmerged(1, 2, (2,))
    assert [people.owner(one) for one in (1, 2, 4)] == [1, 2, 1]
    (write,) = people.drain()
    assert (dict(write.put), tuple(write.delete)) == ({b"4": b"1"}, (b"2",))
    people.merged(2, 3)
    assert people.owner(2) == 3
    (write,) = people.drain()
    assert (dict(write.put), tuple(write.delete)) == ({b"2": b"3"}, ())


async def test_the_erased_leave_nothing_of_a_merge_or_an_unmerge(world: World) -> None:
    await world.save("cart", abandoned_cart())
    secret = cart("theirs", params={"cart_id": "sentinel-cart"})
    await world.append((2, secret))
    await world.append(facts=[Merge(1, 2, 0)])
    await world.append((1, Event("b", "order_completed", T0, T0, (), {"cart_id": "sentinel-cart"})), parts=[2])
    await world.append((1, cart("two", params={"cart_id": "sentinel-two"})), parts=[2])
    await world.append(facts=unmerge(1, 2, secret))
    await world.append(facts=[Erasure(2, 0)])
    assert await world.runs() == []
    for table in ("runs", "ended", "ended_index"):
        assert [key async for key, _ in world.log.scan(world.partition, table)] == []
    await world.restart()
    await world.advance(30 * DAY_US)
    assert world.channel.calls == []


async def test_runs_stored_before_parts_were_known_are_their_contacts(world: World) -> None:
    await world.save("cart", abandoned_cart())
    await world.append((2, cart()))
    run = await world.run()
    stored = encode_run(run)
    assert b'"part"' not in stored and decode_run(stored) == run and run.part is None
    assert decode_ended(b'["cart", 2, "", 5, true]').part is None
