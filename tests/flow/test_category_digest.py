"""A digest of each person's own favourite categories: views come in, the engine scores them, the letters show them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from google.protobuf.message import Message

from cdp.channel.v1 import channel_pb2
from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from cdp.profile.v1 import profile_pb2
from cdp.segment.v1 import computed_pb2
from core.clock import SECOND_US, ManualClock
from services.runtime.roles import Role
from tests.flow.bad_input import of
from tests.flow.mailbox import Mailbox
from tests.flow.platform import APART, Platform, eventually
from tests.flow.shop import START_US, Shop, who

pytestmark = pytest.mark.slow

DIGEST = {
    "channel": "email",
    "from": "Shop <shop@shop.example>",
    "subject": "New in {{ contact.favourite }}",
    "body_text": "{% for one in interests.category limit: 2 %}{{ one.value }} ({{ one.score }}), {% endfor %}"
    "{{ contact.views }} views, {{ contact.nickname | default: 'friend' }}",
}
ENGINE = (Role.SEGMENT_ENGINE,)


class House(Shop):
    """Two people, one who likes tea and one who likes cups."""

    async def call_role(self, role: Role, request: Message) -> object:
        async with self.platform.channel(role) as channel:
            return await Shop(self.platform, channel).ok(request)

    async def person(self, number: int) -> int:
        """Someone with an address who agreed; the contact's number."""
        email = facts_pb2.Identifier(kind="email", value=f"u{number}@mail.example")
        consents = [facts_pb2.ConsentChange(channel="email", state="granted", source="sign-up")]
        person = ingest_pb2.Person(identifiers=[who(number), email], consents=consents)
        await self.ok(ingest_pb2.IdentifyRequest(person=person))

        async def known() -> bool:
            return (await self.resolved(number)).found

        await eventually(known, "the person is folded")
        return (await self.resolved(number)).contact

    async def resolved(self, number: int) -> profile_pb2.Resolved:
        request = profile_pb2.ResolveRequest(identifiers=[who(number)])
        answer = await self.call_role(Role.PROFILE_UNIFICATION, request)
        assert isinstance(answer, profile_pb2.ResolveResponse)
        return answer.results[0]

    async def viewed(self, number: int, *categories: str) -> int:
        """The position of the last view in ingest's log."""
        position = 0
        for category in categories:
            event = of(
                ingest_pb2.Event,
                type="product_viewed",
                occurred_at_us=self.platform.clock.now_us(),
                identifiers=[who(number)],
                params={"category": facts_pb2.Value(text=category)},
            )
            told = await self.ok(ingest_pb2.TrackRequest(event=event))
            assert isinstance(told, ingest_pb2.TrackResponse)
            position = told.position
        return position

    async def views_at_once(self, number: int, contact: int) -> int:
        """Views of the person after one more, read as the channel reads them: by the position of the profile."""
        position = await self.viewed(number, "cups")
        request = profile_pb2.BatchGetRequest(contacts=[contact], min_upstream_position=position)
        told = await self.call_role(Role.PROFILE_UNIFICATION, request)
        assert isinstance(told, profile_pb2.BatchGetResponse) and told.position > 0
        asked = computed_pb2.ContactAttributesRequest(contacts=[contact], names=["views"], min_position=told.position)
        answer = await self.call_role(Role.SEGMENT_ENGINE, asked)
        assert isinstance(answer, computed_pb2.ContactAttributesResponse)
        assert answer.freshness.position >= told.position
        return answer.contacts[0].attributes["views"].integer

    async def send(self, contact: int, message_id: str, position: int, template: str = "digest") -> None:
        message = channel_pb2.OutgoingMessage(
            id=message_id,
            contact=contact,
            channel="email",
            template=template,
            kind="promo",
            min_upstream_position=position,
        )
        await self.call_role(Role.CHANNEL, channel_pb2.SendRequest(messages=[message]))

    async def state(self, message_id: str) -> channel_pb2.MessageState.ValueType:
        answer = await self.call_role(Role.CHANNEL, channel_pb2.GetMessageRequest(id=message_id))
        assert isinstance(answer, channel_pb2.GetMessageResponse)
        return answer.message.state


def read(mailbox: Mailbox) -> dict[str, tuple[str, str]]:
    """Subject and text of the last letter to each address."""
    return {
        str(letter["To"]): (str(letter["Subject"]), str(letter.get_content()).strip()) for letter in mailbox.letters
    }


async def test_two_people_get_a_digest_of_their_own_best_category(tmp_path: Path) -> None:
    clock = ManualClock(START_US)
    with Mailbox() as mailbox:
        async with (
            Platform(tmp_path, clock, APART, {"CDP_SMTP_URL": mailbox.url}) as platform,
            platform.channel(Role.INGEST) as channel,
        ):
            house = House(platform, channel)
            ann, bo = await house.person(1), await house.person(2)
            settings = channel_pb2.Settings(live=True)
            await house.call_role(Role.CHANNEL, channel_pb2.UpdateSettingsRequest(settings=settings))
            for name, fields in (("digest", DIGEST), ("plain", DIGEST | {"subject": "Hello", "body_text": "Hello"})):
                template = of(channel_pb2.Template, **fields)
                await house.call_role(Role.CHANNEL, channel_pb2.SaveTemplateRequest(name=name, template=template))
            await house.viewed(1, "tea", "coffee", "tea")
            await house.viewed(2, "cups")
            # After the template: which of its names are computed is asked when a letter is written.
            for name, text in (("favourite", "top interest in category"), ("views", "number of product_viewed")):
                request = computed_pb2.SaveComputedAttributeRequest(name=name, text=text)

                async def saved(request: computed_pb2.SaveComputedAttributeRequest = request) -> bool:
                    async with platform.channel(Role.SEGMENT_ENGINE) as engine:
                        return (await Shop(platform, engine).call(request)).ok

                await eventually(saved, "the engine knows the event")

            assert await house.views_at_once(2, bo) == 2

            # A letter that follows at once knows of the last view all the same.
            position = await house.viewed(2, "tea", "cups", "cups")
            await house.send(ann, "ann-1", position)
            await house.send(bo, "bo-1", position)

            async def sent() -> bool:
                clock.advance(SECOND_US)
                return len(mailbox.letters) == 2

            await eventually(sent, "both have a letter")
            assert read(mailbox) == {
                "u1@mail.example": ("New in tea", "tea (2), coffee (1), 3 views, friend"),
                "u2@mail.example": ("New in cups", "cups (4), tea (1), 5 views, friend"),
            }

            await platform.stop(ENGINE)
            await house.send(ann, "ann-2", await house.viewed(1, "coffee", "coffee"))
            await house.send(bo, "bo-2", 0, "plain")

            async def plain() -> bool:
                return len(mailbox.letters) == 3

            await eventually(plain, "a letter that names nothing computed does not wait")
            assert read(mailbox)["u2@mail.example"] == ("Hello", "Hello")
            for _ in range(20):
                clock.advance(SECOND_US)
                assert await house.state("ann-2") == channel_pb2.MESSAGE_STATE_RESERVED
                await asyncio.sleep(0.02)
            assert len(mailbox.letters) == 3
            await platform.start(ENGINE)
            await platform.host(Role.SEGMENT_ENGINE).wait_ready(20.0)

            async def waited() -> bool:
                clock.advance(SECOND_US)
                return len(mailbox.letters) == 4

            await eventually(waited, "the letter that waited")
            assert read(mailbox)["u1@mail.example"] == ("New in coffee", "coffee (3), tea (2), 5 views, friend")
