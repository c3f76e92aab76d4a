"""The recorded history of segments: who entered and left when, by the records of change, since each was first saved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.events.facts import ContactFact, Erasure
from core.index.contacts import ContactTable
from core.query.knowledge import MembershipHistory
from core.segments.changes import BulkChange, Change

#: So many parts wait at most before they are merged.
_MOST_PARTS = 256


@dataclass(frozen=True, slots=True)
class _Part:
    """Records in their order: one value each."""

    contacts: NDArray[np.uint32]
    at_us: NDArray[np.int64]
    entered: NDArray[np.bool_]


@dataclass(slots=True)
class _Kept:
    """One segment: its records up to a moment, sorted, and those since, in record order."""

    sealed: MembershipHistory
    parts: tuple[_Part, ...] = ()

    def add(self, contacts: NDArray[np.uint32], at_us: NDArray[np.int64], entered: NDArray[np.bool_]) -> None:
        """Later records."""
        if len(contacts):
            self.parts = (*self.parts, _Part(contacts, at_us, entered))
            if len(self.parts) > _MOST_PARTS:
                self.view()

    def view(self) -> MembershipHistory:
        """All of it, sorted: what is new is merged in, so that a view after few changes copies and does not sort."""
        self.sealed, self.parts = merged(self.sealed, self.parts), ()
        return self.sealed


def merged(sealed: MembershipHistory, parts: tuple[_Part, ...]) -> MembershipHistory:
    """`sealed` with later records."""
    if not parts:
        return sealed
    contacts = np.concatenate([part.contacts for part in parts])
    at_us = np.concatenate([part.at_us for part in parts])
    entered = np.concatenate([part.entered for part in parts])
    order = np.argsort(contacts, kind="stable")
    at = np.searchsorted(sealed.contacts, contacts[order], "right")
    return MembershipHistory(
        sealed.since_us,
        np.insert(sealed.contacts, at, contacts[order]),
        np.insert(sealed.at_us, at, at_us[order]),
        np.insert(sealed.entered, at, entered[order]),
    )


class PinnedHistories(Mapping[str, MembershipHistory]):
    """The histories of all segments at one moment; each is made when it is first asked for."""

    def __init__(self, kept: Mapping[str, tuple[MembershipHistory, tuple[_Part, ...]]]) -> None:
        self._kept = kept
        self._made: dict[str, MembershipHistory] = {}

    def __getitem__(self, name: str) -> MembershipHistory:
        if name not in self._made:
            self._made[name] = merged(*self._kept[name])
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)


class Histories:
    """The writer. It keeps every segment that was ever saved; a deleted one that is saved again goes on."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    def record(self, changes: Iterable[Change]) -> None:
        """Take in records, in their order."""
        for change in changes:
            if isinstance(change, BulkChange):
                self.saved(change)
            else:
                one = np.array([change.contact], np.uint32)
                self.add(change.segment, one, np.array([change.recorded_at_us]), np.array([change.entered]))

    def saved(self, change: BulkChange) -> None:
        """What saving a segment did to it."""
        for numbers, entered in ((change.left.numbers(), False), (change.entered.numbers(), True)):
            at_us = np.full(len(numbers), change.recorded_at_us, np.int64)
            self.add(change.segment, numbers, at_us, np.full(len(numbers), entered))
        self._kept.setdefault(change.segment, _Kept(_empty(change.recorded_at_us)))

    def add(
        self, name: str, contacts: NDArray[np.uint32], at_us: NDArray[np.int64], entered: NDArray[np.bool_]
    ) -> None:
        """Take in records of one segment, in their order."""
        if len(contacts) == 0:
            return
        kept = self._kept.get(name)
        if kept is None:
            kept = self._kept[name] = _Kept(_empty(int(at_us[0])))
        kept.add(contacts, at_us, entered)

    def forget(self, contacts: NDArray[np.uint32]) -> None:
        """Erased contacts were never anywhere."""
        if len(contacts) == 0:
            return
        for kept in self._kept.values():
            history = kept.view()
            stays = ~np.isin(history.contacts, contacts)
            if not stays.all():
                kept.sealed = MembershipHistory(
                    history.since_us, history.contacts[stays], history.at_us[stays], history.entered[stays]
                )

    def views(self, names: Iterable[str]) -> dict[str, MembershipHistory]:
        """The histories of these segments; those never saved are left out."""
        return {name: self._kept[name].view() for name in names if name in self._kept}

    def pin(self) -> PinnedHistories:
        """All of them as of now, for readers in other threads."""
        return PinnedHistories({name: (kept.sealed, kept.parts) for name, kept in self._kept.items()})


def erased_by(facts: Sequence[ContactFact], contacts: ContactTable) -> NDArray[np.uint32]:
    """Whom these facts, which are not folded yet, erase: the contacts and their parts."""
    gone = [part for fact in facts if isinstance(fact, Erasure) for part in contacts.parts_of(fact.contact)]
    return np.array(gone, np.uint32)


def _empty(since_us: int) -> MembershipHistory:
    return MembershipHistory(since_us, np.zeros(0, np.uint32), np.zeros(0, np.int64), np.zeros(0, np.bool_))


def edges_between(
    history: MembershipHistory, after_us: int, until_us: int
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Contacts and instants of the records with after < recorded_at <= until, in time order."""
    inside = np.flatnonzero((history.at_us > after_us) & (history.at_us <= until_us))
    order = inside[np.argsort(history.at_us[inside], kind="stable")]
    return history.contacts[order], history.at_us[order]
