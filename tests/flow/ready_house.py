"""A shop that has taken over ready scenarios, and its customers with addresses on every channel.

Everything goes by the public RPCs, over HTTP and SMTP: what a client would do. Letters arrive at a real SMTP server,
web pushes at a push service that opens them; other channels have the provider that takes everything.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import grpc
import httpx2

from cdp.catalog.v1 import catalog_pb2, catalog_pb2_grpc
from cdp.channel.v1 import channel_pb2
from cdp.coupon.v1 import coupon_pb2, coupon_pb2_grpc
from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from cdp.profile.v1 import profile_pb2
from cdp.scenario.v1 import scenario_pb2
from cdp.schema.v1 import schema_pb2, schema_pb2_grpc
from cdp.segment.v1 import segment_pb2
from core.clock import SECOND_US, ManualClock
from core.schema import Scalar, Value
from services.demo.client import Client
from services.runtime.facts import object_to_proto, value_to_proto
from services.runtime.roles import Role
from tests.contract.sender_peers.http_peer import Asked, Reply, serving
from tests.contract.sender_peers.web_push import Browser
from tests.flow.feed_house import ENDED, feed_of, item
from tests.flow.mailbox import Mailbox
from tests.flow.platform import Platform
from tests.flow.ready_watch import Watch

#: A Monday.
START_US = int(datetime(2026, 11, 2, 8, tzinfo=UTC).timestamp()) * 1_000_000
EVERY_CHANNEL = ("email", "web_push", "mobile_push", "sms", "messenger")
_NULLS = ("sms", "messenger", "mobile_push")
_PUSHED = re.compile(r"/push/(.+)")

#: Parameters of an event, or fields of a line.
Params = Mapping[str, Scalar]
_NOTHING: Params = MappingProxyType({})


@dataclass(slots=True)
class House(Watch):
    """The shop's side of the platform."""

    _sent: int = 0

    # --- taking a ready scenario over ---------------------------------------------------------------------------------

    async def take(
        self, number: int, before: Mapping[str, Mapping[str, Value]] | None = None, codes: int | None = None
    ) -> str:
        """Save ready scenario `number` with all it needs, as a client does; its name. `before`: attributes that
        customers have already. `codes`: how many coupons its pools have, None for as many as are asked for."""
        listed = await self.ask(self.client.scenario.ListReadyScenarios, scenario_pb2.ListReadyScenariosRequest())
        ready = listed.scenarios[number - 1]
        schema = schema_pb2_grpc.SchemaServiceStub(self.client.channel)
        for name, kind in ready.attribute_kinds.items():
            place = schema_pb2.Place(family=schema_pb2.FAMILY_ATTRIBUTE, name=name)
            declare = schema_pb2.DeclareNameRequest(place=place, kind=facts_pb2.Kind.Value(f"KIND_{kind.upper()}"))
            await self.ask(schema.DeclareName, declare)
        for user, attributes in (before or {}).items():
            await self.change(user, **attributes)
        coupons = coupon_pb2_grpc.CouponServiceStub(self.client.channel)
        for pool in ready.coupon_pools:
            code = pool.upper().replace("-", "")
            pattern = f"{code}-######" if codes is None else ""
            made = coupon_pb2.Pool(name=pool, pattern=pattern, valid_days=1, for_forms=True)
            await self.ask(coupons.SavePool, coupon_pb2.SavePoolRequest(pool=made))
            if codes is not None:
                listed_codes = [f"{code}-{index}" for index in range(codes)]
                await self.ask(coupons.AddCodes, coupon_pb2.AddCodesRequest(pool=pool, codes=listed_codes))
        for name, text in sorted(ready.segments.items()):
            saved = segment_pb2.SaveSegmentRequest(name=name, rule=segment_pb2.RuleSource(text=text))
            await self._once_known(self.client.segment.SaveSegment, saved)
        for one in ready.contents:
            if one.template.channel == "sms":
                setattr(one.template, "from", "SHOP")
            request = channel_pb2.SaveTemplateRequest(name=one.name, template=one.template)
            await self.ask(self.client.messages.SaveTemplate, request)
        converted = await self.ask(
            self.client.scenario.ConvertScenario, scenario_pb2.ConvertScenarioRequest(yaml=ready.yaml)
        )
        scenario = converted.scenario
        scenario.ClearField("revision")
        self.clock.advance(SECOND_US)
        save = scenario_pb2.SaveScenarioRequest(name=converted.name, scenario=scenario)
        await self._once_known(self.client.scenario.SaveScenario, save)
        check = scenario_pb2.CheckScenarioRequest(name=converted.name)
        unknown = (await self.ask(self.client.scenario.CheckScenario, check)).unknown
        assert not unknown, unknown
        return converted.name

    async def put_away(self, scenario: str) -> None:
        """Delete a scenario: it starts nothing any more."""
        await self.ask(self.client.scenario.DeleteScenario, scenario_pb2.DeleteScenarioRequest(name=scenario))

    async def _once_known(self, call: Callable[..., Awaitable[object]], request: object) -> None:
        """Make a call that names what was declared just now: the engine learns it a moment later."""
        refused = ""

        async def done() -> bool:
            nonlocal refused
            try:
                await self.ask(call, request)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.INVALID_ARGUMENT:
                    raise
                refused = str(error.details())
                return False
            return True

        try:
            await self.eventually(done, "it is saved")
        except AssertionError as error:
            raise AssertionError(refused) from error

    # --- customers and what they do -----------------------------------------------------------------------------------

    async def person(self, user: str, channels: Sequence[str] = EVERY_CHANNEL, **attributes: Value) -> None:
        """A customer with an address on every channel who agreed to `channels`."""
        token = self.browser.token(f"http://127.0.0.1:{self.push_port}/push/{user}")
        number = 380_000_000_000 + len(self.contacts)
        named = {"external_id": user, "email": f"{user}@mail.example", "phone": f"+{number}", "push_token": token}
        person = ingest_pb2.Person(
            identifiers=[facts_pb2.Identifier(kind=kind, value=value) for kind, value in named.items()],
            attributes={name: value_to_proto(value) for name, value in attributes.items()},
            consents=[facts_pb2.ConsentChange(channel=one, state="granted", source="sign-up") for one in channels],
        )
        person.identifiers.add(kind="push_token", value=f"fcm:{user}")
        person.identifiers.add(kind="messenger_id", value=f"viber:{user}")
        await self.ask(self.client.ingest.Identify, ingest_pb2.IdentifyRequest(person=person))
        await self.known(user)

    async def known(self, user: str, kind: str = "external_id", value: str = "") -> int:
        """The number of the contact, once unification knows it."""
        request = profile_pb2.ResolveRequest(identifiers=[facts_pb2.Identifier(kind=kind, value=value or user)])

        async def found() -> bool:
            answer = await self.ask(self.client.profile.Resolve, request)
            self.contacts[user] = answer.results[0].contact
            return answer.results[0].found

        await self.eventually(found, f"{user} is known")
        return self.contacts[user]

    async def change(self, user: str, **attributes: Value) -> None:
        """The customer's profile is changed."""
        person = ingest_pb2.Person(
            identifiers=[facts_pb2.Identifier(kind="external_id", value=user)],
            attributes={name: value_to_proto(value) for name, value in attributes.items()},
            occurred_at_us=self.clock.now_us(),
        )
        await self.ask(self.client.ingest.Identify, ingest_pb2.IdentifyRequest(person=person))

    async def track(self, user: str, event_type: str, params: Params = _NOTHING, items: Sequence[Params] = ()) -> None:
        """Something happens now."""
        self._sent += 1
        event = ingest_pb2.Event(
            message_id=f"shop-{self._sent}",
            type=event_type,
            occurred_at_us=self.clock.now_us(),
            identifiers=[facts_pb2.Identifier(kind="external_id", value=user)],
            params={name: value_to_proto(value) for name, value in params.items()},
            items=[object_to_proto(one) for one in items],
        )
        await self.ask(self.client.ingest.Track, ingest_pb2.TrackRequest(event=event))

    async def buy(self, user: str, product: Params, **params: Scalar) -> None:
        """An order of one product is completed now."""
        self._sent += 1
        order = ingest_pb2.Order(
            order_id=f"order-{self._sent}",
            status="completed",
            occurred_at_us=self.clock.now_us(),
            identifiers=[facts_pb2.Identifier(kind="external_id", value=user)],
            params={name: value_to_proto(value) for name, value in params.items()},
            items=[object_to_proto(product)],
        )
        await self.ask(self.client.ingest.RecordOrder, ingest_pb2.RecordOrderRequest(order=order))

    async def stock(self, **products: tuple[str, int, str]) -> None:
        """The shop's feed is imported: product id -> price, stock, category."""
        catalog = catalog_pb2_grpc.CatalogServiceStub(self.client.channel)
        self.clock.advance(SECOND_US)
        feed = catalog_pb2.Feed(name="shop")
        await self.ask(catalog.SaveFeed, catalog_pb2.SaveFeedRequest(feed=feed))
        items = [
            item(name, f"{price} USD", stock, product_type=category, link=f"https://shop.example/{name}")
            for name, (price, stock, category) in products.items()
        ]

        async def parts() -> AsyncIterator[catalog_pb2.UploadFeedRequest]:
            yield catalog_pb2.UploadFeedRequest(name="shop")
            yield catalog_pb2.UploadFeedRequest(content=feed_of(items))

        upload = (await catalog.UploadFeed(parts(), metadata=self.client.metadata)).upload
        await self.ask(catalog.ImportFeed, catalog_pb2.ImportFeedRequest(name="shop", upload=upload))

        async def over() -> bool:
            asked = catalog_pb2.GetFeedRunRequest(feed="shop")
            return (await self.ask(catalog.GetFeedRun, asked)).run.state in ENDED

        await self.eventually(over, "the feed is imported")


@asynccontextmanager
async def ready_house(folder: Path) -> AsyncIterator[House]:
    """All services in one process, on a manual clock and a memory log; the workspace is live, and its providers are
    there."""
    browser, pushes = Browser(), dict[str, list[dict[str, str]]]()

    def pushed(asked: Asked) -> Reply:
        found = _PUSHED.fullmatch(asked.path)
        assert found is not None
        pushes.setdefault(found.group(1), []).append(browser.open(asked.body))
        return Reply(201)

    with Mailbox() as mailbox:
        async with (
            serving(pushed) as port,
            Platform(folder, ManualClock(START_US), extra={"CDP_SMTP_URL": mailbox.url}) as platform,
            httpx2.AsyncClient() as http,
        ):
            client = Client(platform.address(Role.INGEST), platform.key)
            house = House(platform, client, http, mailbox, port, browser, pushes)
            fields: dict[str, Any] = {
                "live": True,
                "from": "Shop <shop@shop.example>",
                "allowed_private_hosts": ["127.0.0.1"],
                "providers": [
                    channel_pb2.Provider(channel=channel, name=f"all-{channel}", kind="null") for channel in _NULLS
                ],
            }
            update = channel_pb2.UpdateSettingsRequest(settings=channel_pb2.Settings(**fields))
            try:
                await house.ask(client.messages.UpdateSettings, update)
                yield house
            finally:
                await client.close()
