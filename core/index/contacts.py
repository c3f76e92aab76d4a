"""Which contacts there are: keys, known or anonymous, reachable, since when, and who became whom."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from core.errors import CdpError, Code
from core.events.facts import ContactState
from core.index.bit_column import BitColumn
from core.index.contact_set import ContactSet
from core.index.keys import Keys, KeyTable, KeyView
from core.index.patched import FrozenTable, PatchedTable
from core.index.recent import rows_above
from core.index.step_run import in_time_order
from core.kernels.bits import set_bits

#: `earliest` of a contact that is in no answer: never heard of, merged away or erased.
NEVER_US = 2**63 - 1
#: Where facts of a contact belong: to itself, nowhere, or (0 and more) to that contact.
ITSELF, ERASED = -1, -2
#: How the table of the merged keeps it, so that a row never written means ITSELF: ERASED as 1, contact c as c + 2.
_ERASED_HELD, _SHIFT = 1, 2
_BEFORE_ALL = -(2**63)
#: Bits of `reachable`; a channel that nobody has costs nothing.
_CHANNEL_BITS = 8


@dataclass(frozen=True, slots=True)
class ContactView:
    """All contacts at one version. `alive`: those in answers; `earliest`: the instant of the earliest fact of each of
    them; `latest_us` is at or after all of these. `known`, and one set per channel. `forward` and the ascending
    `survivors` with their `losers`: every merge that stands, for finding the parts of a contact."""

    count: int
    alive: ContactSet
    earliest: FrozenTable
    latest_us: int
    known: ContactSet
    channels: tuple[ContactSet, ...]
    forward: FrozenTable
    survivors: NDArray[np.uint32]
    losers: NDArray[np.uint32]
    keys: KeyView
    _existing: dict[int, ContactSet] = field(default_factory=dict, repr=False, compare=False)
    _reachable: dict[int, ContactSet] = field(default_factory=dict, repr=False, compare=False)
    _known_now: list[ContactSet] = field(default_factory=list, repr=False, compare=False)

    def exists(self, as_of_us: int) -> ContactSet:
        """Contacts whose earliest fact is at or before `as_of`."""
        if as_of_us >= self.latest_us:
            return self.alive
        found = self._existing.get(as_of_us)
        if found is None:
            rows, _ = rows_above(self.earliest, 0, as_of_us)
            alive = self.alive.words((self.earliest.n + 63) >> 6)
            later = np.zeros_like(alive)
            set_bits(rows, later)
            found = ContactSet(alive & ~later, None)
            # The rules of one wave ask for one instant.
            self._existing.clear()
            self._existing[as_of_us] = found
        return found

    def existing_and_known(self, as_of_us: int) -> ContactSet:
        """Those of `exists` that are known; of instants after all facts, made once."""
        if as_of_us < self.latest_us:
            return self.exists(as_of_us) & self.known
        if not self._known_now:
            self._known_now.append(self.alive & self.known)
        return self._known_now[0]

    def earliest_of(self, contacts: NDArray[np.uint32]) -> NDArray[np.int64]:
        """The instant of the earliest fact of each; NEVER_US for contacts in no answer."""
        return np.where(self.alive.has(contacts), self.earliest.take(contacts, (0,))[0], NEVER_US)

    def earliest_between(self, after_us: int, until_us: int) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Contacts in answers whose earliest fact lies in (after, until], and its instant, in time order."""
        if after_us >= self.latest_us:
            return in_time_order([], [])
        rows, earliest = rows_above(self.earliest, 0, after_us)
        inside = (earliest <= until_us) & self.alive.has(rows)
        return in_time_order([rows[inside]], [earliest[inside]])

    def reachable(self, channels: int) -> ContactSet:
        """Contacts reachable by any channel whose bit is set; made once for each question."""
        found = self._reachable.get(channels)
        if found is None:
            found = ContactSet.empty()
            for number, reached in enumerate(self.channels):
                if channels >> number & 1 and len(reached):
                    found = found | reached
            self._reachable[channels] = found
        return found

    def reachable_of(self, contacts: NDArray[np.uint32]) -> NDArray[np.uint8]:
        """The bits of the channels by which each is reachable."""
        bits = np.zeros(len(contacts), np.uint8)
        for number, reached in enumerate(self.channels):
            bits |= reached.has(contacts).astype(np.uint8) << np.uint8(number)
        return bits

    def forward_of(self, contacts: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Where the facts of each belong: ITSELF, ERASED, or the number of the survivor."""
        return _forward(self.forward.take(contacts, (0,))[0])

    def erased(self) -> NDArray[np.uint32]:
        """All contacts that were erased, ascending."""
        everyone = np.arange(self.count, dtype=np.uint32)
        return np.flatnonzero(self.forward_of(everyone) == ERASED).astype(np.uint32)

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
        target = self.forward_of(parts)
        kept = target != ERASED
        whole: NDArray[np.uint32] = np.where(target >= 0, target, parts)[kept].astype(np.uint32)
        return whole

    @property
    def nbytes(self) -> int:
        """Bytes of everything but the keys."""
        sets = (self.alive, self.known, *self.channels)
        return self.earliest.nbytes + self.forward.nbytes + sum(one.words().nbytes for one in sets)


class Moves:
    """Where facts belong after the merges and erasures so far. `fresh`: the contacts, ascending, that lost their facts
    since the last seal."""

    def __init__(self, forward: PatchedTable, fresh: NDArray[np.uint32], any_ever: bool) -> None:
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
        target = _forward(self._forward.get(contacts, (0,))[0])
        return np.where(target >= 0, target, contacts).astype(np.uint32), target != ERASED


class ContactTable:
    """The writer."""

    def __init__(self) -> None:
        self.count = 0
        self._keys = KeyTable()
        self._alive = BitColumn()
        self._earliest = PatchedTable(np.int64)
        self._latest_us = _BEFORE_ALL
        self._known = BitColumn()
        self._channels = tuple(BitColumn() for _ in range(_CHANNEL_BITS))
        self._forward = PatchedTable(np.uint32)
        self._states: dict[int, tuple[str, bool, int]] = {}
        self._parts: dict[int, list[int]] = {}
        self._erased: set[int] = set()
        self._loser_of: dict[int, int] = {}
        self._fresh: set[int] = set()
        self._pairs: tuple[NDArray[np.uint32], NDArray[np.uint32]] | None = None
        #: Of the last view: while nobody's channels change, its unions of channels are the next one's as well.
        self._pinned: tuple[tuple[ContactSet, ...], dict[int, ContactSet]] = ((), {})

    def grow(self, count: int) -> None:
        """Make contacts `0..count` exist."""
        self.count = max(self.count, count)

    def state(self, fact: ContactState) -> None:
        """Take in what unification says of a contact now; an erased or merged one keeps out of every answer."""
        self.grow(fact.contact + 1)
        if fact.contact not in self._erased:
            self._states[fact.contact] = (fact.key, fact.known, fact.reachable)

    def states(
        self, contacts: NDArray[np.uint32], keys: Keys, known: NDArray[np.bool_], reachable: NDArray[np.uint8]
    ) -> None:
        """The same of many contacts (unique) at once."""
        if len(contacts) == 0:
            return
        self.flush_states()
        self.grow(int(contacts.max()) + 1)
        if self._erased:
            kept = ~np.isin(contacts, np.array(sorted(self._erased), np.uint32))
            keys = keys[kept] if isinstance(keys, np.ndarray) else [keys[at] for at in np.flatnonzero(kept).tolist()]
            contacts, known, reachable = contacts[kept], known[kept], reachable[kept]
        self._write_states(contacts, keys, known, reachable)

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
        self._send(parts, survivor + _SHIFT)
        both = np.array([survivor, loser], np.uint32)
        heard = np.flatnonzero(self._alive.get(both))
        if len(heard):
            earliest = self._earliest.get(both[heard], (0,))[0].min()
            self._earliest.grow(self.count)
            self._earliest.set(both[:1], (np.array([earliest]),))
            self._alive.set(both, np.array([True, False]))
        self._pairs = None

    def unmerge(self, survivor: int, restored: int, parts: Collection[int]) -> tuple[set[int], set[int]] | None:
        """`restored` and its `parts`, itself among them, leave `survivor`. Neither has a state or a fact until it is
        told anew. Returns the parts of the survivor and those of the restored; None, and nothing changes, where that
        one is no part of the survivor."""
        if self._loser_of.get(restored) != survivor:
            return None
        whole = set(self.parts_of(survivor))
        theirs = whole & {restored, *parts}
        mine, others = whole - theirs, theirs - {restored}
        for part in theirs:
            del self._loser_of[part]
        for contact, side in ((survivor, mine - {survivor}), (restored, others)):
            self._parts.pop(contact, None)
            if side:
                self._parts[contact] = sorted(side)
                self._send(self._parts[contact], contact + _SHIFT)
                self._loser_of |= dict.fromkeys(side, contact)
        self._send((restored,), 0)
        for contact in (survivor, restored):
            self._states.pop(contact, None)
        self._alive.clear(np.array([survivor, restored], np.int64))
        self._pairs = None
        return mine, theirs

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
        self._send(gone, _ERASED_HELD)
        for column in (self._alive, self._known, *self._channels):
            column.clear(np.array(gone, np.int64))
        self._pairs = None

    @property
    def erased_count(self) -> int:
        """How many contacts were ever erased."""
        return len(self._erased)

    def flush_states(self) -> None:
        """Write the states that wait into the columns."""
        if not self._states:
            return
        contacts = np.fromiter(self._states, np.uint32, len(self._states))
        keys, known, reachable = zip(*self._states.values(), strict=True)
        self._states = {}
        self._write_states(contacts, keys, np.array(known, np.bool_), np.array(reachable, np.uint8))

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
        rows, smallest = contacts, instants_us
        if not bool((contacts[1:] > contacts[:-1]).all()):
            order = np.argsort(contacts, kind="stable")
            ordered = contacts[order]
            starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
            rows, smallest = ordered[starts], np.minimum.reduceat(instants_us[order], starts)
        self.grow(int(rows[-1]) + 1)
        self._earliest.grow(self.count)
        heard = self._alive.get(rows)
        sooner = ~heard | (smallest < self._earliest.get(rows, (0,))[0])
        if not sooner.any():
            return
        self._earliest.set(rows[sooner], (smallest[sooner],))
        self._alive.set(rows[~heard], np.ones(int(np.count_nonzero(~heard)), np.bool_))
        self._latest_us = max(self._latest_us, int(smallest[sooner].max()))

    def fold_some(self) -> None:
        """Tidy up after many small writes, where it is time; a part of the work each time."""
        self._keys.fold_some()
        for table in (self._earliest, self._forward):
            if table.folding or table.overdue > 1:
                table.fold_some()

    def view(self) -> ContactView:
        """Pin the present version."""
        self.flush_states()
        if self._pairs is None:
            losers = np.array(list(self._loser_of), np.uint32)
            survivors = np.array(list(self._loser_of.values()), np.uint32)
            order = np.argsort(survivors, kind="stable")
            self._pairs = (survivors[order], losers[order])
        channels = tuple(channel.freeze() for channel in self._channels)
        before, reachable = self._pinned
        if not all(one is other for one, other in zip_longest(channels, before)):
            reachable = {}
        self._pinned = (channels, reachable)
        return ContactView(
            count=self.count,
            alive=self._alive.freeze(),
            earliest=self._earliest.freeze(),
            latest_us=self._latest_us,
            known=self._known.freeze(),
            channels=channels,
            forward=self._forward.freeze(),
            survivors=self._pairs[0],
            losers=self._pairs[1],
            keys=self._keys.view(),
            _reachable=reachable,
        )

    def load(
        self,
        keys: KeyTable,
        earliest: NDArray[np.int64],
        known: NDArray[np.bool_],
        reachable: NDArray[np.uint8],
        forward: NDArray[np.int64],
    ) -> None:
        """Put back what a snapshot kept, one row per contact; the table must be empty."""
        self.grow(len(earliest))
        self._keys = keys
        alive = earliest != NEVER_US
        self._alive.load(ContactSet.from_mask(alive))
        self._earliest.load((np.where(alive, earliest, 0),))
        self._latest_us = int(earliest[alive].max()) if alive.any() else _BEFORE_ALL
        self._known.load(ContactSet.from_mask(known))
        for number, channel in enumerate(self._channels):
            channel.load(ContactSet.from_mask((reachable >> np.uint8(number) & np.uint8(1)).astype(np.bool_)))
        moved = np.flatnonzero(forward != ITSELF)
        if len(moved):
            self._forward.grow(self.count)
            held = np.where(forward[moved] == ERASED, _ERASED_HELD, forward[moved] + _SHIFT)
            self._forward.set(moved, (held,))
        self._erased = set(np.flatnonzero(forward == ERASED).tolist())
        for loser in np.flatnonzero(forward >= 0).tolist():
            survivor = int(forward[loser])
            self._loser_of[loser] = survivor
            self._parts.setdefault(survivor, []).append(loser)

    def _send(self, parts: list[int] | tuple[int, ...], held: int) -> None:
        self._forward.grow(self.count)
        rows = np.array(sorted(parts), np.int64)
        self._forward.set(rows, (np.full(len(rows), held, np.int64),))

    def _write_states(
        self, contacts: NDArray[np.uint32], keys: Keys, known: NDArray[np.bool_], reachable: NDArray[np.uint8]
    ) -> None:
        self._keys.tell(contacts, keys)
        self._known.set(contacts, known)
        for number, channel in enumerate(self._channels):
            channel.set(contacts, (reachable >> np.uint8(number) & np.uint8(1)).astype(np.bool_))


def _forward(held: NDArray[np.uint32]) -> NDArray[np.int64]:
    shifted: NDArray[np.int64] = held.astype(np.int64) - _SHIFT
    return np.where(held == 0, ITSELF, np.where(held == _ERASED_HELD, ERASED, shifted))
