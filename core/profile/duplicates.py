"""Which events and facts of a batch were accepted before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.events.validate import ORDER_ID_PREFIX
from core.identity.dedupe import Hashes, SeenIds, hash_ids, hour_of
from core.profile.accepted import AcceptedBatch


@dataclass(frozen=True, slots=True)
class BatchIds:
    """Hashes of a batch's message ids: its events first, then its facts. `orders` are the events remembered for ever
    (row -> hash): those whose id the platform made from (order id, status). `hour` is that of the latest acceptance."""

    hashes: Hashes
    events: int
    orders: dict[int, int]
    hour: int

    @classmethod
    def of(cls, batch: AcceptedBatch) -> BatchIds:
        """Hash the ids of `batch`."""
        events = batch.events
        hashes = hash_ids((*events.ids, *(fact.id for fact in batch.facts)))
        received = [int(events.received_at_us.max())] if len(events) else []
        received += [fact.received_at_us for fact in batch.facts]
        orders = {row: int(hashes[row]) for row, one in enumerate(events.ids) if one.startswith(ORDER_ID_PREFIX)}
        return cls(hashes, len(events), orders, hour_of(max(received, default=0)))

    def fresh(self, seen: SeenIds, known_orders: dict[int, bool]) -> NDArray[np.bool_]:
        """For each hash whether it is new: not seen within the horizon (an order: ever), and the first of its kind
        in the batch. Every order must be in `known_orders`."""
        fresh = ~seen.contains(self.hashes, self.hour)
        for row, order in self.orders.items():
            fresh[row] = not known_orders[order]
        _, first = np.unique(self.hashes, return_index=True)
        if len(first) < len(self.hashes):
            only = np.zeros(len(self.hashes), np.bool_)
            only[first] = True
            fresh &= only
        return fresh

    def to_remember(self, fresh: NDArray[np.bool_]) -> tuple[Hashes, list[int]]:
        """The new hashes to keep for the horizon, and the orders to keep for ever."""
        dated = fresh.copy()
        dated[list(self.orders)] = False
        return self.hashes[dated], [order for row, order in self.orders.items() if fresh[row]]
