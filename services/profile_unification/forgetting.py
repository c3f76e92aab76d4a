"""Taking people out of logged entries, so that everything else stays where it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cdp.facts.v1 import facts_pb2
from core.events.compact import compacted
from services.runtime.facts import columns_from_proto, columns_to_proto


def without_people(payload: bytes, contacts: frozenset[int]) -> tuple[bytes, int, int]:
    """An entry of unification's log without what it tells of the parts `contacts`: the entry, and how many events and
    facts are gone; the very same bytes where it tells nothing of them. Events keep the numbers that they had
    (`FactBatch.rows`), so references to others hold."""
    batch = facts_pb2.FactBatch.FromString(payload)
    gone = np.isin(np.frombuffer(batch.parts or batch.events.contacts, "<u4"), np.fromiter(contacts, np.uint32))
    left_of_each = [_left_of(fact, contacts) for fact in batch.facts]
    facts = [one for one in left_of_each if one is not None]
    removed_facts = len(batch.facts) - len(facts)
    changed = any(one is not fact for one, fact in zip(left_of_each, batch.facts, strict=True))
    if not gone.any() and not changed:
        return payload, 0, 0
    kept = np.flatnonzero(~gone)
    before = np.concatenate(([0], np.cumsum(~gone)))
    rows = event_rows(batch)
    left = facts_pb2.FactBatch(upstream_position=batch.upstream_position, facts=facts)
    numbers = fact_rows(batch)[[one is not None for one in left_of_each]]
    left.fact_rows = numbers.astype("<u4").tobytes()
    for fact in left.facts:
        fact.before_event = int(before[fact.before_event])
    if gone.any():
        left.events.CopyFrom(columns_to_proto(compacted(columns_from_proto(batch.events).take(kept))))
        left.rows = rows[kept].astype("<u4").tobytes()
        if batch.parts:
            left.parts = np.frombuffer(batch.parts, "<u4")[kept].tobytes()
    else:
        left.events.CopyFrom(batch.events)
        left.rows, left.parts = batch.rows, batch.parts
    return left.SerializeToString(), int(gone.sum()), removed_facts


def fact_rows(batch: facts_pb2.FactBatch) -> NDArray[np.int64]:
    """The number that each fact of an entry had when it was logged, ascending."""
    if batch.fact_rows:
        return np.frombuffer(batch.fact_rows, "<u4").astype(np.int64)
    return np.arange(len(batch.facts))


def event_rows(batch: facts_pb2.FactBatch) -> NDArray[np.int64]:
    """The number that each event of an entry had when it was logged, ascending."""
    if batch.rows:
        return np.frombuffer(batch.rows, "<u4").astype(np.int64)
    return np.arange(len(batch.events.ids))


def _left_of(fact: facts_pb2.ContactFact, contacts: frozenset[int]) -> facts_pb2.ContactFact | None:
    """The fact without what it tells of `contacts`; the same object where that is nothing."""
    match fact.WhichOneof("fact"):
        case "state":
            return None if fact.contact in contacts else fact
        case "attribute" | "list" | "consent" | "machine_mark":
            return None if (fact.part or fact.contact) in contacts else fact
        case "merge":
            return None if fact.contact in contacts and fact.merge.loser in contacts else fact
        case "unmerge" if fact.unmerge.restored in contacts and fact.unmerge.event_ids:
            left = facts_pb2.ContactFact()
            left.CopyFrom(fact)
            # Their events are gone, and ids may be a shop's own numbers.
            del left.unmerge.event_ids[:]
            del left.unmerge.event_instants_us[:]
            return left
        case _:
            return fact
