"""eSputnik-style web events -> calls of the Segment specification; names are mapped by core.events.canonical.

An event is `{"type": "web", "event": "ProductPage", "properties": {...}}` with the properties as shops send them today:
wrapped under the event's own name, beside `GeneralInfo` (who it is) and a GUID. A StatusCart is the whole cart, so it
stays one event, `cart_updated`, whose lines are the state: an empty list empties the cart. What was added and taken
out is told by the browser, which alone knows the state before (t.js); a server that knew it only from what has arrived
so far would answer differently for every order of arrival.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal, InvalidOperation

from core.events.checks import WRONG_TYPE, Bad

#: Keys under which events list their products, in the order in which they are looked for.
_LINES = ("Products", "products", "items")
_IDENTITY = {"externalCustomerId": "userId", "user_email": "email", "user_phone": "phone"}
_TRUTHS = ("isInStock", "isinStock", "isFound")
_SECTIONS = {"MainPage": "main"}
_EXACT = Context(prec=100)
#: Wrappers that hold further fields of the event.
_NESTED = ("Tags", "Product")
_WRAPPERS: Mapping[str, tuple[str, ...]] = {"ProductImpressions": ("ProductImpression",)}


def as_call(call: Mapping[str, object]) -> Mapping[str, object]:
    """The call of the specification that `call` stands for: itself unless its type is `web`. Who it is by GeneralInfo
    stands in its userId and traits."""
    name = call.get("event")
    if call.get("type") != "web" or not isinstance(name, str):
        return call
    told = call.get("properties")
    fields = dict(told) if isinstance(told, Mapping) else {}
    general = fields.pop("GeneralInfo", None)
    who = dict(general) if isinstance(general, Mapping) else {}
    own = _unwrapped(name, fields)
    if name == "CustomerData":
        return _identify(call, {**who, **own})
    made: dict[str, object] = {**call, "type": "track", "properties": _properties(name, own)}
    traits = {trait: who[key] for key, trait in _IDENTITY.items() if who.get(key) and trait != "userId"}
    if who.get("externalCustomerId"):
        made["userId"] = who["externalCustomerId"]
    if traits:
        made["traits"] = traits
    return made


def _unwrapped(name: str, fields: dict[str, object]) -> dict[str, object]:
    """The event's fields in one object; its list of products, if there is one, under `products`."""
    found: dict[str, object] = {}
    for key in (name, *_WRAPPERS.get(name, ())):
        inner = fields.pop(key, None)
        if isinstance(inner, Mapping):
            found |= inner
        elif isinstance(inner, list):
            found["products"] = inner
    found |= fields
    for key in _NESTED:
        inner = found.pop(key, None)
        if isinstance(inner, Mapping):
            found |= {one: value for one, value in inner.items() if one not in found}
    for key in _LINES:
        if isinstance(found.get(key), list):
            found["products"] = found.pop(key)
            break
    return found


def _properties(name: str, fields: Mapping[str, object]) -> dict[str, object]:
    found = _plain(fields)
    if name in _SECTIONS:
        found.setdefault("section", _SECTIONS[name])
    lines = found.get("products")
    if name == "StatusCart" and not isinstance(lines, list):
        # Without its list it would say that the cart was emptied.
        found["products"] = Bad(WRONG_TYPE, "must be the list of what is in the cart; [] empties it")
    if isinstance(lines, list):
        found["products"] = [_plain(line) if isinstance(line, Mapping) else line for line in lines]
    if name == "PurchasedItems" and "total" not in found and (total := _total(found.get("products"))) is not None:
        found["total"] = total
    return found


def _plain(fields: Mapping[str, object]) -> dict[str, object]:
    """`fields` with "754 USD" parted into a price and its currency, and "1" for true where a truth value stands."""
    found = dict(fields)
    for key in _TRUTHS:
        told = found.get(key)
        found |= {key: told == "1"} if told in ("0", "1") else {}
    price = found.get("price")
    if isinstance(price, str):
        amount, _, currency = price.strip().partition(" ")
        if len(currency) == 3 and currency.isascii() and currency.isalpha():
            found["price"] = amount
            found.setdefault("currency", currency.upper())
    return found


def _total(lines: object) -> Decimal | None:
    """The sum of price times quantity; None unless every line has both."""
    if not isinstance(lines, list) or not lines:
        return None
    total = Decimal(0)
    for line in lines:
        price = _number(line.get("price", line.get("unit_price"))) if isinstance(line, Mapping) else None
        quantity = _number(line.get("quantity")) if isinstance(line, Mapping) else None
        if price is None or quantity is None:
            return None
        total = _EXACT.add(total, _EXACT.multiply(price, quantity))
    return total


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    exponent = number.as_tuple().exponent
    return number if isinstance(exponent, int) and exponent >= -4 and abs(number) < 10**15 else None


def _identify(call: Mapping[str, object], fields: Mapping[str, object]) -> dict[str, object]:
    made: dict[str, object] = {key: value for key, value in call.items() if key not in ("event", "properties")}
    traits = {key: value for key, value in fields.items() if key != "externalCustomerId"}
    if fields.get("externalCustomerId"):
        made["userId"] = fields["externalCustomerId"]
    return {**made, "type": "identify", "traits": traits}
