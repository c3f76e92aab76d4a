"""Which events and facts of a batch were accepted before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.events.columns import EventColumns
from core.identity.dedupe import Hashes, SeenIds, hash_ids, hour_of
from core.profile.accepted import AcceptedBatch

#: Orders take their message id from (order id, status) and are remembered for ever.
_ORDER_PREFIX = "order_"


@dataclass(frozen=True, slots=True)
class BatchIds:
    """Hashes of a batch's message ids: its events first, then its facts. `orders` are the events remembered for ever
    (row -> hash), `hour` that of the latest acceptance."""

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
        orders = {row: int(hashes[row]) for row in order_rows(events).tolist()}
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


def order_rows(events: EventColumns) -> NDArray[np.intp]:
    """Rows of order events that carry an order id, ascending."""
    order_types = [code for code, text in enumerate(events.strings) if text.startswith(_ORDER_PREFIX)]
    if not order_types:
        return np.zeros(0, np.intp)
    with_id = np.zeros(len(events), np.bool_)
    for column in events.params:
        if column.name == "order_id":
            with_id[column.rows] = True
    return np.flatnonzero(np.isin(events.types, order_types) & with_id)
