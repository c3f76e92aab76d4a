"""The shop's side of the plays: new visitors, what they do, and the calls that a shop would make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from core.schema import format_units
from services.demo.client import CALL_S, Client, DemoError
from services.demo.journey import Journey

#: Mail to it goes nowhere: RFC 2606.
DOMAIN = "example.invalid"
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
    """Somebody new on every run of the demo. `phone` and `push_token` are empty for who gave none."""

    name: str
    stamp: str
    phone: str = ""
    push_token: str = ""

    @property
    def anonymous_id(self) -> str:
        """The browser's cookie."""
        return f"browser-{self.name.lower()}-{self.stamp}"

    @property
    def email(self) -> str:
        """An address that nobody can have."""
        return f"{self.name.lower()}-{self.stamp}@{DOMAIN}"

    @property
    def cart_id(self) -> str:
        """The one cart."""
        return f"cart-{self.name.lower()}-{self.stamp}"


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


def total(things: Sequence[Thing]) -> float:
    """For JSON, which has no decimals; two places survive."""
    return float(format_units(sum(thing.price_units for thing in things)))


class Shop:
    """Calls by the visitor's browser go to the HTTP endpoint, those of the shop's back end to gRPC."""

    def __init__(self, client: Client, http_url: str, secret: str) -> None:
        self._client = client
        self._http_url = http_url
        self._secret = secret

    async def sign_up(self, visitor: Visitor) -> None:
        """Name, addresses, and consent to be written to at each of them."""
        addresses = {"anonymous_id": visitor.anonymous_id, "email": visitor.email, "phone": visitor.phone}
        channels = {"email": visitor.email, "sms": visitor.phone, "web_push": visitor.push_token}
        # SDKs of the Segment specification have no words for consent: the shop's back end tells it over gRPC.
        person = ingest_pb2.Person(
            identifiers=[
                facts_pb2.Identifier(kind=kind, value=value)
                for kind, value in {**addresses, "push_token": visitor.push_token}.items()
                if value
            ],
            consents=[
                facts_pb2.ConsentChange(channel=channel, state="granted", source="invented for the demo")
                for channel, address in channels.items()
                if address
            ],
        )
        request = ingest_pb2.IdentifyRequest(person=person)
        await self._client.ingest.Identify(request, metadata=self._client.metadata, timeout=CALL_S)
        traits = {"firstName": visitor.name, "email": visitor.email}
        await self._post("identify", {"anonymousId": visitor.anonymous_id, "traits": traits})

    async def register(self, visitor: Visitor) -> None:
        """An account is opened."""
        await self._track(visitor, "Signed Up", {})

    async def fill_cart(self, visitor: Visitor, things: Sequence[Thing]) -> None:
        """The cart as it is now."""
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
        properties = {"cart_id": visitor.cart_id, "total": total(things), "products": products}
        await self._track(visitor, "Cart Updated", properties)

    async def wish(self, visitor: Visitor, product_id: str) -> None:
        """A product goes on the wishlist."""
        await self._track(visitor, "Product Added to Wishlist", {"product_id": product_id})

    async def buy(self, visitor: Visitor, things: Sequence[Thing]) -> None:
        """The cart becomes an order."""
        order_id = f"order-{visitor.name.lower()}-{visitor.stamp}"
        properties = {"order_id": order_id, "cart_id": visitor.cart_id, "total": total(things)}
        await self._track(visitor, "Order Completed", properties)

    async def _track(self, visitor: Visitor, event: str, properties: Mapping[str, Any]) -> None:
        await self._post("track", {"anonymousId": visitor.anonymous_id, "event": event, "properties": properties})

    async def _post(self, call: str, body: Mapping[str, Any]) -> None:
        async with httpx2.AsyncClient(trust_env=False, timeout=CALL_S) as http:
            try:
                response = await http.post(f"{self._http_url}/v1/{call}", json=body, auth=(self._secret, ""))
            except httpx2.HTTPError as error:
                raise DemoError(f"{self._http_url} does not answer: {error}") from error
        if response.status_code != 200:
            raise DemoError(f"/v1/{call} answered {response.status_code}: {response.text[:300]}")
