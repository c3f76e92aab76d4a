"""What was told of one attribute of a person: read back from the log, the newest entries first."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from cdp.facts.v1 import facts_pb2
from cdp.profile.v1 import profile_pb2
from core.events.facts import AttributeWrite
from core.profile.timeline import FACT_ROW, fact_runs
from services.profile_unification.history import batch_at
from services.profile_unification.worker import UnificationShard
from services.runtime.facts import contact_fact_from_proto, value_to_proto

#: Entries that are read at once.
_ABREAST = 16

#: Instant, place in the log, write.
_Placed = tuple[int, tuple[int, int], AttributeWrite]


async def attribute_writes(
    shard: UnificationShard, parts: Sequence[int], name: str, from_us: int
) -> list[AttributeWrite]:
    """Writes of attribute `name` of the person who is these parts, by instant, then by the log's order: those at
    `from_us` and later, and the last one before. Raises NOT_FOUND / LOG_TRIMMED if something is no longer kept."""
    refs = await shard.timeline.refs(parts)
    told = refs[refs["row"] >= FACT_ROW]
    seen: set[int] = set()
    found: list[_Placed] = []
    for start in range(0, len(told), _ABREAST):
        some = told[start : start + _ABREAST]
        earlier_us = [at_us for at_us, _, _ in found if at_us < from_us]
        if earlier_us and int(some["occurred_at_us"][0]) < max(earlier_us):
            break  # what follows is older than the last write before `from_us`
        positions = sorted({int(ref["position"]) for ref in some} - seen)
        seen.update(positions)
        batches = await asyncio.gather(*(batch_at(shard.log, shard.partition, position) for position in positions))
        for position, batch in zip(positions, batches, strict=True):
            found += _writes(batch, position, frozenset(parts), name)
    found.sort(key=lambda placed: placed[:2])
    first = max(sum(placed[0] < from_us for placed in found) - 1, 0)
    return [write for _, _, write in found[first:]]


def write_to_proto(write: AttributeWrite) -> profile_pb2.AttributeWrite:
    """The wire form."""
    value = None if write.value is None else value_to_proto(write.value)
    return profile_pb2.AttributeWrite(occurred_at_us=write.occurred_at_us, value=value)


def _writes(batch: facts_pb2.FactBatch, position: int, parts: Collection[int], name: str) -> list[_Placed]:
    facts = [contact_fact_from_proto(fact) for fact in batch.facts]
    found: list[_Placed] = []
    for run in fact_runs(facts):
        if run.part in parts:
            for index in range(run.index, run.end):
                fact = facts[index]
                if isinstance(fact, AttributeWrite) and fact.name == name:
                    found.append((fact.occurred_at_us, (position, index), fact))
    return found
