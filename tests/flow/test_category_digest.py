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
from cdp.scenario.v1 import scenario_pb2
from cdp.segment.v1 import computed_pb2, recommend_pb2
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
GOODS = {
    **DIGEST,
    "subject": "For you",
    "body_text": "{% for p in blocks.favourite %}{{ p.name }} {{ p.price | money }}, {% endfor %}"
    "viewed {{ blocks.viewed[0].name | default: 'nothing' }}",
    "locale": "de",
    "currency": "EUR",
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

    async def stocks(self, category: str, *names: str) -> int:
        """Products at 10.00, five of each; the position of the last in ingest's log."""
        fields = {
            "category": facts_pb2.Value(text=category),
            "price": facts_pb2.Value(decimal_units=100_000),
            "stock": facts_pb2.Value(integer=5),
        }
        products = [
            facts_pb2.Product(product_id=name.lower(), fields={**fields, "name": facts_pb2.Value(text=name)})
            for name in names
        ]
        told = await self.ok(ingest_pb2.UpsertProductsRequest(products=products))
        assert isinstance(told, ingest_pb2.UpsertProductsResponse)
        return told.position

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

    async def unknown_names(self) -> list[tuple[str, str, str]]:
        """What is wrong with a scenario of three letters before it is activated: place, field and name."""
        body = "{{ contact.fist_name }} {{ contact.favourite }} {{ contact.email }} {{ cart_id }} {{ items[0].price }}"
        template = of(channel_pb2.Template, **DIGEST | {"body_text": body})
        await self.call_role(Role.CHANNEL, channel_pb2.SaveTemplateRequest(name="typo", template=template))
        letters = [
            scenario_pb2.Block(id=name, send=scenario_pb2.Send(channel="email", template=name))
            for name in ("goods", "typo", "nothing")
        ]
        trigger = scenario_pb2.Trigger(event=scenario_pb2.EventTrigger(type="cart_updated"))
        scenario = scenario_pb2.Scenario(trigger=trigger, blocks=letters)
        await self.call_role(Role.SCENARIO, scenario_pb2.SaveScenarioRequest(name="letters", scenario=scenario))
        answer = await self.call_role(Role.SCENARIO, scenario_pb2.CheckScenarioRequest(name="letters"))
        assert isinstance(answer, scenario_pb2.CheckScenarioResponse)
        return [(one.path, one.field, one.name) for one in answer.unknown]

    async def refuses_bad_questions(self) -> None:
        """Of products: each names what is wrong."""
        viewed = recommend_pb2.BLOCK_VIEWED
        one = recommend_pb2.RecommendFor(contact=1)
        many = recommend_pb2.RecommendFor(contact=1, products=["p"] * 21)
        async with self.platform.channel(Role.SEGMENT_ENGINE) as engine:
            for path, fields in (
                ("blocks", {"contacts": [one]}),
                ("blocks", {"blocks": [viewed, viewed]}),
                ("blocks[1]", {"blocks": [viewed, 99]}),
                ("most", {"blocks": [viewed], "most": 51}),
                ("contacts", {"blocks": [viewed], "contacts": [one] * 1_001}),
                ("contacts[1].products", {"blocks": [viewed], "contacts": [one, many]}),
            ):
                answer = await Shop(self.platform, engine).call(of(recommend_pb2.RecommendRequest, **fields))
                assert (answer.reason, answer.message.partition(":")[0]) == ("BAD_RECOMMEND", path)

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
            plain_fields = DIGEST | {"subject": "Hello", "body_text": "Hello"}
            for name, fields in (("digest", DIGEST), ("plain", plain_fields), ("goods", GOODS)):
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

            assert await house.unknown_names() == [
                ("blocks[1].send.template", "body_text", "contact.fist_name"),
                ("blocks[2].send.template", "", ""),
            ]
            await house.stocks("tea", "Assam", "Sencha")
            position = await house.stocks("cups", "Mug")
            await house.send(ann, "ann-goods", position, "goods")
            await house.send(bo, "bo-goods", position, "goods")

            async def shown() -> bool:
                clock.advance(SECOND_US)
                return len(mailbox.letters) == 4

            await eventually(shown, "letters with products of each one's favourite category")
            assert read(mailbox) == {
                "u1@mail.example": ("For you", "Assam 10,00\xa0€, Sencha 10,00\xa0€, viewed nothing"),
                "u2@mail.example": ("For you", "Mug 10,00\xa0€, viewed nothing"),
            }

            preview = channel_pb2.PreviewTemplateRequest(name="goods", contact=ann)
            seen = await house.call_role(Role.CHANNEL, preview)
            assert isinstance(seen, channel_pb2.PreviewTemplateResponse)
            assert (seen.subject, seen.body_text) == read(mailbox)["u1@mail.example"]
            assert (list(seen.missing), seen.address, seen.held_by) == (
                ["blocks.viewed[0].name"],
                "u1@mail.example",
                "",
            )
            await house.refuses_bad_questions()

            await platform.stop(ENGINE)
            await house.send(ann, "ann-2", await house.viewed(1, "coffee", "coffee"))
            await house.send(bo, "bo-2", 0, "plain")

            async def plain() -> bool:
                return len(mailbox.letters) == 5

            await eventually(plain, "a letter that names nothing computed does not wait")
            assert read(mailbox)["u2@mail.example"] == ("Hello", "Hello")
            for _ in range(20):
                clock.advance(SECOND_US)
                assert await house.state("ann-2") == channel_pb2.MESSAGE_STATE_RESERVED
                await asyncio.sleep(0.02)
            assert len(mailbox.letters) == 5
            await platform.start(ENGINE)
            await platform.host(Role.SEGMENT_ENGINE).wait_ready(20.0)

            async def waited() -> bool:
                clock.advance(SECOND_US)
                return len(mailbox.letters) == 6

            await eventually(waited, "the letter that waited")
            assert read(mailbox)["u1@mail.example"] == ("New in coffee", "coffee (3), tea (2), 5 views, friend")
