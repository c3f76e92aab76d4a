"""The part of a workspace's identity state that is in memory, and what a fold changed of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from core.events.columns import Identifier
from core.events.facts import AttributeWrite, ListChange
from core.identity.links import Link
from core.identity.settings import IdentitySettings
from core.identity.suspects import Suspicion, overflowing
from core.profile.erasures import ErasedPerson
from core.profile.kinds import AttributeKinds
from core.profile.merge_log import MergeRecord, Outcome
from core.profile.profile import Profile

FIRST_CONTACT = 1

_Once = tuple[AttributeKinds, int, int, IdentitySettings | None]
_Key = TypeVar("_Key")
_Kept = TypeVar("_Kept")


@dataclass(frozen=True, slots=True)
class Wanted:
    """State that a fold needs and that is not in memory; load it into the working set and go on. `histories` are parts
    whose facts are to be read back from unification's own log, with the ids of their events for those that are
    `restored` as well; `merges` are ordinals; `last_told` are parts of whom the latest instant is needed at which
    anything was told."""

    identifiers: tuple[Identifier, ...] = ()
    contacts: tuple[int, ...] = ()
    orders: tuple[int, ...] = ()
    merges: tuple[int, ...] = ()
    histories: tuple[int, ...] = ()
    restored: tuple[int, ...] = ()
    last_told: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PartHistory:
    """What unification's log holds of one part, in the order of the log: ids of its events with their instants beside
    them, and its attribute writes and list changes, each after a number by which those of several parts are put in
    order."""

    event_ids: tuple[str, ...] = ()
    facts: tuple[tuple[int, AttributeWrite | ListChange], ...] = ()
    event_instants_us: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """What was put since the last `settle`: to be made durable in one step."""

    links: Mapping[Identifier, Link]
    profiles: Mapping[int, Profile]
    orders: tuple[int, ...]
    kinds: AttributeKinds | None
    next_contact: int | None
    merges: tuple[MergeRecord, ...] = ()
    merge_count: int | None = None
    suspects: Mapping[Identifier, Suspicion | None] = field(default_factory=dict)
    settings: IdentitySettings | None = None
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    #: What is there no more.
    gone_links: tuple[Identifier, ...] = ()
    gone_profiles: tuple[int, ...] = ()
    gone_merges: tuple[int, ...] = ()
    erased: tuple[ErasedPerson, ...] = ()
    tombstones: Mapping[bytes, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Meta:
    """What a workspace has once: kinds of attributes, the next contact number, how many merges there were, the rules
    about identifiers, and the identifiers that seem shared. What `start` gives is that of an empty workspace."""

    kinds: AttributeKinds = field(default_factory=AttributeKinds)
    next_contact: int = FIRST_CONTACT
    merge_count: int = 0
    settings: IdentitySettings | None = None
    suspects: Mapping[Identifier, Suspicion] = field(default_factory=dict)
    #: Blinded identifiers of people who were forgotten -> when: what happened until then is nobody's.
    tombstones: Mapping[bytes, int] = field(default_factory=dict)


class WorkingSet:
    """Links, profiles and order hashes by need, records of merges that change, and what there is once (`Meta`).

    `links` and `orders` are read directly by the fold's fast path: None (False) says that the store has none, absence
    says that nobody looked. Every `put` is undone by `roll_back` until `keep`, and listed by `changes` until `settle`.
    """

    def __init__(self, meta: Meta) -> None:
        self.links: dict[Identifier, Link | None] = {}
        self.orders: dict[int, bool] = {}
        self.kinds = meta.kinds
        self.next_contact = meta.next_contact
        self.merge_count = meta.merge_count
        self.settings = meta.settings
        self.histories: dict[int, PartHistory] = {}
        self.last_told: dict[int, int] = {}
        self.tombstones = dict(meta.tombstones)
        self._suspects = dict(meta.suspects)
        self._merges: dict[int, MergeRecord] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._profiles: dict[int, Profile] = {}
        self._changed_links: set[Identifier] = set()
        self._changed_profiles: set[int] = set()
        self._changed_orders: list[int] = []
        self._changed_suspects: set[Identifier] = set()
        self._settled = self._once()
        self._mark = (*self._once(), 0)
        self._undo_links: list[tuple[Identifier, Link | None, bool]] = []
        self._undo_profiles: list[tuple[int, Profile | None, bool]] = []
        self._undo_suspects: list[tuple[Identifier, Suspicion | None, bool]] = []
        self._undo_merges: list[tuple[int, MergeRecord | None]] = []
        self._undo_outcomes: list[str] = []
        self._gone_merges: set[int] = set()
        self._erased: list[ErasedPerson] = []
        self._new_tombstones: dict[bytes, int] = {}
        self._mark_gone: tuple[frozenset[int], int, dict[bytes, int], dict[bytes, int]] | None = None

    def _once(self) -> _Once:
        return self.kinds, self.next_contact, self.merge_count, self.settings

    def load_links(self, found: Iterable[tuple[Identifier, Link | None]]) -> None:
        """Take in what the store has; never over a change."""
        for identifier, link in found:
            self.links.setdefault(identifier, link)

    def load_profiles(self, found: Iterable[Profile]) -> None:
        """Take in what the store has; never over a change."""
        for profile in found:
            self._profiles.setdefault(profile.contact, profile)

    def load_orders(self, found: Iterable[tuple[int, bool]]) -> None:
        """Take in which order hashes the store has."""
        for order, known in found:
            self.orders.setdefault(order, known)

    def has_profile(self, contact: int) -> bool:
        """Whether the profile is in memory."""
        return contact in self._profiles

    def profile(self, contact: int) -> Profile:
        """A profile that is in memory. KeyError otherwise."""
        return self._profiles[contact]

    def put_link(self, identifier: Identifier, link: Link) -> None:
        """Set whose `identifier` is."""
        self._undo_links.append((identifier, self.links.get(identifier), identifier in self._changed_links))
        self.links[identifier] = link
        self._changed_links.add(identifier)

    def put_profile(self, profile: Profile) -> None:
        """Set a profile."""
        contact = profile.contact
        self._undo_profiles.append((contact, self._profiles.get(contact), contact in self._changed_profiles))
        self._profiles[contact] = profile
        self._changed_profiles.add(contact)

    def drop_link(self, identifier: Identifier) -> None:
        """`identifier` leads to nobody any more."""
        self._undo_links.append((identifier, self.links.get(identifier), identifier in self._changed_links))
        self.links[identifier] = None
        self._changed_links.add(identifier)

    def drop_profile(self, contact: int) -> None:
        """There is no such profile any more. Ask for it no more before the change is durable."""
        self._undo_profiles.append((contact, self._profiles.pop(contact, None), contact in self._changed_profiles))
        self._changed_profiles.add(contact)

    def forget_merge(self, ordinal: int) -> None:
        """There is no record of this merge any more."""
        self._before_forgetting()
        self._undo_merges.append((ordinal, self._merges.pop(ordinal, None)))
        self._gone_merges.add(ordinal)

    def forget_suspicion(self, identifier: Identifier) -> None:
        """Nothing is counted for it any more."""
        if identifier in self._suspects:
            self._set_suspicion(identifier, None)

    def put_erased(self, person: ErasedPerson) -> None:
        """Somebody was forgotten."""
        self._before_forgetting()
        self._erased.append(person)

    def put_tombstones(self, found: Mapping[bytes, int]) -> None:
        """What happened until these instants under these blinded identifiers is nobody's."""
        self._before_forgetting()
        self.tombstones.update(found)
        self._new_tombstones.update(found)

    @property
    def erased(self) -> tuple[ErasedPerson, ...]:
        """Who was forgotten since the last `settle`."""
        return tuple(self._erased)

    def _before_forgetting(self) -> None:
        """Remember once an entry, as this is rare, what to go back to."""
        if self._mark_gone is None:
            gone, count = frozenset(self._gone_merges), len(self._erased)
            self._mark_gone = gone, count, dict(self.tombstones), dict(self._new_tombstones)

    def suspicion(self, identifier: Identifier) -> Suspicion:
        """How often `identifier` contradicted what stands."""
        return self._suspects.get(identifier, Suspicion())

    def put_suspicion(self, identifier: Identifier, one: Suspicion) -> None:
        """Set it. Once there are too many, the least met are forgotten."""
        self._set_suspicion(identifier, one)
        for forgotten in overflowing(self._suspects):
            self._set_suspicion(forgotten, None)

    def _set_suspicion(self, identifier: Identifier, one: Suspicion | None) -> None:
        was_changed = identifier in self._changed_suspects
        self._undo_suspects.append((identifier, self._suspects.get(identifier), was_changed))
        _set_or_drop(self._suspects, identifier, one)
        self._changed_suspects.add(identifier)

    def load_merges(self, found: Iterable[MergeRecord]) -> None:
        """Take in records of merges; never over a change."""
        for record in found:
            self._merges.setdefault(record.ordinal, record)

    def merge_record(self, ordinal: int) -> MergeRecord | None:
        """A record that is in memory."""
        return self._merges.get(ordinal)

    def put_merge(self, record: MergeRecord) -> None:
        """Set a record."""
        self._undo_merges.append((record.ordinal, self._merges.get(record.ordinal)))
        self._merges[record.ordinal] = record

    def put_outcome(self, order_id: str, outcome: Outcome) -> None:
        """Tell what became of an order."""
        self._undo_outcomes.append(order_id)
        self._outcomes[order_id] = outcome

    def put_orders(self, orders: Iterable[int]) -> None:
        """Remember order hashes for ever."""
        for order in orders:
            self.orders[order] = True
            self._changed_orders.append(order)

    def keep(self) -> None:
        """The fold of one entry is done: `roll_back` will not go behind this point."""
        self._undo_links.clear()
        self._undo_profiles.clear()
        self._undo_suspects.clear()
        self._undo_merges.clear()
        self._undo_outcomes.clear()
        self.histories.clear()
        self.last_told.clear()
        self._mark_gone = None
        self._mark = (*self._once(), len(self._changed_orders))

    def roll_back(self) -> None:
        """Undo everything since the last `keep`."""
        for identifier, link, was_changed in reversed(self._undo_links):
            self.links[identifier] = link
            if not was_changed:
                self._changed_links.discard(identifier)
        for contact, profile, was_changed in reversed(self._undo_profiles):
            if profile is None:
                self._profiles.pop(contact, None)
            else:
                self._profiles[contact] = profile
            if not was_changed:
                self._changed_profiles.discard(contact)
        for identifier, suspicion, was_changed in reversed(self._undo_suspects):
            _set_or_drop(self._suspects, identifier, suspicion)
            if not was_changed:
                self._changed_suspects.discard(identifier)
        for ordinal, record in reversed(self._undo_merges):
            _set_or_drop(self._merges, ordinal, record)
        for order_id in self._undo_outcomes:
            self._outcomes.pop(order_id, None)
        if self._mark_gone is not None:
            gone, count, self.tombstones, self._new_tombstones = self._mark_gone
            self._gone_merges = set(gone)
            del self._erased[count:]
        self.kinds, self.next_contact, self.merge_count, self.settings, count = self._mark
        for order in self._changed_orders[count:]:
            self.orders[order] = False
        del self._changed_orders[count:]
        self.keep()

    def changes(self) -> Changes:
        """Everything that was kept since the last `settle`."""
        links = {one: link for one in self._changed_links if (link := self.links[one]) is not None}
        kinds, next_contact, merge_count, settings = self._settled
        return Changes(
            links=links,
            profiles={one: self._profiles[one] for one in self._changed_profiles if one in self._profiles},
            gone_links=tuple(one for one in self._changed_links if self.links[one] is None),
            gone_profiles=tuple(one for one in self._changed_profiles if one not in self._profiles),
            gone_merges=tuple(self._gone_merges),
            erased=tuple(self._erased),
            tombstones=dict(self._new_tombstones),
            orders=tuple(self._changed_orders),
            kinds=self.kinds if self.kinds is not kinds else None,
            next_contact=self.next_contact if self.next_contact != next_contact else None,
            merges=tuple(self._merges.values()),
            merge_count=self.merge_count if self.merge_count != merge_count else None,
            suspects={one: self._suspects.get(one) for one in self._changed_suspects},
            settings=self.settings if self.settings is not settings else None,
            outcomes=dict(self._outcomes),
        )

    def settle(self, limit_links: int, limit_profiles: int) -> None:
        """The changes are durable. What is beyond the limits is forgotten, longest in memory first."""
        self._changed_links.clear()
        self._changed_profiles.clear()
        self._changed_orders.clear()
        self._changed_suspects.clear()
        self._merges.clear()
        self._outcomes.clear()
        self._gone_merges.clear()
        self._erased.clear()
        self._new_tombstones.clear()
        self._settled = self._once()
        self.keep()
        _shrink(self.links, limit_links)
        _shrink(self._profiles, limit_profiles)
        _shrink(self.orders, limit_links)


def _set_or_drop(into: dict[_Key, _Kept], key: _Key, value: _Kept | None) -> None:
    if value is None:
        into.pop(key, None)
    else:
        into[key] = value


def _shrink(cache: dict[_Key, _Kept], limit: int) -> None:
    """Drop the oldest down to nine tenths of `limit` once it is passed, so that this is rare."""
    if len(cache) > limit:
        for key in list(islice(cache, len(cache) - limit * 9 // 10)):
            del cache[key]
