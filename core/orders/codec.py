"""An order as it is kept: its book, the history of its statuses, and whose it is."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from core.errors import CdpError, Code
from core.events.columns import Identifier
from core.orders.book import OrderBook, Return

_FORMAT = 1
#: Statuses of an order that are remembered for people to read.
MOST_STATUSES = 100


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """`statuses` are (counted status, occurred, received) as they were accepted. `identifiers` are those of the
    completed order (none: it was not completed, or the person was erased), `posted` counts the corrections so far."""

    book: OrderBook = field(default_factory=OrderBook)
    statuses: tuple[tuple[str, int, int], ...] = ()
    identifiers: tuple[Identifier, ...] = ()
    posted: int = 0

    def knows(self, counted: str) -> bool:
        """Whether this status was accepted before."""
        return any(status == counted for status, _, _ in self.statuses) or self.book.knows(counted)


def encode_order(record: OrderRecord) -> bytes:
    """The stored form."""
    book = record.book
    plain = {
        "format": _FORMAT,
        "completed": [book.completed_at_us, book.total_units],
        "cancelled": book.cancelled_at_us,
        "returns": [[one.status, one.at_us, one.units] for one in book.returns],
        "statuses": record.statuses,
        "whose": [[one.kind, one.value] for one in record.identifiers],
        "posted": record.posted,
    }
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode()


def decode_order(stored: bytes | None) -> OrderRecord:
    """The record of stored bytes; None is an order that nothing is known of. Raises INTERNAL / BAD_ORDER_RECORD for a
    format of a later release."""
    if stored is None:
        return OrderRecord()
    plain = json.loads(stored)
    if plain["format"] != _FORMAT:
        raise CdpError(Code.INTERNAL, "BAD_ORDER_RECORD", f"an order of format {plain['format']} cannot be read")
    completed_at_us, total_units = plain["completed"]
    returns = tuple(Return(status, at_us, units) for status, at_us, units in plain["returns"])
    return OrderRecord(
        OrderBook(completed_at_us, total_units, plain["cancelled"], returns),
        tuple((status, occurred, received) for status, occurred, received in plain["statuses"]),
        tuple(Identifier(kind, value) for kind, value in plain["whose"]),
        plain["posted"],
    )
