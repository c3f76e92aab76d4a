"""What the process that reads a file and the one that owns the workspace say to each other.

The reader sends frames: a line of JSON, then the parts whose sizes the line tells. It may be so many entries ahead of
the last one acknowledged; the acknowledgements, a line of JSON each, also bring the door's rules when these changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from core.events.schema import Family, Place
from core.events.schema_changes import Want
from core.schema import Kind

#: Entries that the reader may be ahead.
AHEAD = 4


@dataclass(frozen=True, slots=True)
class ReadJob:
    """One reading: the file from a place on, by a whole spec (serialised, base64)."""

    file: str
    spec: str
    row: int
    offset: int
    told_at_us: int
    id_prefix: str
    dry_run: bool


@dataclass(slots=True)
class Tally:
    """Rows since the frame before. `facts`: contacts, events or orders of the accepted ones."""

    read: int = 0
    accepted: int = 0
    rejected: int = 0
    facts: int = 0
    by_reason: dict[str, int] = field(default_factory=dict)

    def __add__(self, other: Tally) -> Tally:
        reasons = dict(self.by_reason)
        for reason, rows in other.by_reason.items():
            reasons[reason] = reasons.get(reason, 0) + rows
        return Tally(
            self.read + other.read,
            self.accepted + other.accepted,
            self.rejected + other.rejected,
            self.facts + other.facts,
            reasons,
        )


@dataclass(frozen=True, slots=True)
class EntryFrame:
    """Rows up to (`row`, `offset`), `bytes_read` into the file: `events` is a serialised AcceptedBatch of events,
    `facts` are serialised AcceptedFacts without `received_at_us`; `rejected` are lines of the report."""

    tally: Tally
    row: int
    offset: int
    bytes_read: int
    count: int
    events: bytes
    facts: tuple[bytes, ...]
    rejected: bytes

    def encode(self) -> bytes:
        """The frame on the wire."""
        head = {
            "entry": asdict(self.tally),
            "row": self.row,
            "offset": self.offset,
            "bytes_read": self.bytes_read,
            "count": self.count,
            "facts": [len(one) for one in self.facts],
        }
        return frame(head, self.events, self.rejected, b"".join(self.facts))

    @staticmethod
    def decode(head: Mapping[str, object], parts: Sequence[bytes]) -> EntryFrame:
        """The frame of `encode`."""
        events, rejected, joined = parts
        facts, at = [], 0
        sizes = head["facts"]
        assert isinstance(sizes, list), "as encoded"
        for size in sizes:
            facts.append(joined[at : at + size])
            at += size
        tally = head["entry"]
        assert isinstance(tally, dict), "as encoded"
        numbers = [head[name] for name in ("row", "offset", "bytes_read", "count")]
        row, offset, bytes_read, count = (one if isinstance(one, int) else 0 for one in numbers)
        return EntryFrame(Tally(**tally), row, offset, bytes_read, count, events, tuple(facts), rejected)


def frame(head: Mapping[str, object], *parts: bytes) -> bytes:
    """A line of JSON with the sizes of the parts, and the parts."""
    line = json.dumps({**head, "parts": [len(part) for part in parts]}, separators=(",", ":"))
    return b"".join((line.encode(), b"\n", *parts))


def wants_head(wants: Sequence[Want]) -> dict[str, object]:
    """Names that the schema has to learn before the reading goes on."""
    return {"wants": [[w.place.family.value, w.place.owner, w.place.name, w.kind] for w in wants]}


def wants_from(head: Mapping[str, object]) -> tuple[Want, ...]:
    """What `wants_head` says."""
    told = head["wants"]
    assert isinstance(told, list), "as encoded"
    return tuple(
        Want(Place(Family(family), owner, name), None if kind is None else Kind(kind))
        for family, owner, name, kind in told
    )
