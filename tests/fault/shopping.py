"""The load of the kill tests: Complete Journey and some live carts, through the public gRPC API, with a ledger.

The same arguments give the same facts under the same message ids, down to the instant. Live people are invented: each
leaves a cart, half of them buy it at once, the others get an email after two seconds and a webhook three seconds later.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from cdp.channel.v1 import channel_pb2
from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from cdp.scenario.v1 import scenario_pb2
from cdp.segment.v1 import segment_pb2
from core.clock import DAY_US, SECOND_US
from services.demo.client import CALL_S, Client, again
from services.demo.journey import Journey
from services.demo.requests import message_requests, order_requests, person_requests, product_requests
from services.runtime.roles import Role
from services.scenario.convert import definition_to_proto
from tests.carts import abandoned_cart
from tests.fault.processes import Processes

CARTS = 24
BOUGHT = range(0, CARTS, 2)
LEFT = range(1, CARTS, 2)
WAITING_AT = "wait_again"
_IN_FLIGHT = 4
_PATIENCE_S = 120.0

GOT_A_LETTER = "Got a letter"
#: Kept current by the engine from before the first fact on.
STANDING = {
    "Regulars": "did order_completed at least 60 times",
    "Coffee": 'did order_completed (any item (category = "COFFEE")) at least 3 times',
    "Coupons": "did coupon_redeemed at least 2 times",
    "Left a cart": "did cart_updated and did not order_completed",
    GOT_A_LETTER: 'received message (kind = "trigger")',
    "Shoppers with an address": "email is present and did order_completed and not did cart_updated",
}


def email(live: int) -> str:
    """The address of a live person."""
    return f"live-{live}@shop.example"


async def set_up(processes: Processes, webhook_url: str) -> None:
    """Templates, channel settings, the abandoned cart in seconds, standing segments."""
    messages, metadata = processes.client(Role.CHANNEL).messages, processes.client(Role.CHANNEL).metadata
    templates = {
        "abandoned_cart": channel_pb2.Template(
            channel="email", subject="{{ cart_id }}", body_html="<p>{{ items[0].name }}</p>", body_text="{{ cart_id }}"
        ),
        "abandoned_cart_push": channel_pb2.Template(channel="webhook", body_text='{"cart": "{{ cart_id }}"}'),
        "abandoned_cart_offer": channel_pb2.Template(channel="webhook", body_text='{"offer": "{{ cart_id }}"}'),
    }
    for name, template in templates.items():
        save = channel_pb2.SaveTemplateRequest(name=name, template=template)
        await messages.SaveTemplate(save, metadata=metadata, timeout=CALL_S)
    settings = channel_pb2.Settings(
        live=True,
        webhook_url=webhook_url,
        webhook_secret="hush",
        allowed_private_hosts=["127.0.0.1"],
    )
    setattr(settings, "from", "Shop <shop@shop.example>")  # a keyword of Python is no argument
    update = channel_pb2.UpdateSettingsRequest(settings=settings)
    await messages.UpdateSettings(update, metadata=metadata, timeout=CALL_S)
    segments = processes.client(Role.SEGMENT_ENGINE).segment
    for name, text in STANDING.items():
        segment = segment_pb2.SaveSegmentRequest(name=name, rule=segment_pb2.RuleSource(text=text))
        await segments.SaveSegment(segment, metadata=metadata, timeout=CALL_S)
    scenario = abandoned_cart(email_after_us=2 * SECOND_US, open_within_us=3 * SECOND_US, offer_after_us=DAY_US)
    request = scenario_pb2.SaveScenarioRequest(name="Abandoned cart", scenario=definition_to_proto(scenario))
    scenarios = processes.client(Role.SCENARIO).scenario
    await scenarios.SaveScenario(request, metadata=metadata, timeout=CALL_S)


def live_people(at_us: int) -> bytes:
    """Persons with consents; and two people whom a third fact shows to be one."""
    people = [
        ingest_pb2.Person(
            message_id=f"live-person-{live}",
            occurred_at_us=at_us,
            identifiers=[_identifier("external_id", f"live-{live}"), _identifier("email", email(live))],
            consents=[
                facts_pb2.ConsentChange(channel=channel, state="granted", source="sign-up")
                for channel in ("email", "webhook")
            ],
        )
        for live in range(CARTS)
    ]
    phone, mail = _identifier("phone", "+380441234567"), _identifier("email", "two@shop.example")
    people += [
        ingest_pb2.Person(message_id="two-phone", occurred_at_us=at_us, identifiers=[phone]),
        ingest_pb2.Person(message_id="two-email", occurred_at_us=at_us, identifiers=[mail]),
        ingest_pb2.Person(
            message_id="two-both", occurred_at_us=at_us, identifiers=[_identifier("external_id", "two"), phone, mail]
        ),
    ]
    items = [ingest_pb2.BatchItem(person=person) for person in people]
    return ingest_pb2.IngestBatchRequest(items=items).SerializeToString()


def cart(live: int, at_us: int) -> bytes:
    """A live person's cart, with its purchase right behind it for half of them."""
    who = [_identifier("external_id", f"live-{live}")]
    line = facts_pb2.Object(fields={"product_id": facts_pb2.Value(text="p1"), "name": facts_pb2.Value(text="Pram")})
    cart_id = facts_pb2.Value(text=f"cart-{live}")
    event = ingest_pb2.Event(
        message_id=f"cart-{live}",
        type="cart_updated",
        occurred_at_us=at_us,
        identifiers=who,
        params={"cart_id": cart_id},
        items=[line],
    )
    items = [ingest_pb2.BatchItem(event=event)]
    if live in BOUGHT:
        params = {"cart_id": cart_id, "total": facts_pb2.Value(decimal_units=599_000)}
        order = ingest_pb2.Order(
            order_id=f"live-{live}",
            status="completed",
            occurred_at_us=at_us + SECOND_US,
            identifiers=who,
            params=params,
            items=[line],
        )
        items.append(ingest_pb2.BatchItem(order=order))
    return ingest_pb2.IngestBatchRequest(items=items).SerializeToString()


def _identifier(kind: str, value: str) -> facts_pb2.Identifier:
    return facts_pb2.Identifier(kind=kind, value=value)


@dataclass(frozen=True, slots=True)
class Call:
    """A serialised request of IngestBatch or, with `products`, of UpsertProducts."""

    body: bytes
    products: bool = False


def first_calls(data: Journey, at_us: int) -> Iterator[Call]:
    """People and products: what the others build upon."""
    yield Call(live_people(at_us))
    yield from (Call(one.body) for one in person_requests(data))
    yield from (Call(one.body, True) for one in product_requests(data))


def calls(data: Journey, at_us: int) -> list[Call]:
    """Mailings, coupons and orders, with the carts spread evenly between them."""
    facts = [Call(one.body) for one in chain(message_requests(data), order_requests(data))]
    for live in range(CARTS):
        place = (live + 1) * len(facts) // (CARTS + 1)
        facts.insert(place, Call(cart(live, at_us)))
    return facts


@dataclass(slots=True)
class Ledger:
    """What was acknowledged: the ids of events, how many items of all kinds, and ingest's last position."""

    events: Counter[str] = field(default_factory=Counter)
    items: int = 0
    position: int = 0

    async def send(
        self, client: Client, calls: Iterator[Call], before: Callable[[int], Awaitable[None]] | None = None
    ) -> None:
        """Make all calls, some at a time, again and again while the platform is away. `before` gets the number of
        the call that is to be made next."""
        numbered = enumerate(calls)

        async def work() -> None:
            for number, call in numbered:
                if before is not None:
                    await before(number)
                self._take(call, await self._answer(client, call))

        async with asyncio.TaskGroup() as tasks:
            for _ in range(_IN_FLIGHT):
                tasks.create_task(work())

    @staticmethod
    async def _answer(client: Client, call: Call) -> Any:
        method = client.upsert_products if call.products else client.ingest_batch
        return await again(lambda: method(call.body, metadata=client.metadata, timeout=CALL_S), _PATIENCE_S)

    def _take(self, call: Call, answer: Any) -> None:
        for result in answer.results:
            assert not result.reason, result
        self.items += len(answer.results)
        self.position = max(self.position, answer.position)
        if call.products:
            return
        items = ingest_pb2.IngestBatchRequest.FromString(call.body).items
        self.events.update(
            result.message_id
            for item, result in zip(items, answer.results, strict=True)
            if item.WhichOneof("item") in ("event", "order")
        )
