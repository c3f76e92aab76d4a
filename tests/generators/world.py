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
    MachineMark,
    MarkedEvent,
    Merge,
    ProductState,
)
from core.query.names import Names
from core.schema import DecimalUnits, Instant, Kind, Location, Scalar, Value
from tests.generators.moments import CONTACT_ZONES, Moments
from tests.generators.vocabulary import (
    ATTRIBUTE_WEIGHTS,
    ATTRIBUTES,
    BASES,
    DECIMALS,
    ELEMENTS,
    EVENT_WEIGHTS,
    EVENTS,
    INTEGERS,
    ITEM_EVENTS,
    ITEMS,
    LISTS,
    MESSAGE_EVENTS,
    PLACES,
    SCENARIO_EVENTS,
    SCENARIOS,
    SETTING,
    STATUSES,
    TEXTS,
)


@dataclass(frozen=True, slots=True)
class Happened:
    """An event of a contact, told of one `part` of it (None: of the contact itself)."""

    contact: int
    event: Event
    part: int | None = None


#: How much of what happens is the doing of machines.
_MACHINES = {"message_opened": 0.4, "message_clicked": 0.4, "message_sent": 0.0, **dict.fromkeys(SCENARIO_EVENTS, 0.0)}

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
        setting=SETTING,
    )


def make_world(random: Random) -> World:
    """A world from the generator's state alone."""
    return _Maker(random).make()


def batches(random: Random, log: tuple[Logged, ...], first_position: int = 1, *, cuts: bool = True) -> list[FactBatch]:
    """The log cut at random places: into single facts, into a few parts, or not at all (always so without `cuts`)."""
    if not cuts:
        return [batch(log, first_position)] if log else []
    size = random.choice((1, 7, 40, 10_000))
    found: list[FactBatch] = []
    start = 0
    while start < len(log):
        end = min(len(log), start + random.randint(1, size))
        found.append(batch(log[start:end], first_position + len(found)))
        start = end
    return found


def batch(log: tuple[Logged, ...], position: int) -> FactBatch:
    """The log as one entry."""
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


def with_marks(log: list[Logged]) -> tuple[Logged, ...]:
    """The log with some marks of machines in it, drawn apart from everything else: up to three events of one contact;
    some of them are not its own, do not exist, or come later."""
    random = Random(len(log))
    for _ in range(random.randrange(8)):
        place = random.randrange(len(log) + 1)
        owners: dict[int, int] = {}
        for line in log[:place]:
            if isinstance(line, Merge):
                owners[line.loser] = line.survivor
        happened = [line for line in log if isinstance(line, Happened) and _MACHINES.get(line.event.type) != 0.0]
        if not happened:
            break
        contact = _owner(random.choice(happened).contact, owners)
        own = [line.event for line in happened if _owner(line.contact, owners) == contact]
        chosen = [*random.choices(own, k=min(3, len(own))), random.choice(happened).event]
        marked = tuple(MarkedEvent(one.id, one.occurred_at_us) for one in chosen)
        at_us = marked[0].occurred_at_us
        log = [*log[:place], MachineMark(contact, marked, "every_link", at_us, False, 0), *log[place:]]
    return tuple(log)


def _owner(contact: int, owners: Mapping[int, int]) -> int:
    while contact in owners:
        contact = owners[contact]
    return contact


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
        for text in TEXTS[:5]:
            self.product(text)
        actions: tuple[Callable[[], None], ...] = (
            *(self.event, self.attribute, self.list_change, self.rarity),
            lambda: self.product(random.choice(TEXTS[:6])),
        )
        for action in random.choices(actions, (66, 24, 5, 2, 3), k=random.randint(250, 600)):
            action()
        return World(with_marks(self.log), self.moments)

    def contact(self) -> None:
        number = self.next_contact
        self.next_contact += 1
        self.alive.append(number)
        self.state(number, known=self.random.random() < 0.75)
        if self.random.random() < 0.6:
            bases = tuple(b for b in BASES if self.random.random() < 0.7)
            long_ago_us = self.moments.as_of_us - 10**15
            self.log.append(AttributeWrite(number, "bases", bases, long_ago_us, False, 0))

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
        name = random.choices(tuple(ATTRIBUTES), ATTRIBUTE_WEIGHTS)[0]
        value = None if random.random() < 0.15 else self.value(name)
        us = self.moments.instant()
        self.log.append(AttributeWrite(self.someone(), name, value, us, random.random() < 0.3, 0))

    def product(self, product_id: str) -> None:
        random = self.random
        fields: dict[str, Scalar] = {}
        if random.random() < 0.9:
            if random.random() < 0.9:
                fields["stock"] = random.choice((0, 0, 1, 1, 2, 3, 50))
            if random.random() < 0.9:
                fields["price"] = DecimalUnits(random.choice(DECIMALS[1:9]))
            if random.random() < 0.5:
                fields["sale_price"] = DecimalUnits(random.choice(DECIMALS[1:9]))
        us = self.moments.instant() if random.random() < 0.7 else self.moments.as_of_us - 10**15
        self.log.append(ProductState(product_id, fields, us, 0))

    def value(self, name: str) -> Value:
        random = self.random
        match name:
            case "time_zone":
                return random.choice(CONTACT_ZONES)
            case "status":
                return random.choice(STATUSES)
            case "bases":
                return tuple(b for b in BASES if random.random() < 0.7)
        match ATTRIBUTES[name]:
            case Kind.LOCATION:
                return Location(*random.choice(PLACES))
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
        draw = random.random()
        if draw < 0.15:
            return date(random.choice((1996, 2000, 2024)), 2, 29)
        if draw < 0.35:  # somebody's birthday
            return near - timedelta(days=round(365.2425 * random.choice((1, 8, 18, 30))) + random.choice((-1, 0, 1)))
        return near if draw < 0.75 else near + timedelta(days=random.choice((1, -1, 2, -7, -365, -10_000)))

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
        kind = random.choices(tuple(EVENT_WEIGHTS), tuple(EVENT_WEIGHTS.values()))[0]
        params: dict[str, Scalar | tuple[str, ...]] = dict(self.fields(EVENTS[kind]))
        if kind in MESSAGE_EVENTS:
            params.pop("message_id", None)
            if random.random() < 0.96:
                params["message_id"] = f"m{random.randrange(4)}"
            params["kind"] = random.choice(TEXTS[:4])
            params["channel"] = random.choice(("email", "sms"))
        if kind == "message_sent" and "time_zone" in params:
            params["time_zone"] = random.choice(CONTACT_ZONES)
        if kind in SCENARIO_EVENTS:
            params["scenario"] = random.choice(SCENARIOS)
        if "tags" in EVENTS[kind] and random.random() < 0.4:
            params["tags"] = tuple(random.choices(TEXTS[:6], k=random.randint(1, 3)))
        lines = random.randrange(4) if kind in ITEM_EVENTS else 0
        happened = Event(
            # Some ids stand twice, also in other types: then the order of the log decides.
            id=f"e{random.choice((len(self.log), 10**6 - len(self.log), 7))}",
            type=kind,
            occurred_at_us=self.moments.instant(),
            received_at_us=self.moments.as_of_us + len(self.log),
            params=params,
            items=tuple(self.fields(ITEMS) for _ in range(lines)),
            flags=MACHINE if random.random() < _MACHINES.get(kind, 0.05) else 0,
        )
        self.log.append(Happened(self.someone(), happened))
