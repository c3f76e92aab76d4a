"""What the log of unification says, in one order: resolved events, and changes of contacts.

`FactBatch` is what the engine and the scenarios fold. Events stand as columns; all other facts are rows that carry
`before_event`, the number of the batch's events that precede them, so that the order of the log is kept, and `item`,
the number within the batch of the accepted item that they came of: facts of one item are neighbours and one step of
membership. Those that an event brought (its contact was made, joined or became known) carry EVENT_ITEM: they and the
event at `before_event` are one step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.events.columns import EventColumns
from core.schema import Scalar, Value

#: Channels in the order of the bits of `ContactState.reachable`; numbers never change.
CHANNELS = ("email", "web_push", "mobile_push", "sms", "messenger", "webhook")

#: The `item` of facts that belong to the event at their `before_event`.
EVENT_ITEM = -1


@dataclass(frozen=True, slots=True)
class ContactState:
    """Contact number `contact` exists (from `occurred_at_us` at the latest) and is known or anonymous now.
    `key` is its public id (stable, opaque text). `reachable` has bit i for CHANNELS[i]: an address and consent.
    `told_at_us` is the instant of the fact that changed it; None: `occurred_at_us`."""

    contact: int
    key: str
    known: bool
    reachable: int
    occurred_at_us: int
    before_event: int
    imported: bool = False
    told_at_us: int | None = None
    item: int = 0


@dataclass(frozen=True, slots=True)
class AttributeWrite:
    """Attribute `name` of `contact` has `value` from `occurred_at_us` on; None: it is missing from then on."""

    contact: int
    name: str
    value: Value | None
    occurred_at_us: int
    imported: bool
    before_event: int
    item: int = 0


@dataclass(frozen=True, slots=True)
class ListChange:
    """`contact` is put on (`member`) or taken off the static list `list_name` at `occurred_at_us`."""

    contact: int
    list_name: str
    member: bool
    occurred_at_us: int
    imported: bool
    before_event: int
    item: int = 0


@dataclass(frozen=True, slots=True)
class Merge:
    """All facts of `loser` belong to `survivor` from here on; `loser` leaves every answer."""

    survivor: int
    loser: int
    before_event: int
    item: int = 0


@dataclass(frozen=True, slots=True)
class Erasure:
    """`contact` and all its facts are gone."""

    contact: int
    before_event: int
    item: int = 0


@dataclass(frozen=True, slots=True)
class ProductState:
    """Catalogue: product `product_id` has these fields from `occurred_at_us` on; an empty mapping deletes it."""

    product_id: str
    fields: Mapping[str, Scalar]
    occurred_at_us: int
    before_event: int


ContactFact = ContactState | AttributeWrite | ListChange | Merge | Erasure | ProductState


@dataclass(frozen=True, slots=True)
class FactBatch:
    """One entry of unification's log: `position` and `recorded_at_us` are the log's. `events.contacts` is set.
    `facts` are ordered by `before_event`, then by log order."""

    position: int
    recorded_at_us: int
    events: EventColumns
    facts: tuple[ContactFact, ...]
