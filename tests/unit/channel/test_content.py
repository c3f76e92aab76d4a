"""Letters with products, fallbacks and variants, as they arrive; and as a preview shows them before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest

from cdp.channel.v1 import channel_pb2
from cdp.facts.v1 import facts_pb2
from cdp.segment.v1 import recommend_pb2
from core.clock import SECOND_US
from core.errors import CdpError
from tests.unit.channel.content_peers import product
from tests.unit.channel.world import NO_CONTEXT, World, a_world, outgoing

VIEWED = "{% for p in blocks.viewed %}<a href='{{ p.url }}'>{{ p.name }} {{ p.price | money }}</a>{% endfor %}"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with a_world() as made:
        made.peers.goods.blocks = {"viewed": {1: ["tea", "cup"]}, "analogues": {1: ["herbs"]}}
        yield made


async def save(world: World, name: str, **fields: Any) -> None:
    template = channel_pb2.Template(**{"channel": "email", "subject": "Hi", **fields})
    await world.rpc.SaveTemplate(channel_pb2.SaveTemplateRequest(name=name, template=template), NO_CONTEXT)


def letter(world: World) -> EmailMessage:
    (_, raw), *_ = world.mailbox.mails[-1:]
    found = message_from_bytes(raw, policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


def part(world: World, kind: str) -> str:
    found = letter(world).get_body((kind,))
    assert found is not None
    text: str = found.get_content()
    return text.strip()


async def preview(world: World, **fields: Any) -> channel_pb2.PreviewTemplateResponse:
    request = channel_pb2.PreviewTemplateRequest(**{"contact": 1, **fields})
    return await world.rpc.PreviewTemplate(request, NO_CONTEXT)


async def test_a_letter_shows_products_about_what_it_is_sent_for(world: World) -> None:
    world.peers.position = 77
    await save(world, "viewed", body_html=VIEWED, body_text="{{ blocks.analogues[0].name }}", locale="de")
    items = [product("cup"), product("tea"), facts_pb2.Object()]
    values = {"product_id": facts_pb2.Value(text="tea"), "n": facts_pb2.Value(integer=1)}
    await world.send(outgoing("m1", template="viewed", items=items, values=values))
    await world.until("m1", "accepted")
    html = part(world, "html")
    assert "Tea 10,00\xa0$</a>" in html
    assert html.count("https://t.shop.example/c/") == 2, "links of products are tracked"
    assert part(world, "plain") == "Herbs"
    (request,) = world.peers.goods.requests
    assert list(request.blocks) == [recommend_pb2.BLOCK_ANALOGUES, recommend_pb2.BLOCK_VIEWED]
    assert [(one.contact, list(one.products)) for one in request.contacts] == [(1, ["tea", "cup"])]
    assert request.min_position == 77


async def test_products_are_asked_for_only_where_a_template_names_them_and_then_waited_for(world: World) -> None:
    await world.send(outgoing("m1"))
    await world.until("m1", "accepted")
    assert world.peers.goods.requests == []
    world.peers.goods.away = True
    await save(world, "viewed", body_html=VIEWED)
    await world.send(outgoing("m2", template="viewed", kind="transactional"))
    async with asyncio.timeout(10):
        while len(world.peers.goods.requests) < 2:
            world.clock.advance(SECOND_US)
            await asyncio.sleep(0.01)
    assert (await world.message("m2")).attempts == 0
    world.peers.goods.away = False
    async with asyncio.timeout(10):
        while (await world.message("m2")).state != channel_pb2.MESSAGE_STATE_ACCEPTED:
            world.clock.advance(SECOND_US)
            await asyncio.sleep(0.01)


async def test_a_contact_keeps_its_variant_and_the_message_names_it(world: World) -> None:
    everyone = [channel_pb2.Variant(name="short", share=10_000, subject="Short for {{ contact.first_name }}")]
    await save(world, "tested", body_text="Own", variants=everyone)
    await world.send(outgoing("m1", template="tested"))
    done = await world.until("m1", "accepted")
    assert (done.variant, letter(world)["Subject"], part(world, "plain")) == ("short", "Short for Ann1", "Own")
    assert (await preview(world, name="tested")).variant == "short"
    assert (await preview(world, name="tested", variant="short")).subject == "Short for Ann1"


async def test_fallbacks_stand_where_nothing_does(world: World) -> None:
    world.peers.profiles[1].attributes.add(name="last_name").value.text = ""
    body = "{{ contact.first_name }}|{{ contact.last_name }}|{{ contact.city | upcase }}|{{ coupon }}|{{ n }}"
    fallbacks = {
        "contact.first_name": "you",
        "contact.last_name": "-",
        "contact.city": "town",
        "coupon": "NONE",
        "n": "0",
    }
    await save(world, "kind", body_text=body, fallbacks=fallbacks)
    await world.send(outgoing("m1", template="kind", values={"n": facts_pb2.Value(integer=0)}))
    await world.until("m1", "accepted")
    assert part(world, "plain") == "Ann1|-|TOWN|NONE|0"


async def test_a_preview_shows_what_would_be_sent_and_what_is_missing(world: World) -> None:
    template = channel_pb2.Template(
        channel="email",
        subject="{{ contact.first_name }}, {{ total | money }}",
        body_html=VIEWED
        + "<p>{{ contact.city }}{{ contact.colour }}{{ coupon }}</p><a href='{{ unsubscribe_url }}'>x</a>",
        fallbacks={"contact.city": "your town"},
        locale="de",
        currency="EUR",
    )
    found = await preview(world, template=template, values={"total": facts_pb2.Value(decimal_units=125_000)})
    assert found.subject == "Ann1, 12,50\xa0€"
    assert "<a href='https://shop.example/tea'>Tea 10,00\xa0€</a>" in found.body_html
    assert "<p>your town</p><a href='#unsubscribe'>" in found.body_html
    assert found.body_text.startswith("Tea 10,00")
    assert list(found.missing) == ["contact.city", "contact.colour", "coupon"]
    assert list(found.unknown) == ["contact.colour", "coupon"]
    assert (found.address, found.held_by, found.variant) == ("ann@mail.example", "", "")
    assert world.mailbox.mails == []


async def test_a_preview_says_what_would_hold_it_back(world: World) -> None:
    world.peers.add(2, "bo@mail.example", "denied")
    assert (await preview(world, name="hello", contact=2)).held_by == "NO_CONSENT"
    await world.set(live=False)
    assert (await preview(world, name="hello")).held_by == "RECIPIENT_NOT_ALLOWED"


@pytest.mark.parametrize(
    ("request_fields", "reason"),
    [
        ({"name": "nothing"}, "NO_SUCH_TEMPLATE"),
        ({"name": "hello", "contact": 9}, "NO_SUCH_CONTACT"),
        ({"name": "hello", "variant": "x"}, "NO_SUCH_VARIANT"),
        ({"template": channel_pb2.Template(channel="pigeon")}, "UNKNOWN_CHANNEL"),
        ({"template": channel_pb2.Template(channel="email", subject="{{", body_text="x")}, "BAD_TEMPLATE"),
        ({"template": channel_pb2.Template(channel="email", subject="x", body_html="<a href='javascript:x'>")},
         "UNSAFE_URL"),
    ],
)  # fmt: skip
async def test_a_preview_refuses_what_cannot_be_shown(
    world: World, request_fields: dict[str, Any], reason: str
) -> None:
    with pytest.raises(CdpError) as caught:
        await preview(world, **request_fields)
    assert caught.value.reason == reason


async def test_a_template_is_checked_before_it_is_launched(world: World) -> None:
    await save(
        world,
        "n3",
        body_text="{{ contact.city }}{{ contact.card_number }}{{ contact.spnet }}\n{{ cart_id }}{{ items[0].prise }}",
    )
    request = channel_pb2.CheckTemplateRequest(name="n3", values=["cart_id"])
    found = await world.rpc.CheckTemplate(request, NO_CONTEXT)
    assert [(one.field, one.line, one.name) for one in found.unknown] == [
        ("body_text", 1, "contact.spnet"),
        ("body_text", 2, "items[0].prise"),
    ]
    world.peers.engine.attributes["spnet"] = {}
    world.peers.schema.keys[5].append("prise")
    assert not (await world.rpc.CheckTemplate(request, NO_CONTEXT)).unknown, "computed, and declared by now"
    of_event = channel_pb2.CheckTemplateRequest(name="n3", event_type="cart_updated")
    assert not (await world.rpc.CheckTemplate(of_event, NO_CONTEXT)).unknown, "a parameter of the event"
    none = channel_pb2.CheckTemplateRequest(name="n3")
    assert [one.name for one in (await world.rpc.CheckTemplate(none, NO_CONTEXT)).unknown] == ["cart_id"]
