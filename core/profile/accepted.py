"""What ingest accepted, as unification sees it: one entry of ingest's log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.events.columns import EventColumns, Identifier
from core.events.facts import MarkedEvent, ProductChange
from core.identity.settings import SettingsChange
from core.schema import Scalar, Value


@dataclass(frozen=True, slots=True)
class ConsentChange:
    """Consent of one channel, or of one `category` of it (empty: the whole channel), told by `source`. `proof` is kept
    as it was told."""

    channel: str
    state: str
    source: str
    category: str = ""
    proof: str = ""


@dataclass(frozen=True, slots=True)
class ProfileUpdate:
    """What a source told of a person. An attribute of None is missing from then on. `lists` are (name, member)."""

    identifiers: tuple[Identifier, ...]
    attributes: Mapping[str, Value | None] = field(default_factory=dict)
    consents: tuple[ConsentChange, ...] = ()
    lists: tuple[tuple[str, bool], ...] = ()


@dataclass(frozen=True, slots=True)
class ProductUpdate:
    """A product of the catalogue as a whole; empty `fields` delete it. `changes` are what an import found."""

    product_id: str
    fields: Mapping[str, Scalar]
    changes: tuple[ProductChange, ...] = ()


@dataclass(frozen=True, slots=True)
class Separation:
    """Order to take apart what was merged: the contact of key `merged` leaves the person of `survivor`."""

    survivor: str
    merged: str
    asked_by: str
    reason: str


@dataclass(frozen=True, slots=True)
class RulesOrder:
    """Order to change the workspace's rules about identifiers."""

    change: SettingsChange
    asked_by: str


@dataclass(frozen=True, slots=True)
class ErasureOrder:
    """Order to forget the people who have these public keys; see `core.profile.erase`."""

    keys: tuple[str, ...]
    reason: str
    asked_by: str
    idle_since_us: int = 0


@dataclass(frozen=True, slots=True)
class AcceptedMark:
    """A machine made these events of the person whom `identifiers` name."""

    identifiers: tuple[Identifier, ...]
    events: tuple[MarkedEvent, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class AcceptedFact:
    """A fact that is no event; `before_event` of the batch's events precede it."""

    id: str
    occurred_at_us: int
    received_at_us: int
    imported: bool
    before_event: int
    fact: ProfileUpdate | ProductUpdate | Separation | RulesOrder | ErasureOrder | AcceptedMark


@dataclass(frozen=True, slots=True)
class AcceptedBatch:
    """One entry of ingest's log. `facts` are ordered by `before_event`, then as they were accepted."""

    position: int
    events: EventColumns
    facts: tuple[AcceptedFact, ...]
