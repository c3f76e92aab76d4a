"""Asking rules about contacts at one instant on one root, what they share being asked once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from core.index.contact_set import ContactSet
from core.index.root import Root
from core.query.execute import LeafCache, evaluate
from core.query.knowledge import Knowledge
from core.query.row import RowRule
from core.query.row_facts import RowFacts
from core.segments.saved import Saved

#: Up to so many contacts are asked one by one: a set costs a segment some 300 microseconds, a contact some 10.
_FEW = 24


class Asker:
    """One root, one instant. Leaves that rules share are evaluated once for the same candidates. `knowledge` is asked
    for when it is first needed, and anew after a record has changed it."""

    def __init__(self, root: Root, as_of_us: int, knowledge: Callable[[], Knowledge]) -> None:
        self._root = root
        self._as_of_us = as_of_us
        self._knowledge = knowledge
        self._known: Knowledge | None = None
        #: What leaves said of everyone.
        self.leaves: LeafCache = {}
        self._caches: dict[bytes, LeafCache] = {}
        self._facts: dict[tuple[str, int], RowFacts] = {}

    def all_of(self, saved: Saved) -> ContactSet:
        """Everyone in the segment."""
        return self._ask(saved, None, self.leaves)

    def truth(self, saved: Saved, candidates: NDArray[np.uint32]) -> NDArray[np.bool_]:
        """Of each of `candidates` (ascending, unique), whether it is in the segment."""
        if saved.row is not None and len(candidates) <= _FEW:
            return self._one_by_one(saved.bound.zone, saved.row, candidates)
        cache = self._caches.setdefault(candidates.tobytes(), {})
        return self._ask(saved, candidates, cache).has(candidates)

    def truth_then(
        self, saved: Saved, candidates: NDArray[np.uint32], instants_us: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Of each of `candidates` at the instant beside it; repeats are allowed."""
        known = self._knowledge_now()
        held = np.zeros(len(candidates), np.bool_)
        pairs = zip(candidates.tolist(), instants_us.tolist(), strict=True)
        for place, (contact, instant_us) in enumerate(pairs):
            if saved.row is not None:
                held[place] = saved.row.holds(self._root, contact, instant_us, known)
            else:
                one = np.array([contact], np.uint32)
                found = evaluate(saved.bound, self._root, instant_us, {}, one, None, known)
                held[place] = contact in found.members
        return held

    def _one_by_one(self, zone: str, row: RowRule, candidates: NDArray[np.uint32]) -> NDArray[np.bool_]:
        """A few contacts: what was read of one of them serves all segments."""
        knowledge = self._knowledge_now()
        held = np.zeros(len(candidates), np.bool_)
        for place, contact in enumerate(candidates.tolist()):
            facts = self._facts.get((zone, contact))
            if facts is None:
                facts = self._facts[zone, contact] = RowFacts(self._root, contact, self._as_of_us, zone)
            held[place] = row.holds_of(facts, knowledge)
        return held

    def existing(self, contacts: NDArray[np.uint32]) -> NDArray[np.bool_]:
        """Which of `contacts` are in any answer."""
        return self._root.exists(self._as_of_us, contacts).has(contacts)

    def forget_histories(self) -> None:
        """A record was made: histories are to be read anew. Leaves that were asked before stand: a segment is asked
        after all that it remembers."""
        self._known = None

    def _ask(self, saved: Saved, candidates: NDArray[np.uint32] | None, cache: LeafCache) -> ContactSet:
        known = self._knowledge_now()
        return evaluate(saved.bound, self._root, self._as_of_us, {}, candidates, cache, known).members

    def _knowledge_now(self) -> Knowledge:
        if self._known is None:
            self._known = self._knowledge()
        return self._known
