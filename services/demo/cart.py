"""A visitor leaves a cart: through the real HTTP endpoint in, as an email and a webhook out."""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import httpx2

from cdp.channel.v1 import channel_pb2
from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from cdp.profile.v1 import profile_pb2
from cdp.scenario.v1 import scenario_pb2
from core.schema import format_units
from services.demo.cart_definitions import (
    DOMAIN,
    SCENARIO,
    TEMPLATES,
    TimeScale,
    abandoned_cart,
    channel_settings,
)
from services.demo.client import CALL_S, Client, DemoError, again
from services.demo.journey import Journey
from services.demo.letter import show_letter
from services.demo.mailbox import Hook, HookReceiver, Mailbox
from services.demo.screen import INVENTED, Screen

#: Beyond the scaled time, how long a message or the end of a run is waited for.
_GRACE_S = 15.0
_POLL_S = 0.1
_THINGS = 3
_LEAST_UNITS = 20_000
_FOOD = frozenset({"GROCERY", "PRODUCE", "PASTRY", "DELI", "MEAT", "SEAFOOD"})


@dataclass(frozen=True, slots=True)
class Thing:
    """A product in the cart, with the price at which it was last sold."""

    product_id: str
    name: str
    category: str
    price_units: int


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody new on every run of the demo."""

    anonymous_id: str
    email: str
    cart_id: str


def things_of(journey: Journey) -> tuple[Thing, ...]:
    """The last foods sold that have a name and cost 2.00 or more, each once."""
    catalogue = {one.number: one for one in journey.products if one.name and one.department in _FOOD}
    found: dict[int, Thing] = {}
    lines = journey.lines
    for number, price in zip(lines.product[::-1].tolist(), lines.price_units[::-1].tolist(), strict=True):
        product = catalogue.get(number)
        if product is not None and number not in found and price >= _LEAST_UNITS:
            found[number] = Thing(str(number), product.name.title(), product.category, price)
        if len(found) == _THINGS:
            break
    return tuple(found.values())


class CartPlay:
    """One performance. `play` needs a mailbox and a receiver that listen."""

    def __init__(
        self, client: Client, http_url: str, secret: str, screen: Screen, mailbox: Mailbox, hooks: HookReceiver
    ) -> None:
        self._client = client
        self._http_url = http_url
        self._secret = secret
        self._screen = screen
        self._mailbox = mailbox
        self._hooks = hooks
        self._hook_secret = secrets.token_hex(16)
        self._started_s = 0.0

    async def play(self, things: Sequence[Thing], scale: TimeScale) -> None:
        """From the cart to its purchase; raises DemoError when something expected does not come."""
        stamp = secrets.token_hex(4)
        visitor = Visitor(f"browser-{stamp}", f"ann-{stamp}@{DOMAIN}", f"cart-{stamp}")
        await self._set_up(scale)
        await self._consent(visitor)
        await self._leave_cart(visitor, things)
        letter = await self._mailbox.next(scale.seconds(2) + _GRACE_S)
        if letter is None:
            raise DemoError(await self._why_nothing("email"))
        self._say(f"the email arrived over SMTP, {scale.seconds(2):g} s being 2 hours:")
        show_letter(self._screen, letter, self._http_url)
        self._say(f"nobody opens it; a day takes {scale.seconds(24):g} s ...")
        hook = await self._hooks.next(scale.seconds(24) + _GRACE_S)
        if hook is None:
            raise DemoError(await self._why_nothing("webhook"))
        self._say("not opened within a day: the second channel, a signed webhook, arrived:")
        self._show_hook(hook)
        await self._post(
            "track",
            {
                "anonymousId": visitor.anonymous_id,
                "event": "Order Completed",
                "properties": {"order_id": f"order-{stamp}", "cart_id": visitor.cart_id, "total": _total(things)},
            },
        )
        self._say("the cart is bought (Order Completed): that ends the run, and no offer is sent")
        self._show_run(await self._ended_run(visitor))

    async def _set_up(self, scale: TimeScale) -> None:
        client = self._client
        for name, template in TEMPLATES.items():
            save = channel_pb2.SaveTemplateRequest(name=name, template=template)
            await client.messages.SaveTemplate(save, metadata=client.metadata, timeout=CALL_S)
        update = channel_pb2.UpdateSettingsRequest(settings=channel_settings(self._hooks.port, self._hook_secret))
        await client.messages.UpdateSettings(update, metadata=client.metadata, timeout=CALL_S)
        request = scenario_pb2.SaveScenarioRequest(name=SCENARIO, scenario=abandoned_cart(scale))
        saved = await client.scenario.SaveScenario(request, metadata=client.metadata, timeout=CALL_S)
        self._started_s = time.perf_counter()
        self._say(f"saved: {len(TEMPLATES)} templates, scenario {SCENARIO!r} version {saved.scenario.revision.version}")

    async def _consent(self, visitor: Visitor) -> None:
        # SDKs of the Segment specification have no words for consent: the shop's back end tells it over gRPC.
        person = ingest_pb2.Person(
            identifiers=[
                facts_pb2.Identifier(kind="anonymous_id", value=visitor.anonymous_id),
                facts_pb2.Identifier(kind="email", value=visitor.email),
            ],
            consents=[
                facts_pb2.ConsentChange(channel=channel, state="granted", source="invented for the demo")
                for channel in ("email", "webhook")
            ],
        )
        request = ingest_pb2.IdentifyRequest(person=person)
        await self._client.ingest.Identify(request, metadata=self._client.metadata, timeout=CALL_S)

    async def _leave_cart(self, visitor: Visitor, things: Sequence[Thing]) -> None:
        await self._post(
            "identify",
            {"anonymousId": visitor.anonymous_id, "traits": {"firstName": "Ann", "email": visitor.email}},
        )
        products = [
            {
                "product_id": thing.product_id,
                "name": thing.name,
                "category": thing.category,
                "price": float(format_units(thing.price_units)),
                "quantity": 1,
                "url": f"https://shop.example.com/p/{thing.product_id}",
            }
            for thing in things
        ]
        properties = {"cart_id": visitor.cart_id, "total": _total(things), "products": products}
        await self._post(
            "track", {"anonymousId": visitor.anonymous_id, "event": "Cart Updated", "properties": properties}
        )
        self._say(
            f"POST {self._http_url}/v1/track Cart Updated: {len(things)} things for {_total(things):.2f} by "
            f"{visitor.email} (visitor and cart {INVENTED}, products and prices real)"
        )

    async def _post(self, call: str, body: Mapping[str, Any]) -> None:
        async with httpx2.AsyncClient(trust_env=False, timeout=CALL_S) as http:
            try:
                response = await http.post(f"{self._http_url}/v1/{call}", json=body, auth=(self._secret, ""))
            except httpx2.HTTPError as error:
                raise DemoError(f"{self._http_url} does not answer: {error}") from error
        if response.status_code != 200:
            raise DemoError(f"/v1/{call} answered {response.status_code}: {response.text[:300]}")

    async def _ended_run(self, visitor: Visitor) -> scenario_pb2.Run:
        client = self._client
        identifier = facts_pb2.Identifier(kind="email", value=visitor.email)
        resolve = profile_pb2.ResolveRequest(identifiers=[identifier])
        resolved = await client.profile.Resolve(resolve, metadata=client.metadata, timeout=CALL_S)
        request = scenario_pb2.ListRunsRequest(
            scenario=SCENARIO, contact=resolved.results[0].contact, by_contact=True, page_size=1
        )
        give_up_s = time.perf_counter() + _GRACE_S
        while True:
            answer = await again(lambda: client.scenario.ListRuns(request, metadata=client.metadata, timeout=CALL_S))
            if answer.runs and answer.runs[0].state == "ended":
                return answer.runs[0]
            if time.perf_counter() > give_up_s:
                raise DemoError(f"the run did not end within {_GRACE_S:g} s of the purchase")
            await asyncio.sleep(_POLL_S)

    async def _why_nothing(self, channel: str) -> str:
        """What the platform says about its newest message, for whoever waited for it in vain."""
        client = self._client
        request = channel_pb2.ListMessagesRequest(page_size=1)
        answer = await client.messages.ListMessages(request, metadata=client.metadata, timeout=CALL_S)
        for one in answer.messages:
            state = channel_pb2.MessageState.Name(one.state).removeprefix("MESSAGE_STATE_").lower()
            return (
                f"no {channel} arrived; the newest message ({one.message.channel} to {one.address or 'nobody yet'}) is "
                f"{state} {one.reason} {one.provider_reply}. The mail server of `cdp up` (CDP_SMTP_URL) must be port "
                f"{self._mailbox.port} of this machine."
            )
        return f"no {channel} arrived, and the platform has sent none: did its scenario start?"

    def _show_hook(self, hook: Hook) -> None:
        stamp, _, mac = hook.headers.get("cdp-signature", "").partition(",v1=")
        signed = stamp.removeprefix("t=").encode() + b"." + hook.raw
        genuine = hmac.compare_digest(mac, hmac.new(self._hook_secret.encode(), signed, sha256).hexdigest())
        self._screen.plain(f"    {hook.raw.decode()}")
        self._screen.plain(f"    Idempotency-Key {hook.headers.get('idempotency-key', '')}")
        self._screen.plain(f"    signature {'genuine' if genuine else 'NOT GENUINE'}")

    def _show_run(self, run: scenario_pb2.Run) -> None:
        self._say(f"run {run.run_id}, {run.state}: {run.end_reason}")
        for step in run.steps:
            after_s = (step.at_us - run.started_at_us) / 1e6
            self._screen.plain(f"    +{after_s:5.1f} s  {step.block:<18} {step.outcome}")

    def _say(self, text: str) -> None:
        self._screen.say(f"[dim]{time.perf_counter() - self._started_s:5.1f} s[/dim]  {text}")


def _total(things: Sequence[Thing]) -> float:
    """For JSON, which has no decimals; two places survive."""
    return float(format_units(sum(thing.price_units for thing in things)))
