"""Which contacts there are: keys, known or anonymous, reachable, since when, and who became whom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import CdpError, Code
from core.events.facts import ContactState
from core.index.chunked import ChunkedColumn, FrozenColumn

#: `earliest` of a contact that is in no answer: never heard of, merged away or erased.
NEVER_US = 2**63 - 1
_ITSELF, ERASED = -1, -2


@dataclass(frozen=True, slots=True)
class ContactView:
    """All contacts at one version. `earliest` int64: the instant of the earliest fact, NEVER_US for contacts in no
    answer. `known` bool, `reachable` uint8 bits of CHANNELS. `forward` int64: the survivor of a merged contact, below
    0 for others. `survivors` ascending and `losers`: every merge that stands, for finding the parts of a contact."""

    count: int
    earliest: FrozenColumn
    known: FrozenColumn
    reachable: FrozenColumn
    forward: FrozenColumn
    survivors: NDArray[np.uint32]
    losers: NDArray[np.uint32]

    def parts(self, contacts: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """`contacts` and the contacts that were merged into them, in no order."""
        if len(self.losers) == 0:
            return contacts
        inside = np.isin(self.survivors, contacts)
        return np.concatenate((contacts, self.losers[inside]))

    def whole(self, parts: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """For each part the contact it belongs to now; erased ones are left out."""
        if len(parts) == 0:
            return parts
        target = self.forward.take(parts)
        kept = target != ERASED
        whole: NDArray[np.uint32] = np.where(target >= 0, target, parts)[kept].astype(np.uint32)
        return whole


class Moves:
    """Where facts belong after the merges and erasures so far. `fresh`: the contacts, ascending, that lost their facts
    since the last seal."""

    def __init__(self, forward: ChunkedColumn, fresh: NDArray[np.uint32], any_ever: bool) -> None:
        self._forward = forward
        self.fresh = fresh
        self._any_ever = any_ever

    def __bool__(self) -> bool:
        """Whether sealed facts have to move."""
        return len(self.fresh) > 0

    def resolve(self, contacts: NDArray[np.uint32]) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
        """The contact that each fact belongs to now, and which facts remain (those of erased contacts do not)."""
        if not self._any_ever or len(contacts) == 0:
            return contacts, np.ones(len(contacts), np.bool_)
        target = self._forward.get(contacts)
        return np.where(target >= 0, target, contacts).astype(np.uint32), target != ERASED


class ContactTable:
    """The writer."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.numbers: dict[str, int] = {}
        self._earliest = ChunkedColumn(np.int64, NEVER_US)
        self._known = ChunkedColumn(np.bool_, 0)
        self._reachable = ChunkedColumn(np.uint8, 0)
        self._forward = ChunkedColumn(np.int64, _ITSELF)
        self._states: dict[int, tuple[bool, int]] = {}
        self._parts: dict[int, list[int]] = {}
        self._erased: set[int] = set()
        self._loser_of: dict[int, int] = {}
        self._fresh: set[int] = set()
        self._pairs: tuple[NDArray[np.uint32], NDArray[np.uint32]] | None = None

    def grow(self, count: int) -> None:
        """Make contacts `0..count` exist."""
        if count > len(self.keys):
            self.keys.extend([""] * (count - len(self.keys)))
            for column in (self._earliest, self._known, self._reachable, self._forward):
                column.grow(count)

    def state(self, fact: ContactState) -> None:
        """Take in what unification says of a contact now; an erased or merged one keeps out of every answer."""
        self.grow(fact.contact + 1)
        if fact.contact in self._erased:
            return
        self.keys[fact.contact] = fact.key
        self.numbers[fact.key] = fact.contact
        self._states[fact.contact] = (fact.known, fact.reachable)

    def parts_of(self, contact: int) -> tuple[int, ...]:
        """`contact` and all that were merged into it."""
        return (contact, *self._parts.get(contact, ()))

    def merge(self, survivor: int, loser: int) -> None:
        """`loser` becomes a part of `survivor`; repeating a merge changes nothing. Whether the survivor is known and
        reachable on the union is unification's to say, by a state of its own.

        Raises CdpError where the survivor is itself a part of the loser.
        """
        self.grow(max(survivor, loser) + 1)
        if loser in self._loser_of or loser in self._erased:
            return
        survivor = self._loser_of.get(survivor, survivor)
        if survivor == loser:
            raise CdpError(Code.INTERNAL, "MERGE_CYCLE", f"contact {loser} cannot be merged into its own part")
        parts = self._parts.setdefault(survivor, [])
        for part in (loser, *self._parts.pop(loser, ())):
            parts.append(part)
            self._loser_of[part] = survivor
            self._fresh.add(part)
        self._forward.set(np.array(parts), survivor)
        both = np.array([survivor, loser])
        self._earliest.set(both, np.array([self._earliest.get(both).min(), NEVER_US]))
        self._pairs = None

    def erase(self, contact: int) -> None:
        """`contact` and all its parts leave for ever. Their keys, which are opaque, stay until the next start
        from a snapshot, because readers of earlier roots share them."""
        self.grow(contact + 1)
        gone = self.parts_of(contact)
        for part in gone:
            self._erased.add(part)
            self._loser_of.pop(part, None)
            self._states.pop(part, None)
            self._fresh.add(part)
        self._parts.pop(contact, None)
        self._forward.set(np.array(gone), ERASED)
        self._earliest.set(np.array(gone), NEVER_US)
        self._pairs = None

    def flush_states(self) -> None:
        """Write the states that wait into the columns."""
        if not self._states:
            return
        rows = np.fromiter(self._states, np.int64, len(self._states))
        states = list(self._states.values())
        self._known.set(rows, np.array([known for known, _ in states], np.bool_))
        self._reachable.set(rows, np.array([reachable for _, reachable in states], np.uint8))
        self._states = {}

    def moves(self) -> Moves:
        """What moved since this was last asked, once."""
        fresh = np.array(sorted(self._fresh), np.uint32)
        self._fresh = set()
        return Moves(self._forward, fresh, bool(self._loser_of) or bool(self._erased))

    def resolver(self) -> Moves:
        """Where facts belong now, without naming what moved."""
        return Moves(self._forward, np.zeros(0, np.uint32), bool(self._loser_of) or bool(self._erased))

    def existed(self, contacts: NDArray[np.uint32], instants_us: NDArray[np.int64]) -> None:
        """Facts of `contacts` (already moved) at these instants."""
        if len(contacts) == 0:
            return
        self.grow(int(contacts.max()) + 1)
        order = np.argsort(contacts, kind="stable")
        ordered = contacts[order]
        starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
        rows = ordered[starts]
        smallest = np.minimum.reduceat(instants_us[order], starts)
        before = self._earliest.get(rows)
        sooner = smallest < before
        self._earliest.set(rows[sooner], smallest[sooner])

    def view(self) -> ContactView:
        """Pin the present version."""
        self.flush_states()
        if self._pairs is None:
            losers = np.array(list(self._loser_of), np.uint32)
            survivors = np.array(list(self._loser_of.values()), np.uint32)
            order = np.argsort(survivors, kind="stable")
            self._pairs = (survivors[order], losers[order])
        return ContactView(
            count=len(self.keys),
            earliest=self._earliest.freeze(),
            known=self._known.freeze(),
            reachable=self._reachable.freeze(),
            forward=self._forward.freeze(),
            survivors=self._pairs[0],
            losers=self._pairs[1],
        )

    def load(
        self,
        keys: list[str],
        earliest: NDArray[np.int64],
        known: NDArray[np.bool_],
        reachable: NDArray[np.uint8],
        forward: NDArray[np.int64],
    ) -> None:
        """Put back what a snapshot kept; the table must be empty."""
        self.grow(len(keys))
        self.keys[:] = keys
        self.numbers = {key: number for number, key in enumerate(keys) if key}
        rows = np.arange(len(keys))
        self._earliest.set(rows, earliest)
        self._known.set(rows, known)
        self._reachable.set(rows, reachable)
        self._forward.set(rows, forward)
        self._erased = set(np.flatnonzero(forward == ERASED).tolist())
        for loser in np.flatnonzero(forward >= 0).tolist():
            survivor = int(forward[loser])
            self._loser_of[loser] = survivor
            self._parts.setdefault(survivor, []).append(loser)
