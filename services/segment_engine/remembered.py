"""What the engine's own log and state remember across restarts: every record of change, and the published numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.eventlog.protocol import EventLog, Partition, TableWrite
from core.segments.changes import Change
from core.segments.number_format import decode_number, encode_number
from core.segments.publication import Number
from services.segment_engine.convert import entry_to_changes

_TABLE = "numbers"
_READ_ENTRIES = 256
_READ_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Remembered:
    """`changes` in record order; `numbers` by the texts of their keys."""

    changes: tuple[Change, ...] = ()
    numbers: Mapping[str, Number] = field(default_factory=dict)

    @staticmethod
    async def load(log: EventLog, partition: Partition) -> Remembered:
        """Everything recorded so far."""
        changes: list[Change] = []
        after = (await log.bounds(partition))[0] - 1
        while entries := await log.read(partition, after, _READ_ENTRIES, _READ_BYTES):
            for entry in entries:
                changes.extend(entry_to_changes(entry.payload))
            after = entries[-1].position
        numbers = {key.decode(): decode_number(data) async for key, data in log.scan(partition, _TABLE)}
        return Remembered(tuple(changes), numbers)


def numbers_to_write(numbers: Mapping[str, Number]) -> TableWrite:
    """The published numbers as the whole table."""
    return TableWrite(_TABLE, {key.encode(): encode_number(one) for key, one in numbers.items()}, drop=True)
