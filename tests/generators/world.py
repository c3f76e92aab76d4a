"""A random workspace: some dozens of contacts and a log of a few hundred facts, most of them at awkward instants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random

import numpy as np

from core.events.columns import MACHINE, Event, EventColumnsBuilder
from core.events.facts import (
    AttributeWrite,
    ContactFact,
    ContactState,
    Erasure,
    FactBatch,
    ListChange,
    Merge,
)
from core.query.names import Names
from core.schema import DecimalUnits, Instant, Kind, Location, Scalar, Value
from tests.generators.moments import CONTACT_ZONES, Moments

TEXTS = ("", "tea", "Tea", "TEA", "coffee", "tea set", "straße", "STRASSE", "Éclair", "éclair", "ﬀ", "\U0001f600", "+")
INTEGERS = (0, 1, 2, 3, 5, 50, -1, 2**63 - 1, -(2**63))
DECIMALS = (0, 1, 5_000, 10_000, 20_000, 499_999, 500_000, 500_001, 1_000_000, -15_000, 9 * 10**18)
LISTS = ("staff", "asked to be left alone", "empty")

ATTRIBUTES: Mapping[str, Kind] = {
    "gender": Kind.TEXT,
    "city": Kind.TEXT,
    "time_zone": Kind.TEXT,
    "visits": Kind.INTEGER,
    "balance": Kind.DECIMAL,
    "average_check": Kind.DECIMAL,
    "vip": Kind.BOOLEAN,
    "created": Kind.INSTANT,
    "last_visit": Kind.INSTANT,
    "birth_date": Kind.DATE,
    "loyalty_tags": Kind.TEXT_LIST,
    "children": Kind.OBJECT_LIST,
    "location": Kind.LOCATION,
}
ELEMENTS: Mapping[str, Kind] = {"name": Kind.TEXT, "gender": Kind.TEXT, "age": Kind.INTEGER, "birth_date": Kind.DATE}
ITEMS: Mapping[str, Kind] = {
    "product_id": Kind.TEXT,
    "category": Kind.TEXT,
    "price": Kind.DECIMAL,
    "quantity": Kind.INTEGER,
    "gift": Kind.BOOLEAN,
}
_PRODUCT: Mapping[str, Kind] = {
    "product_id": Kind.TEXT,
    "category": Kind.TEXT,
    "price": Kind.DECIMAL,
    "quantity": Kind.INTEGER,
    "found": Kind.BOOLEAN,
    "tags": Kind.TEXT_LIST,
    "seen_at": Kind.INSTANT,
    "delivery_date": Kind.DATE,
}
_ORDER: Mapping[str, Kind] = {"total": Kind.DECIMAL, "store": Kind.TEXT, "rating": Kind.INTEGER}
_MESSAGE: Mapping[str, Kind] = {"message_id": Kind.TEXT, "kind": Kind.TEXT, "channel": Kind.TEXT}
MESSAGE_EVENTS = tuple(
    f"message_{verb}" for verb in ("sent", "delivered", "opened", "clicked", "bounced", "unsubscribed", "complained")
)
EVENTS: Mapping[str, Mapping[str, Kind]] = {
    "product_viewed": _PRODUCT,
    "product_list_viewed": {"category": Kind.TEXT},
    "order_completed": _ORDER,
    "order_cancelled": _ORDER,
    "cart_updated": {**_PRODUCT, **_ORDER},
    "app_opened": {},
    "never_happened": {"category": Kind.TEXT},
    **dict.fromkeys(MESSAGE_EVENTS, _MESSAGE),
}
_EVENT_TYPES = (
    "product_viewed",
    "order_completed",
    "cart_updated",
    "order_cancelled",
    "product_list_viewed",
    "app_opened",
    *MESSAGE_EVENTS,
)
ITEM_EVENTS = ("order_completed", "order_cancelled", "cart_updated")


@dataclass(frozen=True, slots=True)
class Happened:
    """An event of a contact."""

    contact: int
    event: Event


#: One line of the log; `before_event` of a fact is set when the log is cut into batches.
Logged = Happened | ContactFact


@dataclass(frozen=True, slots=True)
class World:
    """`log` in order; `moments` knows its awkward instants and its zone."""

    log: tuple[Logged, ...]
    moments: Moments

    @property
    def zone(self) -> str:
        """The workspace's zone."""
        return self.moments.zone


def names_of(world: World) -> Names:
    """The vocabulary of every world; no segments are saved yet."""
    return Names(
        attributes=ATTRIBUTES,
        events=EVENTS,
        items=ITEMS,
        lists=frozenset(LISTS),
        elements={("children", name): kind for name, kind in ELEMENTS.items()},
        zone=world.zone,
    )


def params_of(names: tuple[str, ...]) -> dict[str, Kind]:
    """The parameters that some event named (or of the prefix) has."""
    types = [t for t in EVENTS if any(t == n or (n.endswith("*") and t.startswith(n[:-1])) for n in names)]
    return {name: kind for t in types for name, kind in EVENTS[t].items()}


def make_world(random: Random) -> World:
    """A world from the generator's state alone."""
    return _Maker(random).make()


def batches(random: Random, log: tuple[Logged, ...], first_position: int = 1, *, cuts: bool = True) -> list[FactBatch]:
    """The log cut at random places: into single facts, into a few parts, or not at all (always so without `cuts`)."""
    if not cuts:
        return [_batch(log, first_position)] if log else []
    size = random.choice((1, 7, 40, 10_000))
    found: list[FactBatch] = []
    start = 0
    while start < len(log):
        end = min(len(log), start + random.randint(1, size))
        found.append(_batch(log[start:end], first_position + len(found)))
        start = end
    return found


def _batch(log: tuple[Logged, ...], position: int) -> FactBatch:
    builder = EventColumnsBuilder()
    contacts = []
    facts: list[ContactFact] = []
    for line in log:
        if isinstance(line, Happened):
            builder.add(line.event)
            contacts.append(line.contact)
        else:
            facts.append(replace(line, before_event=len(contacts)))
    events = replace(builder.build(), contacts=np.array(contacts, np.uint32))
    return FactBatch(position, position, events, tuple(facts))


class _Maker:
    def __init__(self, random: Random) -> None:
        self.random = random
        self.moments = Moments.of(random)
        self.log: list[Logged] = []
        self.alive: list[int] = []
        self.next_contact = 0

    def make(self) -> World:
        random = self.random
        for _ in range(random.randint(20, 60)):
            self.contact()
        actions: tuple[Callable[[], None], ...] = (self.event, self.attribute, self.list_change, self.rarity)
        for action in random.choices(actions, (70, 22, 6, 2), k=random.randint(200, 500)):
            action()
        return World(tuple(self.log), self.moments)

    def contact(self) -> None:
        number = self.next_contact
        self.next_contact += 1
        self.alive.append(number)
        self.state(number, known=self.random.random() < 0.75)

    def state(self, number: int, known: bool) -> None:
        random = self.random
        reachable = random.choice((0, 0, 1, 8, 63))
        # Mostly long ago, so that the scope is not what decides everything.
        us = self.moments.instant() if random.random() < 0.2 else self.moments.as_of_us - 10**15
        self.log.append(ContactState(number, f"contact-{number}", known, reachable, us, 0))

    def someone(self) -> int:
        # Some contacts have many facts, most have a few.
        return self.alive[int(len(self.alive) * self.random.random() ** 2)]

    def rarity(self) -> None:
        random = self.random
        match random.randrange(5):
            case 0 | 1:
                survivor, loser = random.sample(self.alive, 2)
                self.alive.remove(loser)
                self.log.append(Merge(survivor, loser, 0))
                self.state(survivor, known=random.random() < 0.8)
            case 2:
                contact = random.choice(self.alive)
                self.alive.remove(contact)
                self.log.append(Erasure(contact, 0))
            case 3:
                self.contact()
            case _:
                self.state(self.someone(), known=random.random() < 0.5)

    def list_change(self) -> None:
        random = self.random
        member = random.random() < 0.7
        name = random.choice(LISTS[:2])
        self.log.append(ListChange(self.someone(), name, member, self.moments.instant(), random.random() < 0.3, 0))

    def attribute(self) -> None:
        random = self.random
        name = random.choice(tuple(ATTRIBUTES))
        value = None if random.random() < 0.15 else self.value(name)
        us = self.moments.instant()
        self.log.append(AttributeWrite(self.someone(), name, value, us, random.random() < 0.3, 0))

    def value(self, name: str) -> Value:
        random = self.random
        if name == "time_zone":
            return random.choice(CONTACT_ZONES)
        match ATTRIBUTES[name]:
            case Kind.LOCATION:
                return Location(500_000_000, random.randrange(300_000_000))
            case Kind.TEXT_LIST:
                return tuple(random.choices(TEXTS[:6], k=random.randrange(4)))
            case Kind.OBJECT_LIST:
                return tuple(self.fields(ELEMENTS) for _ in range(random.randrange(4)))
            case kind:
                return self.scalar(kind)

    def scalar(self, kind: Kind) -> Scalar:
        random = self.random
        match kind:
            case Kind.TEXT:
                return random.choice(TEXTS if random.random() < 0.5 else TEXTS[:5])
            case Kind.INTEGER:
                return random.choice(INTEGERS if random.random() < 0.1 else INTEGERS[:6])
            case Kind.DECIMAL if random.random() < 0.1:
                return random.choice(INTEGERS[:7])
            case Kind.DECIMAL:
                return DecimalUnits(random.choice(DECIMALS if random.random() < 0.2 else DECIMALS[:9]))
            case Kind.BOOLEAN:
                return random.random() < 0.5
            case Kind.INSTANT:
                return Instant(self.moments.instant())
            case Kind.DATE:
                return self.date()
        raise ValueError(kind)

    def date(self) -> date:
        random = self.random
        near = self.moments.date_near()
        return near if random.random() < 0.7 else near + timedelta(days=random.choice((1, -1, 2, -7, -365, -10_000)))

    def fields(self, kinds: Mapping[str, Kind]) -> dict[str, Scalar]:
        """Some of the fields."""
        present = self.random.choice((0.0, 0.6, 0.9))
        return {
            name: self.scalar(kind)
            for name, kind in kinds.items()
            if kind is not Kind.TEXT_LIST and self.random.random() < present
        }

    def event(self) -> None:
        random = self.random
        kind = random.choices(
            _EVENT_TYPES,
            (25, 12, 12, 4, 5, 6, 8, 4, 5, 4, 2, 1, 1),
        )[0]
        params: dict[str, Scalar | tuple[str, ...]] = dict(self.fields(EVENTS[kind]))
        if kind in MESSAGE_EVENTS:
            params["message_id"] = f"m{random.randrange(4)}"
            params["kind"] = random.choice(TEXTS[:4])
            params["channel"] = random.choice(("email", "sms"))
        if "tags" in EVENTS[kind] and random.random() < 0.4:
            params["tags"] = tuple(random.choices(TEXTS[:6], k=random.randint(1, 3)))
        lines = random.randrange(4) if kind in ITEM_EVENTS else 0
        happened = Event(
            id=f"e{random.choice((len(self.log), 10**6 - len(self.log)))}",
            type=kind,
            occurred_at_us=self.moments.instant(),
            received_at_us=self.moments.as_of_us + len(self.log),
            params=params,
            items=tuple(self.fields(ITEMS) for _ in range(lines)),
            flags=MACHINE if random.random() < (0.3 if kind in MESSAGE_EVENTS else 0.05) else 0,
        )
        self.log.append(Happened(self.someone(), happened))
