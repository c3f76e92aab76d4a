"""Which events of a contact leave it when a merge is taken back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.events.facts import Unmerge
from core.index.event_run import EventRun


@dataclass(frozen=True, slots=True)
class Parting:
    """Events of `survivor` that belong to `restored` from now on: by instant and id (UTF-8), or, where `instants_us` is
    empty, by id alone."""

    survivor: int
    restored: int
    instants_us: NDArray[np.int64]
    pairs: frozenset[tuple[int, bytes]]
    ids: frozenset[bytes]

    @classmethod
    def of(cls, fact: Unmerge) -> Parting:
        """What an unmerge names."""
        ids, instants = [one.encode() for one in fact.event_ids], fact.event_instants_us
        if len(instants) != len(ids):
            return cls(fact.survivor, fact.restored, np.zeros(0, np.int64), frozenset(), frozenset(ids))
        pairs = frozenset(zip(instants, ids, strict=True))
        return cls(fact.survivor, fact.restored, np.unique(np.array(instants, np.int64)), pairs, frozenset())

    def rows(self, run: EventRun, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of `rows`, which are the survivor's, that leave it."""
        if self.ids:
            return rows[[run.ids.at(row) in self.ids for row in rows.tolist()]]
        rows = rows[np.isin(run.occurred_at_us[rows], self.instants_us)]
        times = run.occurred_at_us[rows].tolist()
        named = [(at_us, run.ids.at(row)) in self.pairs for at_us, row in zip(times, rows.tolist(), strict=True)]
        return rows[np.array(named, np.bool_)]
