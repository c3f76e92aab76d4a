"""The second half of an import: what is staged goes into ingest's log, entry by entry.

The bytes were made when they were staged; here they are only put together. The id of a fact is made of its feed, run
and row, so that an entry that is written again after a kill says nothing new.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from core.errors import CdpError, Code
from services.ingest.batcher import Batcher
from services.ingest.feeds.encode import varint
from services.ingest.feeds.store import FeedStore
from services.ingest.writer import BatchWriter
from services.runtime.failpoints import failpoint
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)

_ENTRY_FACTS = 500
#: Entries that are appended together.
_ENTRIES = 4
_LATER = (Code.UNAVAILABLE, Code.EXHAUSTED)
_LATER_S = 1.0

# Tags of cdp.facts.v1: AcceptedBatch.facts; of AcceptedFact: id, occurred_at_us, received_at_us, product.
_FACTS, _ID, _OCCURRED, _RECEIVED, _PRODUCT = b"\x12", b"\x0a", b"\x10", b"\x18", b"\x3a"


class StagedEntry(BatchWriter):
    """One entry of ingest's log of product facts that are serialised already."""

    def __init__(self, facts: list[bytes]) -> None:
        """`facts` are serialised cdp.facts.v1.AcceptedFact without `received_at_us`."""
        super().__init__()
        self._encoded = facts
        self._received_us = 0
        self.size_bytes = sum(map(len, facts))

    def __len__(self) -> int:
        return len(self._encoded)

    def restamp(self, received_at_us: int) -> None:
        """See BatchWriter."""
        self._received_us = received_at_us

    def received_from(self, floor_us: int) -> int:
        """See BatchWriter."""
        self._received_us = max(self._received_us, floor_us)
        return self._received_us

    def payload(self) -> bytes:
        """See BatchWriter."""
        # A field may stand behind the others of its message: so the stamp is put on bytes that were made before.
        stamp = _RECEIVED + varint(self._received_us)
        parts = [super().payload()]
        for fact in self._encoded:
            parts += (_FACTS, varint(len(fact) + len(stamp)), fact, stamp)
        return b"".join(parts)


def fact_bytes(fact_id: str, occurred_at_us: int, product: bytes) -> bytes:
    """A serialised AcceptedFact of a serialised product, without `received_at_us`."""
    name = fact_id.encode()
    parts = (_ID, varint(len(name)), name, _OCCURRED, varint(occurred_at_us), _PRODUCT, varint(len(product)), product)
    return b"".join(parts)


async def apply_staged(
    store: FeedStore,
    batcher: Batcher,
    fact_prefix: str,
    told_at_us: int,
    after_seq: int,
    applied: Callable[[int, int], Awaitable[None]],
) -> None:
    """Append all staged rows beyond `after_seq`. `applied(rows, last row)` is awaited after those that are durable. A
    log that is away or behind is waited for; other failures are raised."""
    seq = after_seq
    while True:
        rows = await asyncio.to_thread(store.staged_after, seq, _ENTRIES * _ENTRY_FACTS)
        if not rows:
            return
        facts = [
            fact_bytes(f"{fact_prefix}{number}", told_at_us, product + changes) for number, product, changes in rows
        ]
        await asyncio.gather(
            *(_append(batcher, facts[first : first + _ENTRY_FACTS]) for first in range(0, len(facts), _ENTRY_FACTS))
        )
        failpoint("feed.appended")
        seq = rows[-1][0]
        await applied(len(rows), seq)


async def _append(batcher: Batcher, facts: list[bytes]) -> None:
    while True:
        try:
            await batcher.append(StagedEntry(facts))
        except CdpError as error:
            if error.code not in _LATER:
                raise
            _LOG.info("feed waits for the log", reason=error.reason)
            await asyncio.sleep(error.retry_after_s or _LATER_S)
        else:
            return
