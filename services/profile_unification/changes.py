"""What was told of people and is no event, read back through references of their timelines."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from itertools import islice

from cdp.facts.v1 import facts_pb2
from cdp.profile.v1 import profile_pb2
from core.errors import not_found
from core.eventlog.protocol import EventLog, Partition
from core.events.facts import AttributeWrite, ConsentWrite, ListChange
from core.profile.timeline import FACT_ROW, Refs, fact_runs
from services.profile_unification.forgetting import fact_rows
from services.runtime.facts import contact_fact_from_proto, value_to_proto

_ABREAST = 16
_READ_BYTES = 16 << 20

Entry = profile_pb2.TimelineEntry


async def read_changes(log: EventLog, partition: Partition, refs: Refs) -> list[list[Entry]]:
    """For each of `refs`, which are to facts, what one item told: entries of a timeline, in the order told. Raises
    NOT_FOUND / LOG_TRIMMED for what is no longer kept."""
    wanted: dict[int, set[int]] = defaultdict(set)
    for ref in refs:
        wanted[int(ref["position"])].add(int(ref["row"]) & ~FACT_ROW)
    found: dict[tuple[int, int], list[Entry]] = {}
    positions = iter(sorted(wanted))
    while some := list(islice(positions, _ABREAST)):
        reads = (log.read(partition, position - 1, 1, _READ_BYTES) for position in some)
        for position, entries in zip(some, await asyncio.gather(*reads), strict=True):
            if not entries or entries[0].position != position:
                raise not_found("LOG_TRIMMED", f"the facts at position {position} are no longer kept")
            batch = facts_pb2.FactBatch.FromString(entries[0].payload)
            numbers = fact_rows(batch)
            facts = [contact_fact_from_proto(fact) for fact in batch.facts]
            for run in fact_runs(facts):
                number = int(numbers[run.index])
                if number in wanted[position]:
                    told = [_entry(fact) for fact in facts[run.index : run.end]]
                    found[position, number] = [one for one in told if one is not None]
    return [found.get((int(ref["position"]), int(ref["row"]) & ~FACT_ROW), []) for ref in refs]


def _entry(fact: object) -> Entry | None:
    if not isinstance(fact, AttributeWrite | ListChange | ConsentWrite):
        return None
    entry = Entry(occurred_at_us=fact.occurred_at_us)
    change = entry.change
    change.imported, change.part = fact.imported, fact.part or fact.contact
    match fact:
        case AttributeWrite(name=name, value=value):
            change.attribute.name = name
            change.attribute.value.CopyFrom(value_to_proto(value))
        case ListChange(list_name=name, member=member):
            change.list.list, change.list.member = name, member
        case ConsentWrite():
            consent = change.consent
            consent.channel, consent.category, consent.state = fact.channel, fact.category, fact.state
            consent.source, consent.proof = fact.source, fact.proof
            consent.occurred_at_us = fact.occurred_at_us
    return entry
