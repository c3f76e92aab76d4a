"""Group commit: what arrives for a workspace while an append is under way goes into the next one together."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from core.clock import Clock
from core.errors import CdpError, Code
from core.eventlog.protocol import EventLog, Partition
from services.ingest.schema_store import SchemaStore
from services.ingest.usage import Usage
from services.ingest.writer import BatchWriter
from services.runtime.failpoints import failpoint

#: An entry is closed at so many items or so many received bytes.
MAX_ENTRY_ITEMS = 1_000
MAX_ENTRY_BYTES = 1 << 20
#: Bytes that may wait for the log before more is refused.
MAX_WAITING_BYTES = 64 << 20
_LARGE_BYTES = 128 << 10
#: While calls follow each other closely, each append waits this long for more to join it.
_LINGER_S = 0.003
_CLOSELY_S = 0.02


@dataclass(slots=True)
class _Batch:
    writer: BatchWriter = field(default_factory=BatchWriter)
    done: asyncio.Future[int] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Batcher:
    """The way into one workspace's log. Entries are appended in the order in which they were closed, and
    `received_at_us` never runs back behind what this process knows of the log, whatever its clock does: what the log
    recorded last before the first append, and with each append since."""

    def __init__(
        self,
        log: EventLog,
        partition: Partition,
        clock: Clock,
        schema: SchemaStore | None = None,
        usage: Usage | None = None,
    ) -> None:
        """Items are checked against `schema`, as it was read last; None: against the vocabulary alone. `usage` is told
        of every entry."""
        self._log = log
        self._schema = schema
        self._usage = usage
        self._partition = partition
        self._clock = clock
        self._open: _Batch | None = None
        self._closed: deque[_Batch] = deque()
        self._waiting_bytes = 0
        self._flusher: asyncio.Task[None] | None = None
        self._seconds = asyncio.get_running_loop().time
        self._appended_s = -_CLOSELY_S
        self._received_us: int | None = None

    def writer(self, size_bytes: int) -> BatchWriter:
        """The shared open entry, for an item of `size_bytes` that is written before the next await.
        Raises EXHAUSTED / LOG_BEHIND when too much waits for the log already."""
        self._admit(size_bytes)
        batch = self._open
        if batch is not None and (
            len(batch.writer) >= MAX_ENTRY_ITEMS or batch.writer.size_bytes + size_bytes > MAX_ENTRY_BYTES
        ):
            self._close_open()
            batch = None
        if batch is None:
            batch = self._open = _Batch()
        batch.writer.use(self._schema.current if self._schema is not None else None)
        return batch.writer

    def commit(self, size_bytes: int, key_id: str = "") -> asyncio.Future[int]:
        """An item was written to `writer()`, by this key: the position of its entry, once that is durable."""
        batch = self._open
        if batch is None:
            raise RuntimeError("commit() follows writer() without an await in between")
        batch.writer.size_bytes += size_bytes
        batch.writer.count(key_id)
        self._waiting_bytes += size_bytes
        self._wake()
        return batch.done

    async def append(self, writer: BatchWriter) -> int:
        """Append an entry of the caller's own; its position, once it is durable."""
        self._admit(writer.size_bytes)
        self._close_open()
        writer.restamp(self._clock.now_us())
        batch = _Batch(writer)
        self._closed.append(batch)
        self._waiting_bytes += writer.size_bytes
        self._wake()
        return await asyncio.shield(batch.done)

    async def drain(self) -> None:
        """Return once nothing waits."""
        while self._flusher is not None and not self._flusher.done():
            await asyncio.wait({self._flusher})

    def _admit(self, size_bytes: int) -> None:
        if self._waiting_bytes + size_bytes > MAX_WAITING_BYTES:
            raise CdpError(Code.EXHAUSTED, "LOG_BEHIND", "the log is slower than the input", retry_after_s=1.0)

    def _close_open(self) -> None:
        if self._open is not None and len(self._open.writer):
            self._closed.append(self._open)
            self._open = None

    def _wake(self) -> None:
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush(), name=f"ingest-append-{self._partition.workspace}")

    async def _flush(self) -> None:
        while self._closed or (self._open is not None and len(self._open.writer)):
            if not self._closed and self._seconds() - self._appended_s < _CLOSELY_S:
                await asyncio.sleep(_LINGER_S)
            self._close_open()
            batches: list[_Batch] = []
            size = 0
            while self._closed and (not batches or size + self._closed[0].writer.size_bytes <= 4 * MAX_ENTRY_BYTES):
                size += self._closed[0].writer.size_bytes
                batches.append(self._closed.popleft())
            try:
                latest_us = await self._recorded_us() if self._received_us is None else self._received_us
                for batch in batches:
                    latest_us = batch.writer.received_from(latest_us)
                self._received_us = latest_us
                payloads = [await self._payload(batch.writer) for batch in batches]
                failpoint("ingest.before_append")
                committed = await self._log.append(self._partition, payloads, self._clock.now_us())
                failpoint("ingest.after_append")
            except Exception as error:  # noqa: BLE001 - every waiting caller is told, whatever it was
                for batch in batches:
                    batch.done.set_exception(error)
                    batch.done.exception()  # callers may have gone; then nobody asks, and that is no bug
            else:
                self._received_us = max(latest_us, committed.recorded_at_us)
                first = committed.last - len(batches) + 1
                for number, batch in enumerate(batches):
                    if self._usage is not None:
                        self._usage.appended(first + number, committed.recorded_at_us, batch.writer.uses)
                    batch.done.set_result(first + number)
            self._waiting_bytes -= size
            self._appended_s = self._seconds()

    async def _recorded_us(self) -> int:
        """When the log took its last entry; 0 if it keeps none."""
        first, last = await self._log.bounds(self._partition)
        if first > last:
            return 0
        entries = await self._log.read(self._partition, last - 1, 1, 1)
        return entries[0].recorded_at_us if entries else 0

    @staticmethod
    async def _payload(writer: BatchWriter) -> bytes:
        # A large entry takes ten milliseconds to pack: in a thread, the loop gets its turn in between.
        return await asyncio.to_thread(writer.payload) if writer.size_bytes > _LARGE_BYTES else writer.payload()
