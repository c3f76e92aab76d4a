"""Letters with what the segment engine computes: asked for when the template names it, and never left out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from cdp.channel.v1 import channel_pb2
from cdp.facts.v1 import facts_pb2
from cdp.segment.v1 import computed_pb2
from core.clock import SECOND_US
from tests.unit.channel.world import World, a_world, outgoing, soon

DIGEST = (
    "{{ contact.first_name }}: {{ contact.spent | money }}, {% for one in interests.category %}"
    "{{ one.value }}={{ one.score }};{% endfor %}[{{ interests.category[0].value | default: 'new' }}]"
)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with a_world() as made:
        made.peers.engine.attributes["spent"] = {1: facts_pb2.Value(decimal_units=125_000)}
        made.peers.engine.interests["category"] = {1: [("tea", 20_000), ("cups", 14_810)]}
        await made.save_template("digest", body_text=DIGEST)
        yield made


def texts(world: World) -> dict[str, str]:
    """What each address got."""
    found = {}
    for recipients, raw in world.mailbox.mails:
        letter = message_from_bytes(raw, policy=policy.default)
        assert isinstance(letter, EmailMessage)
        found[recipients[0]] = letter.get_content().strip()
    return found


def asked(world: World) -> list[str]:
    return [type(request).__name__ for request in world.peers.engine.calls]


async def waits(world: World, message_id: str) -> None:
    """The engine is asked about a message in vain, twice."""
    before = len(world.peers.engine.calls)
    async with asyncio.timeout(10):
        while len(world.peers.engine.calls) < before + 2:
            world.clock.advance(SECOND_US)
            await asyncio.sleep(0.01)
    assert (await world.message(message_id)).attempts == 0
    assert world.mailbox.mails == []


async def accepted_in_time(world: World, message_id: str) -> None:
    """A message is accepted as time goes on: how much of it the shard needs depends on when its last try ended."""
    async with asyncio.timeout(10):
        while (await world.message(message_id)).state != channel_pb2.MESSAGE_STATE_ACCEPTED:
            world.clock.advance(SECOND_US)
            await asyncio.sleep(0.01)


async def test_a_letter_shows_what_is_computed_of_its_contact(world: World) -> None:
    world.peers.position = 77
    world.peers.add(2, "bo@mail.example")
    await world.send(outgoing("m1", template="digest"), outgoing("m2", 2, template="digest"))
    for message_id in ("m1", "m2"):
        await world.until(message_id, "accepted")
    assert texts(world) == {
        "ann@mail.example": "Ann1: $12.50, tea=2;cups=1.481;[tea]",
        "bo@mail.example": "Ann2: , [new]",
    }
    for request in world.peers.engine.calls:
        if isinstance(request, computed_pb2.ContactAttributesRequest):
            assert (list(request.names), request.min_position, request.as_of_us) == (["spent"], 77, 0)
        if isinstance(request, computed_pb2.ContactInterestsRequest):
            assert (request.model, request.most, request.min_position, request.as_of_us) == ("category", 20, 77, 0)


async def test_nothing_is_asked_for_what_the_profile_holds(world: World) -> None:
    world.peers.engine.away = True
    await world.save_template("plain", body_text="{{ contact.first_name }} {{ contact.email }} {{ contact.key }}")
    await world.send(outgoing("m1", template="plain"))
    await world.until("m1", "accepted")
    assert (texts(world), asked(world)) == ({"ann@mail.example": "Ann1 ann@mail.example key-1"}, [])


async def test_a_name_that_nobody_knows_is_missing(world: World) -> None:
    await world.save_template("odd", body_text="[{{ contact.nothing }}] {{ contact.city | default: 'your town' }}")
    await world.send(outgoing("m1", template="odd"))
    await world.until("m1", "accepted")
    assert texts(world) == {"ann@mail.example": "[] your town"}
    assert asked(world) == ["ListComputedAttributesRequest"], "none of them is computed"
    await world.save_template("whole", body_text="{{ contact | json }}")
    await world.send(outgoing("m2", template="whole"))
    await world.until("m2", "accepted")
    assert '"spent": 12.5' in texts(world)["ann@mail.example"]


async def test_computed_wins_over_plain_as_it_does_in_segments(world: World) -> None:
    plain = world.peers.profiles[1].attributes.add(name="spent")
    plain.value.text = "plain"
    await world.send(outgoing("m1", template="digest"))
    await world.until("m1", "accepted")
    assert texts(world)["ann@mail.example"].startswith("Ann1: ,"), "a plain one, as far as we know: nothing was listed"
    world.mailbox.mails.clear()
    await world.save_template("any", body_text="{{ contact.nobody_has_it }}")
    await world.send(outgoing("m2", template="any"))
    await world.until("m2", "accepted")
    world.mailbox.mails.clear()
    await world.send(outgoing("m3", template="digest"))
    await world.until("m3", "accepted")
    assert texts(world)["ann@mail.example"].startswith("Ann1: $12.50,")


@pytest.mark.parametrize("kind", ["promo", "transactional"])
@pytest.mark.parametrize("body", ["{{ contact.spent }}!", "{{ interests.category[0].value }}!"])
async def test_while_the_engine_is_away_a_letter_waits(world: World, kind: str, body: str) -> None:
    await world.save_template("digest", body_text=body)
    world.peers.engine.away = True
    await world.send(outgoing("m1", template="digest", kind=kind))
    await waits(world, "m1")
    world.peers.engine.away = False
    await accepted_in_time(world, "m1")
    assert texts(world)["ann@mail.example"] in ("12.5!", "tea!")


async def test_a_receipt_does_not_wait_for_a_name_that_was_not_computed(world: World) -> None:
    await world.save_template("city", body_text="{{ contact.city | default: 'your town' }}")
    world.peers.engine.away = True
    await world.send(outgoing("m1", template="city", kind="transactional"))
    await waits(world, "m1")
    world.peers.engine.away = False
    await accepted_in_time(world, "m1")
    world.mailbox.mails.clear()
    world.peers.engine.away = True
    await world.send(outgoing("m2", template="city", kind="transactional"), outgoing("m3", template="city"))
    await world.until("m2", "accepted")
    assert texts(world) == {"ann@mail.example": "your town"}
    assert (await world.message("m3")).attempts == 0, "marketing waits"


async def test_messages_on_their_way_together_share_calls(world: World) -> None:
    await world.save_template("digest", body_text="{{ interests.category[0].value }}")
    people = range(1, 17)
    for contact in people:
        world.peers.add(contact, f"p{contact}@mail.example")
        world.peers.engine.interests["category"][contact] = [(f"best{contact}", 10_000)]
    world.peers.engine.held = asyncio.Event()
    await world.send(*[outgoing(f"m{contact}", contact, template="digest") for contact in people])
    await soon(world.peers.changed, lambda: len(world.peers.positions) > 0)
    await asyncio.sleep(0.1)  # their answers arrive
    world.peers.engine.held.set()
    for contact in people:
        await world.until(f"m{contact}", "accepted")
    assert texts(world) == {f"p{contact}@mail.example": f"best{contact}" for contact in people}
    assert 1 <= len(world.peers.engine.calls) <= 4, "the first alone, or all together"
