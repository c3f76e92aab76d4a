"""Through the door: an item is checked against the newest schema, which learns its new names first, then written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from core.errors import CdpError, Code
from services.ingest.accept import NEW_NAMES, Outcome
from services.ingest.schema_store import SchemaStore
from services.ingest.ways import Way
from services.ingest.writer import BatchWriter

#: Each round learns all that the item was seen to need, so the second is the last; others may learn meanwhile.
_ROUNDS = 10

#: Checks one item and writes it to the entry in the making, all before the next await.
Take = Callable[[BatchWriter], Outcome]


async def admit(way: Way, size_bytes: int, take: Take) -> tuple[Outcome, asyncio.Future[int] | None]:
    """Take one item of `size_bytes` into the entry that is shared with other calls: what became of it, and the
    position of its entry once that is durable; None where the item was refused.

    Raises UNAVAILABLE while the log is away, EXHAUSTED / LOG_BEHIND when too much waits for it.
    """
    if way.schema.fresh() is None:
        await way.schema.read()
    if way.names is not None:
        way.names.follow()
    if way.rates is not None and way.rates.fresh() is None:
        await way.rates.read()
    for _ in range(_ROUNDS):
        writer = way.batcher.writer(size_bytes)
        writer.rates = None if way.rates is None else way.rates.current
        writer.reserved = way.reserved
        if way.names is not None:
            writer.usable = way.names.usable
        outcome = take(writer)
        if not outcome.wants:
            return outcome, way.batcher.commit(size_bytes, way.key_id) if outcome.refusal is None else None
        await way.schema.learn(outcome.wants)
    raise _contended()


async def admit_to(writer: BatchWriter, schema: SchemaStore, take: Take) -> Outcome:
    """Take one item into an entry of the caller's own."""
    if schema.fresh() is None:
        await schema.read()
    for _ in range(_ROUNDS):
        writer.use(schema.current)
        outcome = take(writer)
        if not outcome.wants:
            return outcome
        await schema.learn(outcome.wants)
    raise _contended()


def _contended() -> CdpError:
    return CdpError(Code.UNAVAILABLE, NEW_NAMES, "new names could not be learned, try again", retry_after_s=0.5)
