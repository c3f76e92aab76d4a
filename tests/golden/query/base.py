"""A small base of the golden workspace, the same every time: what the plans of the golden rules are made on."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np

from core.clock import DAY_US, HOUR_US
from core.events.columns import Event, EventColumnsBuilder
from core.events.facts import AttributeWrite, ContactFact, ContactState, ListChange
from core.index.index import Index
from core.index.root import Root
from core.schema import DecimalUnits, Instant, Kind, Scalar

CONTACTS = 600
#: 2026-11-20T09:30:00.000001Z.
AS_OF_US = 1_795_253_400_000_001
_TYPES = ("product_viewed", "product_viewed", "cart_updated", "message_opened", "app_opened", "order_completed")
#: What stands for a parameter of each kind.
ARGUMENTS: dict[Kind, Scalar] = {
    Kind.TEXT: "tea",
    Kind.INTEGER: 2,
    Kind.DECIMAL: DecimalUnits(250_000),
    Kind.BOOLEAN: True,
    Kind.INSTANT: Instant(AS_OF_US - 30 * DAY_US),
    Kind.DATE: date(2026, 11, 1),
}


def golden_root() -> Root:
    """600 contacts, three quarters of them known, with a few attributes, and some ten events each over a year."""
    index = Index()
    facts: list[ContactFact] = []
    for contact in range(CONTACTS):
        born_us = AS_OF_US - (200 + contact % 300) * DAY_US
        facts.append(ContactState(contact, f"contact-{contact:04d}", contact % 4 != 0, contact % 3, born_us, 0))
        values = {
            "gender": ("female", "male")[contact % 2],
            "age": 16 + contact * 7 % 60,
            "country": ("UA", "PL", "DE", "FR", "IT")[contact % 5],
            "city": ("Kyiv", "Lviv", "Odesa")[contact % 3],
            "birth_date": date(1960 + contact % 50, 1 + contact % 12, 1 + contact % 28),
            "loyalty_status": ("none", "gold", "vip")[contact * 5 % 3],
        }
        facts += [AttributeWrite(contact, name, value, born_us, False, 0) for name, value in values.items()]
        if contact % 50 == 0:
            facts.append(ListChange(contact, "guests", True, born_us, False, 0))
    index.apply(EventColumnsBuilder().build(), facts, 1)
    events = EventColumnsBuilder()
    for number in range(CONTACTS * 10):
        events.add(_event(number))
    owners = np.arange(CONTACTS * 10) * 37 % CONTACTS
    index.apply(replace(events.build(), contacts=owners.astype(np.uint32)), (), 2)
    return index.root()


def _event(number: int) -> Event:
    at_us = AS_OF_US - (number * 97 % 8_000) * HOUR_US - number
    name = _TYPES[number % len(_TYPES)]
    params: dict[str, Scalar] = {"category": ("tea", "coffee", "cups")[number % 3]}
    if name == "order_completed":
        params = {"total": DecimalUnits(number % 500 * 10_000), "channel": ("store", "site")[number % 2]}
    elif name == "message_opened":
        params = {"message_id": f"m{number}", "kind": ("promo", "trigger")[number % 2], "channel": "email"}
    else:
        params |= {"product_id": f"p{number % 40}", "price": DecimalUnits(number % 90 * 10_000)}
    return Event(f"e{number:05d}", name, at_us, at_us, (), params)
