"""An entry of ingest's log whose bytes were made where the file was read."""

from __future__ import annotations

import struct

from cdp.facts.v1 import facts_pb2
from services.ingest.bulk.frames import EntryFrame
from services.ingest.feeds.encode import varint
from services.ingest.writer import BatchWriter

# Tags of cdp.facts.v1: AcceptedBatch.events and .facts, EventColumns.received_at_us, AcceptedFact.received_at_us.
_EVENTS, _FACTS, _RECEIVED_COLUMN, _RECEIVED = b"\x0a", b"\x12", b"\x2a", b"\x18"


class ImportedEntry(BatchWriter):
    """Events or facts of an EntryFrame, all received at one instant."""

    def __init__(self, frame: EntryFrame, key_id: str) -> None:
        super().__init__()
        self._frame = frame
        self._received_us = 0
        self.size_bytes = len(frame.events) + sum(map(len, frame.facts))
        self.count(key_id, frame.count)

    def __len__(self) -> int:
        return self._frame.count

    def restamp(self, received_at_us: int) -> None:
        """See BatchWriter."""
        self._received_us = received_at_us

    def received_from(self, floor_us: int) -> int:
        """See BatchWriter."""
        self._received_us = max(self._received_us, floor_us)
        return self._received_us

    def payload(self) -> bytes:
        """See BatchWriter. Messages put behind each other are their union, and of a field that is no list the last word
        counts: so the instants are put on bytes that were made before."""
        uses = [facts_pb2.KeyUse(key_id=key_id, items=items) for key_id, items in self.uses.items()]
        parts = [facts_pb2.AcceptedBatch(uses=uses).SerializeToString()]
        if self._frame.events:
            events = self._frame.count - len(self._frame.facts)
            instants = struct.pack("<q", self._received_us) * events
            column = _RECEIVED_COLUMN + varint(len(instants)) + instants
            parts += (self._frame.events, _EVENTS, varint(len(column)), column)
        stamp = _RECEIVED + varint(self._received_us)
        for fact in self._frame.facts:
            parts += (_FACTS, varint(len(fact) + len(stamp)), fact, stamp)
        return b"".join(parts)
