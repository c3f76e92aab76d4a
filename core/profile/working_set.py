"""The part of a workspace's identity state that is in memory, and what a fold changed of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from core.events.columns import Identifier
from core.identity.links import Link
from core.profile.kinds import AttributeKinds
from core.profile.profile import Profile

FIRST_CONTACT = 1

_Key = TypeVar("_Key")
_Kept = TypeVar("_Kept")


@dataclass(frozen=True, slots=True)
class Wanted:
    """State that a fold needs and that is not in memory; load it into the working set and go on."""

    identifiers: tuple[Identifier, ...] = ()
    contacts: tuple[int, ...] = ()
    orders: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """What was put since the last `settle`: to be made durable in one step."""

    links: Mapping[Identifier, Link]
    profiles: Mapping[int, Profile]
    orders: tuple[int, ...]
    kinds: AttributeKinds | None
    next_contact: int | None


class WorkingSet:
    """Links, profiles and order hashes by need, the kinds of attributes, and the next contact number.

    `links` and `orders` are read directly by the fold's fast path: None (False) says that the store has none, absence
    says that nobody looked. Every `put` is undone by `roll_back` until `keep`, and listed by `changes` until `settle`.
    """

    def __init__(self, kinds: AttributeKinds, next_contact: int) -> None:
        self.links: dict[Identifier, Link | None] = {}
        self.orders: dict[int, bool] = {}
        self.kinds = kinds
        self.next_contact = next_contact
        self._profiles: dict[int, Profile] = {}
        self._changed_links: set[Identifier] = set()
        self._changed_profiles: set[int] = set()
        self._changed_orders: list[int] = []
        self._settled = (kinds, next_contact)
        self._mark: tuple[AttributeKinds, int, int] = (kinds, next_contact, 0)
        self._undo_links: list[tuple[Identifier, Link | None, bool]] = []
        self._undo_profiles: list[tuple[int, Profile | None, bool]] = []

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

    def put_orders(self, orders: Iterable[int]) -> None:
        """Remember order hashes for ever."""
        for order in orders:
            self.orders[order] = True
            self._changed_orders.append(order)

    def keep(self) -> None:
        """The fold of one entry is done: `roll_back` will not go behind this point."""
        self._undo_links.clear()
        self._undo_profiles.clear()
        self._mark = (self.kinds, self.next_contact, len(self._changed_orders))

    def roll_back(self) -> None:
        """Undo everything since the last `keep`."""
        for identifier, link, was_changed in reversed(self._undo_links):
            self.links[identifier] = link
            if not was_changed:
                self._changed_links.discard(identifier)
        for contact, profile, was_changed in reversed(self._undo_profiles):
            if profile is None:
                del self._profiles[contact]
            else:
                self._profiles[contact] = profile
            if not was_changed:
                self._changed_profiles.discard(contact)
        self.kinds, self.next_contact, count = self._mark
        for order in self._changed_orders[count:]:
            self.orders[order] = False
        del self._changed_orders[count:]
        self.keep()

    def changes(self) -> Changes:
        """Everything that was kept since the last `settle`."""
        links = {one: link for one in self._changed_links if (link := self.links[one]) is not None}
        kinds, next_contact = self._settled
        return Changes(
            links=links,
            profiles={contact: self._profiles[contact] for contact in self._changed_profiles},
            orders=tuple(self._changed_orders),
            kinds=self.kinds if self.kinds is not kinds else None,
            next_contact=self.next_contact if self.next_contact != next_contact else None,
        )

    def settle(self, limit_links: int, limit_profiles: int) -> None:
        """The changes are durable. What is beyond the limits is forgotten, longest in memory first."""
        self._changed_links.clear()
        self._changed_profiles.clear()
        self._changed_orders.clear()
        self._settled = (self.kinds, self.next_contact)
        self.keep()
        _shrink(self.links, limit_links)
        _shrink(self._profiles, limit_profiles)
        _shrink(self.orders, limit_links)


def _shrink(cache: dict[_Key, _Kept], limit: int) -> None:
    """Drop the oldest down to nine tenths of `limit` once it is passed, so that this is rare."""
    if len(cache) > limit:
        for key in list(islice(cache, len(cache) - limit * 9 // 10)):
            del cache[key]
