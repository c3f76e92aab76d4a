"""What the log of unification says, in one order: resolved events, and changes of contacts.

`FactBatch` is what the engine and the scenarios fold. Events stand as columns; all other facts are rows that carry
`before_event`, the number of the batch's events that precede them, so that the order of the log is kept, and `item`,
the number within the batch of the accepted item that they came of: facts of one item are neighbours and one step of
membership. Those that an event brought (its contact was made, joined or became known) carry EVENT_ITEM: they and the
event at `before_event` are one step.

Every fact has a part: the contact that it would belong to had nobody ever been merged. `part` 0 is the contact itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from core.events.columns import EventColumns
from core.schema import Scalar, Value

#: Channels in the order of the bits of `ContactState.reachable`; numbers never change.
CHANNELS = ("email", "web_push", "mobile_push", "sms", "messenger", "webhook", "inbox", "popup")

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
    part: int = 0


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
    part: int = 0


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
    part: int = 0


@dataclass(frozen=True, slots=True)
class ConsentWrite:
    """Consent of `channel`, or of one `category` of it (empty: the whole channel), as it was told: it counts from
    `occurred_at_us`. What follows of it is in `ContactState.reachable`."""

    contact: int
    channel: str
    category: str
    state: str
    source: str
    proof: str
    occurred_at_us: int
    imported: bool
    before_event: int
    item: int = 0
    part: int = 0


@dataclass(frozen=True, slots=True)
class Merge:
    """All facts of `loser` belong to `survivor` from here on; `loser` leaves every answer."""

    survivor: int
    loser: int
    before_event: int
    item: int = 0


@dataclass(frozen=True, slots=True)
class Unmerge:
    """Contact `restored`, of public id `key`, exists again from here on; the events of `survivor` with `event_ids`
    belong to it. Attribute writes, list changes and states of both are void: the facts of the same item that follow
    tell them anew, whole histories with their old instants. `occurred_at_us` is when it was asked for.

    `event_instants_us` are the instants of those events, one beside each id; empty where the ids alone name them.
    `parts` are the contacts that belong to `restored` from here on, itself among them; empty: itself alone."""

    survivor: int
    restored: int
    key: str
    event_ids: tuple[str, ...]
    occurred_at_us: int
    before_event: int
    item: int = 0
    event_instants_us: tuple[int, ...] = ()
    parts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class MarkedEvent:
    """An event by its id and instant, which together name one."""

    id: str
    occurred_at_us: int


@dataclass(frozen=True, slots=True)
class MachineMark:
    """A machine made these events of `contact`, as was found out at `occurred_at_us`: from the mark on they count as
    such, the past included. Events that follow the mark in the log are not meant."""

    contact: int
    events: tuple[MarkedEvent, ...]
    reason: str
    occurred_at_us: int
    imported: bool
    before_event: int
    item: int = 0
    part: int = 0


@dataclass(frozen=True, slots=True)
class Erasure:
    """`contact` and all its facts are gone."""

    contact: int
    before_event: int
    item: int = 0


class ProductChangeKind(IntEnum):
    """How a product became different between two imports of its feed; numbers are those of the wire."""

    NEW = 1
    REMOVED = 2
    BACK_IN_STOCK = 3
    OUT_OF_STOCK = 4
    RUNNING_LOW = 5
    LAST_ITEM = 6
    PRICE_DROPPED = 7
    PRICE_RAISED = 8
    PROMOTION_STARTED = 9
    PROMOTION_ENDED = 10


@dataclass(frozen=True, slots=True)
class ProductChange:
    """One change. Of prices: what was and is to be paid, in units of 1e-4, and by how many units of a per cent of the
    former price it fell or rose, rounded down; zeros otherwise."""

    kind: ProductChangeKind
    from_units: int = 0
    to_units: int = 0
    percent_units: int = 0


@dataclass(frozen=True, slots=True)
class ProductState:
    """Catalogue: product `product_id` has these fields from `occurred_at_us` on; an empty mapping deletes it.
    `changes` are told by an import of a feed, by kind; none where nobody compared."""

    product_id: str
    fields: Mapping[str, Scalar]
    occurred_at_us: int
    before_event: int
    changes: tuple[ProductChange, ...] = ()


ContactFact = (
    ContactState | AttributeWrite | ListChange | ConsentWrite | Merge | Unmerge | MachineMark | Erasure | ProductState
)


@dataclass(frozen=True, slots=True)
class FactBatch:
    """One entry of unification's log: `position` and `recorded_at_us` are the log's. `events.contacts` is set.
    `facts` are ordered by `before_event`, then by log order."""

    position: int
    recorded_at_us: int
    events: EventColumns
    facts: tuple[ContactFact, ...]
    #: For each event the contact that it would belong to had nobody ever been merged, uint32; None: its contact.
    parts: NDArray[np.uint32] | None = None
