"""Events that turned out to be a machine's after they were accepted, for timelines, which read events as they came."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from core.eventlog.protocol import EventLog, Partition
from core.events.columns import MACHINE, Event
from core.events.facts import ContactFact, MachineMark

#: Instant (8 bytes) and id of an event -> the rule that found the machine.
MARKS = "machine_marks"


def mark_rows(facts: Iterable[ContactFact]) -> dict[bytes, bytes]:
    """What the marks among `facts` put into the table."""
    return {
        mark_key(one.id, one.occurred_at_us): fact.reason.encode()
        for fact in facts
        if isinstance(fact, MachineMark)
        for one in fact.events
    }


async def with_marks(log: EventLog, partition: Partition, events: Sequence[Event]) -> list[Event]:
    """The events, those that were marked since with the flag of a machine."""
    if not events:
        return []
    found = await log.get(partition, MARKS, [mark_key(one.id, one.occurred_at_us) for one in events])
    pairs = zip(events, found, strict=True)
    return [event if mark is None else replace(event, flags=event.flags | MACHINE) for event, mark in pairs]


def mark_key(event_id: str, occurred_at_us: int) -> bytes:
    """Where the mark of an event stands."""
    return occurred_at_us.to_bytes(8, "big", signed=True) + event_id.encode()
