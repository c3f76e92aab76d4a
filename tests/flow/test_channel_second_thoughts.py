"""Promises of messages where several things happen to one of them: what a single rule does not show."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from email import message_from_bytes
from email.policy import SMTP

import httpx2
import pytest
from starlette.applications import Starlette

from cdp.channel.v1 import channel_pb2
from cdp.profile.v1 import profile_pb2
from core.clock import HOUR_US, MINUTE_US, SECOND_US
from core.delivery.outbox import Accepted, Rejected
from services.channel.http import LinkPages
from services.channel.receipts import Receipt, Told, accepted_as, take_receipt
from services.channel.record import Record
from services.channel.senders.inbox import own_surfaces
from services.channel.senders.sender import Envelope, Prepared
from services.channel.worker import Tracking
from tests.flow.test_channel_rules import ONE_A_DAY, answering, group, person, providers, sender, sms
from tests.unit.channel.taking import TakingSender
from tests.unit.channel.world import KEY, NO_CONTEXT, NOW_US, PUBLIC, World, a_world, outgoing

#: Every table that holds something of people.
TABLES = (
    "outbox", "links", "suppressions", "suppressed_people", "counted", "receipts",
    "reports", "dead_reports", "inbox", "inbox_tests",
)  # fmt: skip


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """SMS and messenger are taken by this process; contacts 1 and 2 agreed to everything."""
    async with a_world() as made:
        for channel in ("sms", "messenger"):
            made.senders[channel] = TakingSender(made.clock)
        made.senders.update(own_surfaces(lambda workspace: made.shard.inbox))
        await made.save_template("text", channel="sms", subject="", body_text='"{{ contact.first_name }}"')
        await made.save_template("chat", channel="messenger", subject="", body_text='"hello"')
        for contact in (1, 2):
            person(made, contact)
        yield made


async def going(world: World, message_id: str, channel: str) -> channel_pb2.Message:
    """The message once it was accepted by `channel`."""
    async with asyncio.timeout(10):
        while (found := await world.until(message_id, "accepted")).channel != channel:
            await world.log.waiter.wait_wake(1)
    return found


async def stored(world: World, word: bytes) -> list[tuple[str, bytes]]:
    """Where a word stands, in keys and in values."""
    found = []
    for table in TABLES:
        async for key, value in world.log.scan(world.partition, table):
            if word in key or word in value:
                found.append((table, key))
    return found


async def forgotten(world: World, contact: int) -> None:
    """Forget somebody of whom ingest was told everything."""
    async with asyncio.timeout(10):
        while world.shard.state.reports:
            await world.log.waiter.wait_wake(1)
    await world.rpc.Forget(channel_pb2.ForgetRequest(contacts=[contact]), NO_CONTEXT)


async def test_what_no_ledger_or_clock_can_hold_is_refused_at_the_door(world: World) -> None:
    results = await world.send(
        sms("category", category="ü" * 128),
        group("patience", patience_us=2**63 - 1),
        sms("longest", category="x" * 255),
    )
    assert [one.reason for one in results] == ["BAD_CATEGORY", "BAD_TIME", ""]
    await world.until("longest", "accepted")
    await world.stop()
    await world.start()  # reads what was counted
    await world.send(sms("next", 2))
    await world.until("next", "accepted")


async def test_a_message_that_nobody_foresaw_stops_no_other(world: World) -> None:
    taking = sender(world)
    known = taking.address

    def address(profile: profile_pb2.Profile, settings: object) -> str | None:
        if profile.contact == 1:
            raise ZeroDivisionError
        return known(profile, world.shard.state.settings)

    taking.address = address  # type: ignore[method-assign]
    await world.send(sms("m1"), group("m2"), *[sms(f"fine{number}", 2) for number in range(20)])
    for number in range(20):
        await world.until(f"fine{number}", "accepted")
    assert (await world.until("m1", "refused")).reason == "BROKEN: ZeroDivisionError"
    assert (await world.until("m2", "accepted")).channel == "messenger"
    assert world.task is not None and not world.task.done()


async def test_a_mistake_after_the_call_is_an_unknown_fate(world: World) -> None:
    taking = sender(world)
    taking.answer = lambda taken: "nonsense"  # type: ignore[assignment, return-value]
    await world.send(sms("promo"))
    assert (await world.until("promo", "uncertain")).reason.startswith("BROKEN: ")
    assert len(taking.taken) == 1


async def test_erasure_takes_addresses_of_ways_that_led_nowhere(world: World) -> None:
    sender(world, "messenger").answer = answering(Rejected("NO", "no", bounced=True))
    world.peers.profiles[1].consents[1].state = "denied"
    await world.send(group("m1"))
    assert (await world.until("m1", "accepted")).channel == "email"
    await world.told(3)
    assert await stored(world, b"+431") != []
    await forgotten(world, 1)
    assert await stored(world, b"+431") == []


async def test_erasure_takes_addresses_that_no_message_went_to(world: World) -> None:
    await world.send(sms("m1"))
    await world.until("m1", "accepted")
    world.peers.profiles[1].identifiers[1].value = "+4399"
    [record] = await world.shard.state.get(["m1"])
    assert record is not None
    await world.shard.unsubscribe(record)
    await world.stop()
    await world.start()
    assert await stored(world, b"+4399") != []
    await forgotten(world, 1)
    assert await stored(world, b"+43") == []


async def test_who_is_forgotten_is_not_called_whatever_was_known_of_them_before(world: World) -> None:
    profiles = world.shard._profiles
    known, held, asked = profiles.of, asyncio.Event(), asyncio.Event()

    async def of(record: Record) -> profile_pb2.Profile:
        """Reads, and comes back with it much later."""
        profile = await known(record)
        asked.set()
        await held.wait()
        return profile

    profiles.of = of  # type: ignore[method-assign]
    await world.send(sms("m1"))
    await asked.wait()  # `sending` is durable, the call is next
    await world.rpc.Forget(channel_pb2.ForgetRequest(contacts=[1]), NO_CONTEXT)
    held.set()
    await world.send(sms("after", 2))
    await world.until("after", "accepted")
    assert [one.message_id for one in sender(world).taken] == ["after"]
    assert await stored(world, b"key-1") == []


async def test_what_waits_for_a_provider_that_was_taken_away_goes_by_another(world: World) -> None:
    spare, main = providers()
    await world.set(providers=[main])
    taking = sender(world)
    taking.hold = asyncio.Event()
    await world.send(*[sms(f"m{number}") for number in range(20)])
    async with asyncio.timeout(10):
        while len(taking.taken) < 16:  # all calls that may be under way at once
            await world.log.waiter.wait_wake(1)
    await world.set(providers=[spare])
    taking.hold.set()
    for number in range(20):
        await world.until(f"m{number}", "accepted")
    assert [one.provider for one in taking.taken] == ["main"] * 16 + ["spare"] * 4


async def test_a_provider_that_is_switched_off_is_not_the_same_as_none(world: World) -> None:
    await world.set(providers=[channel_pb2.Provider(channel="email", name="off", kind="null", disabled=True)])
    await world.send(outgoing("m1"))
    assert (await world.until("m1", "refused")).reason == "NO_PROVIDER"
    await world.set()
    await world.send(outgoing("m2"))
    await world.until("m2", "accepted")
    assert len(world.mailbox.mails) == 1


async def test_a_place_in_a_cap_stays_taken_where_an_earlier_way_had_it(world: World) -> None:
    await world.set(caps=[ONE_A_DAY])
    again = [channel_pb2.Alternative(channel="sms", template="text")]
    sender(world).answer = answering(Accepted("taken"), Rejected("NO", "no"))
    await world.send(sms("m1", alternatives=again, patience_us=MINUTE_US))
    await world.until("m1", "accepted")
    world.clock.advance(MINUTE_US)
    await world.until("m1", "refused")
    await world.send(sms("m2"))
    assert (await world.until("m2", "refused")).reason == "CAP"


async def test_a_channel_that_sleeps_too_long_gives_way_to_one_that_does_not(world: World) -> None:
    night = channel_pb2.QuietHours(until="09:00", channels=["messenger"], **{"from": "21:00"})
    await world.set(quiet_hours=[night])
    await world.send(group("m1", expires_at_us=NOW_US + HOUR_US), group("late", expires_at_us=NOW_US))
    done = await world.until("m1", "accepted")
    assert (done.channel, [one.reason for one in done.tries]) == ("sms", ["EXPIRED"])
    assert len((await world.until("late", "refused")).tries) == 0


async def test_an_unsubscribe_holds_for_every_way_that_may_have_shown_the_link(world: World) -> None:
    await world.send(group("m1", patience_us=MINUTE_US))
    await world.until("m1", "accepted")
    world.clock.advance(MINUTE_US)
    await going(world, "m1", "sms")
    [record] = await world.shard.state.get(["m1"])
    assert record is not None
    await world.shard.unsubscribe(record)
    await world.send(outgoing("m2", channel="messenger", template="chat"), sms("m3"), outgoing("m4"))
    assert (await world.until("m2", "refused")).reason == "UNSUBSCRIBED"
    assert (await world.until("m3", "refused")).reason == "UNSUBSCRIBED"
    await world.until("m4", "accepted")
    await world.told(5)
    denied = [item.person.consents[0].channel for item in world.peers.items if item.HasField("person")]
    assert sorted(denied) == ["messenger", "sms"]


async def test_who_got_it_late_does_not_get_it_twice(world: World) -> None:
    night = channel_pb2.QuietHours(until="09:00", channels=["sms"], **{"from": "21:00"})
    await world.set(quiet_hours=[night])
    await world.send(group("m1", patience_us=MINUTE_US), group("m2", patience_us=MINUTE_US))
    for message_id in ("m1", "m2"):
        await world.until(message_id, "accepted")
    world.clock.advance(MINUTE_US)
    for message_id in ("m1", "m2"):
        await world.until(message_id, "reserved")
    await world.shard.delivered("m1", True)
    done = await world.message("m1")
    assert (done.state, done.channel, len(done.tries)) == (channel_pb2.MESSAGE_STATE_ACCEPTED, "messenger", 0)
    world.clock.advance(12 * HOUR_US)
    await going(world, "m2", "sms")
    assert [one.message_id for one in sender(world).taken] == ["m2"]
    await world.told(4)
    assert [one.params["channel"].text for one in world.peers.events("message_delivered")] == ["messenger"]


async def test_a_receipt_that_comes_late_ends_a_message_that_has_not_gone_on_yet(world: World) -> None:
    night = channel_pb2.QuietHours(until="09:00", channels=["sms"], **{"from": "21:00"})
    await world.set(quiet_hours=[night])
    sender(world, "messenger").answer = lambda taken: accepted_as([f"9{taken.message_id[1:]}"])
    messages = ("m1", "m2", "m3")
    await world.send(*[group(one, patience_us=MINUTE_US) for one in messages])
    for one in messages:
        await world.until(one, "accepted")
    world.clock.advance(MINUTE_US)
    for one in messages:
        await world.until(one, "reserved")
    for name, told in (("91", Told.DELIVERED), ("92", Told.FAILED), ("93", Told.SEEN)):
        assert await take_receipt(world.shard, Receipt("own", name, told), world.clock)
    await world.stop()
    await world.start()
    world.clock.advance(12 * HOUR_US)
    await going(world, "m2", "sms")
    assert [one.message_id for one in sender(world).taken] == ["m2"]
    assert await take_receipt(world.shard, Receipt("own", "92", Told.DELIVERED), world.clock)
    assert [one.reason for one in (await world.message("m2")).tries] == ["NOT_DELIVERED"]


async def test_links_of_both_ways_lead_where_they_led(world: World) -> None:
    messenger = sender(world, "messenger")
    known, clicks = messenger.prepare, []

    def prepare(envelope: Envelope) -> Prepared:
        clicks.append(envelope.links.click(0))
        return replace(known(envelope), links=("https://shop.example/first",))

    messenger.prepare = prepare  # type: ignore[method-assign]
    await world.save_template("mail", body_html='<a href="https://shop.example/second">See</a>')
    by_mail = [channel_pb2.Alternative(channel="email", template="mail")]
    await world.send(outgoing("m1", channel="messenger", template="chat", alternatives=by_mail, patience_us=MINUTE_US))
    await world.until("m1", "accepted")
    world.clock.advance(MINUTE_US)
    await going(world, "m1", "email")
    mail = message_from_bytes(world.mailbox.mails[0][1], policy=SMTP)
    part = mail.get_body(("html",))
    assert part is not None
    clicks += re.findall(rf'"({PUBLIC}/c/[^"]+)"', part.get_content())
    app = Starlette(routes=LinkPages(lambda _workspace: world.shard, Tracking(KEY, PUBLIC), world.clock).routes())
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=PUBLIC) as client:
        led = [(await client.get(one)).headers["location"] for one in clicks]
    assert led == ["https://shop.example/first", "https://shop.example/second"]


async def test_a_switch_that_falls_while_a_test_waits_for_its_turn_stops_it(world: World) -> None:
    slow = providers()[1]
    slow.per_second = 1
    await world.set(providers=[slow])
    request = channel_pb2.TestSendRequest(template="text", addresses=["+431", "+432", "+433"])
    trial = asyncio.create_task(world.rpc.TestSend(request, NO_CONTEXT))
    async with asyncio.timeout(10):
        while not sender(world).taken:
            await world.log.waiter.wait_wake(0.02)
    await world.set(providers=[slow], killed_channels=["sms"])
    async with asyncio.timeout(10):
        while not trial.done():
            world.clock.advance(SECOND_US)
            await world.log.waiter.wait_wake(0.02)
    outcomes = [one.outcome for one in (await trial).results]
    assert outcomes == ["accepted", "CHANNEL_KILLED", "CHANNEL_KILLED"]


async def test_a_test_in_an_inbox_is_its_contacts_and_goes_with_them(world: World) -> None:
    await world.save_template("note", channel="inbox", subject="Hi {{ contact.first_name }}")
    request = channel_pb2.TestSendRequest(template="note", addresses=["key-1", "key-2", "nobody"], contact=1)
    results = (await world.rpc.TestSend(request, NO_CONTEXT)).results
    assert [one.outcome for one in results] == ["accepted", "NOT_THE_CONTACT", "NOT_THE_CONTACT"]
    [one] = await world.shard.inbox.held(["key-1"], "inbox")
    assert one.item.title == "[Test] Hi Ann1"
    await forgotten(world, 2)
    assert await stored(world, b"Ann1") != []
    await forgotten(world, 1)
    assert await stored(world, b"Ann1") == []
    assert await stored(world, b"key-1") == []


async def test_a_report_that_is_refused_once_its_person_is_forgotten_is_let_go(world: World) -> None:
    world.peers.closed = True
    await world.send(sms("m1"))
    await world.until("m1", "accepted")
    [told] = world.shard.state.reports
    await world.rpc.Forget(channel_pb2.ForgetRequest(contacts=[1]), NO_CONTEXT)
    await world.shard.state.reported([], [(told, "UNKNOWN_CONTACT")])  # what ingest answers to a call from before
    assert await stored(world, b"key-1") == []
