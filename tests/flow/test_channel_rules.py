"""What holds messages back, and by which way they go: quiet hours, caps, contents, expiry, alternatives, providers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import Any

import pytest

from cdp.channel.v1 import channel_pb2
from cdp.facts.v1 import facts_pb2
from cdp.profile.v1 import profile_pb2
from core.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from core.delivery.outbox import Accepted, Deferred, Outcome, Rejected, Unknown
from core.errors import CdpError
from tests.unit.channel.taking import Taken, TakingSender
from tests.unit.channel.world import NO_CONTEXT, NOW_US, World, a_world, outgoing

ACCEPTED = channel_pb2.MESSAGE_STATE_ACCEPTED
REFUSED = channel_pb2.MESSAGE_STATE_REFUSED
RESERVED = channel_pb2.MESSAGE_STATE_RESERVED
ONE_A_DAY = channel_pb2.Cap(name="daily", limit=1, period=channel_pb2.CAP_PERIOD_DAY)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """NOW_US is 15 January 2027, 08:00 UTC; the workspace is in New York, where it is 03:00."""
    async with a_world() as made:
        for channel in ("sms", "messenger"):
            made.senders[channel] = TakingSender(made.clock)
        await made.save_template("text", channel="sms", subject="", body_text='"{{ contact.first_name }}"')
        await made.save_template("chat", channel="messenger", subject="", body_text='"hello"')
        for contact in (1, 2):
            person(made, contact)
        yield made


def person(world: World, contact: int, zone: str = "") -> None:
    """Somebody who agreed to everything."""
    world.peers.add(contact, f"p{contact}@mail.example")
    profile = world.peers.profiles[contact]
    profile.identifiers.append(facts_pb2.Identifier(kind="phone", value=f"+43{contact}"))
    for channel in ("sms", "messenger"):
        profile.consents.append(profile_pb2.Consent(channel=channel, state="granted", occurred_at_us=1))
    if zone:
        world.peers.place(contact, zone)


def sender(world: World, channel: str = "sms") -> TakingSender:
    found = world.senders[channel]
    assert isinstance(found, TakingSender)
    return found


def sms(message_id: str, contact: int = 1, **fields: Any) -> channel_pb2.OutgoingMessage:
    return outgoing(message_id, contact, **{"channel": "sms", "template": "text", **fields})


def group(message_id: str, **fields: Any) -> channel_pb2.OutgoingMessage:
    """By Viber, else SMS, else mail."""
    others = [
        channel_pb2.Alternative(channel="sms", template="text"),
        channel_pb2.Alternative(channel="email", template="hello"),
    ]
    return outgoing(message_id, channel="messenger", template="chat", alternatives=others, **fields)


def answering(*outcomes: Outcome) -> Callable[[Taken], Outcome]:
    left = list(outcomes)
    return lambda _taken: left.pop(0) if left else Accepted("taken")


async def advanced(world: World, message_id: str, state: int, by_us: int = SECOND_US) -> channel_pb2.Message:
    """The message in that state; the clock goes on until then."""
    for _ in range(2_000):
        found = await world.message(message_id)
        if found.state == state:
            return found
        world.clock.advance(by_us)
        await world.log.waiter.wait_wake(0.02)
    raise AssertionError(f"{message_id} is still in {found.state}, {found.reason}")


async def due(world: World, message_id: str) -> int:
    """When a message that is held back goes on."""
    async with asyncio.timeout(10):
        while not (found := await world.message(message_id)).reason or found.state != RESERVED:
            await world.log.waiter.wait_wake(1)
    assert found.reason == "QUIET_HOURS"
    return found.due_at_us - NOW_US


async def test_quiet_hours_hold_marketing_back_in_the_persons_own_zone(world: World) -> None:
    person(world, 3, "Europe/Vienna")
    person(world, 4, "Nowhere/Land")
    night = channel_pb2.QuietHours(until="09:30", channels=["sms"], **{"from": "21:00"})
    await world.set(quiet_hours=[night])
    await world.send(sms("vienna", 3), sms("york", 4), outgoing("mail", 4), sms("receipt", 4, kind="transactional"))
    assert await due(world, "vienna") == 30 * MINUTE_US
    assert await due(world, "york") == 6 * HOUR_US + 30 * MINUTE_US
    await world.until("mail", "accepted")
    await world.until("receipt", "accepted")
    await world.stop()
    await world.start()
    world.clock.advance(30 * MINUTE_US)
    assert (await world.until("vienna", "accepted")).due_at_us == 0
    assert (await world.message("york")).state == RESERVED
    world.clock.advance(6 * HOUR_US)
    await world.until("york", "accepted")


async def test_a_message_whose_quiet_hours_outlast_it_is_refused_at_once(world: World) -> None:
    await world.set(quiet_hours=[channel_pb2.QuietHours(until="09:00", **{"from": "21:00"})])
    await world.send(
        sms("late", expires_at_us=NOW_US + HOUR_US), sms("old", kind="transactional", expires_at_us=NOW_US)
    )
    assert (await world.until("late", "refused")).reason == "EXPIRED"
    assert (await world.until("old", "refused")).reason == "EXPIRED"


async def test_caps_count_what_may_have_arrived_and_give_back_what_surely_did_not(world: World) -> None:
    await world.set(caps=[ONE_A_DAY])
    sender(world).answer = answering(Rejected("NUMBER_BLOCKED", "no"), Deferred("BUSY", "later"), Unknown("NO_ANSWER"))
    await world.send(sms("rejected"))
    await world.until("rejected", "refused")
    await world.send(sms("deferred", expires_at_us=NOW_US + SECOND_US))
    await world.committed(lambda: len(sender(world).taken) == 2)
    await advanced(world, "deferred", REFUSED)
    await world.send(sms("unknown"))
    await world.until("unknown", "uncertain")
    await world.send(sms("capped"), sms("receipt", kind="transactional"), sms("other", 2))
    assert (await world.until("capped", "refused")).reason == "CAP"
    await world.until("receipt", "accepted")
    await world.until("other", "accepted")
    await world.stop()
    await world.start()
    await world.send(outgoing("mail"))
    assert (await world.until("mail", "refused")).reason == "CAP"
    world.clock.advance(21 * HOUR_US)  # midnight in New York
    await world.send(outgoing("tomorrow"))
    await world.until("tomorrow", "accepted")


async def test_a_merge_brings_what_both_were_sent_together(world: World) -> None:
    await world.set(caps=[ONE_A_DAY])
    await world.send(sms("loser", 2))
    await world.until("loser", "accepted")
    world.peers.merge(2, 1)
    await world.send(sms("survivor", 1))
    assert (await world.until("survivor", "refused")).reason == "CAP"
    await world.send(sms("receipt", 2, kind="transactional"))  # taken over for the one who is gone
    assert (await world.until("receipt", "accepted")).address == "+431"


async def test_a_content_comes_once_whichever_channel(world: World) -> None:
    await world.set(content_window_us=DAY_US)
    sender(world).answer = answering(Rejected("NUMBER_BLOCKED", "no"))
    await world.send(sms("refused", content="sale"))
    await world.until("refused", "refused")
    await world.send(outgoing("first", content="sale"))
    await world.until("first", "accepted")
    await world.send(sms("again", content="sale"), sms("other", content="news"), sms("bo", 2, content="sale"))
    assert (await world.until("again", "refused")).reason == "SAME_CONTENT"
    await world.until("other", "accepted")
    await world.until("bo", "accepted")
    world.clock.advance(DAY_US)
    await world.send(sms("next", content="sale"))
    await world.until("next", "accepted")


async def test_erasure_takes_what_was_counted(world: World) -> None:
    await world.set(caps=[ONE_A_DAY])
    await world.send(sms("m1"))
    await world.until("m1", "accepted")
    assert [key async for key, _ in world.log.scan(world.partition, "counted")] == [b"key-1"]
    await world.rpc.Forget(channel_pb2.ForgetRequest(contacts=[1]), NO_CONTEXT)
    assert [key async for key, _ in world.log.scan(world.partition, "counted")] == []
    assert len(world.shard.state.ledger) == 0


async def test_ways_that_are_refused_give_way_to_the_next(world: World) -> None:
    sender(world, "messenger").answer = answering(Rejected("NO_VIBER", "not a user"))
    world.peers.profiles[1].consents[1].state = "denied"
    await world.send(group("m1"))
    done = await world.until("m1", "accepted")
    assert (done.channel, done.way, len(world.mailbox.mails)) == ("email", 3, 1)
    assert [(one.channel, one.reason, one.state) for one in done.tries] == [
        ("messenger", "NO_VIBER", REFUSED),
        ("sms", "NO_CONSENT", REFUSED),
    ]
    await world.told(2)
    (told,) = world.peers.events("message_sent")
    assert (told.params["channel"].text, told.params["template"].text) == ("email", "hello")
    assert sender(world).taken == []


async def test_a_fate_that_is_unknown_goes_no_other_way(world: World) -> None:
    sender(world, "messenger").answer = answering(Unknown("NO_ANSWER"))
    await world.send(group("m1"))
    assert (await world.until("m1", "uncertain")).channel == "messenger"
    assert sender(world).taken == []


async def test_what_is_not_delivered_in_time_goes_on_and_what_is_does_not(world: World) -> None:
    await world.set(caps=[ONE_A_DAY])
    await world.send(group("m1", patience_us=MINUTE_US))
    waiting = await world.until("m1", "accepted")
    assert waiting.due_at_us == NOW_US + MINUTE_US
    await world.stop()
    await world.start()
    world.clock.advance(MINUTE_US)
    async with asyncio.timeout(10):
        while not sender(world).accepted:
            await world.log.waiter.wait_wake(1)
    done = await world.until("m1", "accepted")
    assert [(one.channel, one.reason, one.state) for one in done.tries] == [("messenger", "NOT_DELIVERED", ACCEPTED)]
    await world.shard.delivered("m1", True)
    done = await world.message("m1")
    assert (done.channel, done.due_at_us) == ("sms", 0)
    world.clock.advance(DAY_US)
    await world.told(3)
    assert [event.message_id for event in world.peers.events("message_sent")] == ["m1:sent", "m1:2:sent"]
    assert [event.params["channel"].text for event in world.peers.events("message_delivered")] == ["sms"]
    assert world.mailbox.mails == []


async def test_a_report_that_it_never_will_arrive_goes_on_at_once(world: World) -> None:
    await world.send(group("m1", patience_us=HOUR_US))
    await world.until("m1", "accepted")
    await world.shard.delivered("m1", False, "ABSENT")
    await world.shard.delivered("nobody's", False, "ABSENT")
    async with asyncio.timeout(10):
        while not sender(world).accepted:
            await world.log.waiter.wait_wake(1)
    (tried,) = (await world.until("m1", "accepted")).tries
    assert (tried.channel, tried.reason) == ("messenger", "ABSENT")


async def test_the_preferred_channel_comes_first(world: World) -> None:
    world.peers.profiles[1].attributes.append(
        profile_pb2.Attribute(name="preferred_channel", value=facts_pb2.Value(text="email"))
    )
    await world.send(group("m1", by_preference=True), group("m2"))
    assert (await world.until("m1", "accepted")).channel == "email"
    assert (await world.until("m2", "accepted")).channel == "messenger"


def providers(**second: Any) -> list[channel_pb2.Provider]:
    told: dict[str, Any] = {"channel": "sms", "kind": "taking", "settings": {"host": "a"}, "secrets": {"password": "s"}}
    return [
        channel_pb2.Provider(**{**told, "name": "spare", "priority": 2, **second}),
        channel_pb2.Provider(**{**told, "name": "main", "priority": 1}),
    ]


async def test_a_provider_that_cannot_be_reached_is_left_for_the_next_one(world: World) -> None:
    await world.set(providers=providers())
    sender(world).answer = lambda taken: (
        Deferred("PROVIDER_UNREACHABLE", "") if taken.provider == "main" else Accepted("taken")
    )
    for number in range(6):
        await world.send(sms(f"m{number}"))
        done = await world.until(f"m{number}", "accepted")
        assert (done.provider, done.attempts) == ("spare", 2 if number < 5 else 1)
    world.clock.advance(MINUTE_US)
    sender(world).answer = answering()
    await world.send(sms("later"))
    assert (await world.until("later", "accepted")).provider == "main"


async def test_an_unknown_fate_never_reaches_the_other_provider(world: World) -> None:
    await world.set(providers=providers())
    sender(world).answer = answering(Unknown("NO_ANSWER"), Unknown("NO_ANSWER"))
    await world.send(sms("promo"))
    assert (await world.until("promo", "uncertain")).provider == "main"
    await world.send(sms("receipt", kind="transactional"))
    assert (await advanced(world, "receipt", ACCEPTED)).attempts == 2
    assert [one.provider for one in sender(world).taken] == ["main", "main", "spare"]


async def test_settings_of_providers_come_back_without_secrets_and_keep_them(world: World) -> None:
    await world.set(providers=providers(secrets={"password": "hush"}))
    saved = (await world.rpc.GetSettings(channel_pb2.GetSettingsRequest(), NO_CONTEXT)).settings
    assert [(one.name, dict(one.secrets)) for one in saved.providers] == [("spare", {}), ("main", {})]
    await world.set(providers=list(saved.providers), caps=[ONE_A_DAY])
    assert world.shard.state.settings.providers["sms"][1].secrets == {"password": "hush"}
    again = (await world.rpc.GetSettings(channel_pb2.GetSettingsRequest(), NO_CONTEXT)).settings
    assert again.caps[0] == ONE_A_DAY
    with pytest.raises(CdpError) as caught:
        await world.set(providers=[channel_pb2.Provider(channel="sms", name="new", kind="taking")])
    assert "settings.providers[0].secrets.password is missing" in caught.value.message


async def test_a_provider_of_kind_null_takes_everything(world: World) -> None:
    await world.set(providers=[channel_pb2.Provider(channel="email", name="load", kind="null")])
    await world.send(*[outgoing(f"m{number}") for number in range(50)])
    for number in range(50):
        assert (await world.until(f"m{number}", "accepted")).provider == "load"
    assert world.mailbox.mails == []


async def test_a_rate_is_kept(world: World) -> None:
    slow = providers()[1]
    slow.per_second = 10
    await world.set(providers=[slow])
    await world.send(*[sms(f"m{number}") for number in range(5)])
    for number in range(5):
        await advanced(world, f"m{number}", ACCEPTED, 20_000)
    moments = [one.at_us for one in sender(world).taken]
    assert all(later - former >= 50_000 for former, later in pairwise(moments))
    assert moments[-1] - moments[0] >= 350_000


async def test_a_test_send_asks_for_no_consent_and_leaves_no_trace(world: World) -> None:
    await world.set(caps=[ONE_A_DAY], killed_channels=["sms"])
    world.peers.add(5, "", consent="denied")
    request = channel_pb2.TestSendRequest(template="hello", addresses=["me@shop.example", "not one"], contact=5)
    done = (await world.rpc.TestSend(request, NO_CONTEXT)).results
    assert [one.outcome for one in done] == ["accepted", "BAD_ADDRESS"]
    ((_, mail),) = world.mailbox.mails
    assert b"Subject: [Test] Hi Ann5" in mail
    request = channel_pb2.TestSendRequest(template="text", addresses=["+431"])
    assert (await world.rpc.TestSend(request, NO_CONTEXT)).results[0].outcome == "CHANNEL_KILLED"
    await world.set(live=False)
    request = channel_pb2.TestSendRequest(template="hello", addresses=["me@shop.example"])
    assert (await world.rpc.TestSend(request, NO_CONTEXT)).results[0].outcome == "RECIPIENT_NOT_ALLOWED"
    assert world.shard.state.order == []
    assert world.peers.items == []
