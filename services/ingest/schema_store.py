"""The schema of one workspace as this process knows it, and the way to change it for all processes.

It is a log of its own beside the workspace's, with changes as entries. A change is decided on the newest schema and
committed as its next version or not at all, so of two processes that learn one name at once the first decides and the
other takes what was decided.

A process that has not looked for a second looks before it takes an item: declarations, new names and retirements made
elsewhere are in force everywhere after that. What it does not know meanwhile does no harm: kinds are never changed but
widened, and a name that seems to be new is learned on the newest schema.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from core.clock import Clock
from core.errors import CdpError, unavailable
from core.eventlog.protocol import Commit, EventLog, Partition
from core.eventlog.rules import lease_name
from core.events.schema import Row, Schema
from core.events.schema_changes import Want, learned
from core.events.schema_codec import Change, decode, encode
from services.runtime.failpoints import failpoint

SERVICE = "ingest_schema"
#: After so long without a look at the log the schema may be another.
FRESH_S = 1.0
LEARNER = "first seen"

_READ_ENTRIES = 1_000
_READ_BYTES = 4 << 20
#: Each try that fails is one that another process won.
_TRIES = 50
#: All processes hold the lease together: versions keep them apart, and a lease that one waits for takes a second.
_EVERYBODY, _LEASE_S = "every ingest", 60.0

#: The rows that change, decided on the newest schema at an instant; none: nothing changes.
Decide = Callable[[Schema, int], Sequence[Row]]


class SchemaStore:
    """One workspace's schema. `current` is what was read last; None before the first `read`."""

    def __init__(self, log: EventLog, clock: Clock, workspace: str, bucket: int) -> None:
        self._log = log
        self._clock = clock
        self._partition = Partition(SERVICE, workspace, bucket)
        self._lease = lease_name(SERVICE, bucket)
        self._seconds = asyncio.get_running_loop().time
        self._looked_s = 0.0
        self._changing = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None
        self.current: Schema | None = None

    def fresh(self) -> Schema | None:
        """The schema, if it was looked at within FRESH_S; else None, and `read` is what helps."""
        return self.current if self._seconds() - self._looked_s < FRESH_S else None

    async def read(self) -> Schema:
        """The schema, not older than FRESH_S. Calls that wait at once look once. UNAVAILABLE while the log is away."""
        fresh = self.fresh()
        if fresh is not None:
            return fresh
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="ingest-schema-read")
            self._looking.add_done_callback(self._looked)
        # Shielded: a caller that goes away must not take the answer from those who wait with it.
        await asyncio.shield(self._looking)
        return self._read()

    async def refreshed(self) -> Schema:
        """The newest schema, whenever it was looked at last."""
        await self._look()
        return self._read()

    async def wait_changed(self, version: int, timeout_s: float) -> None:
        """Return when the schema is beyond `version`, or after `timeout_s`."""
        await self._log.wait(self._partition, version, timeout_s)

    async def learn(self, wants: Sequence[Want]) -> Schema:
        """Take up names that were met, as far as there is place for them; the schema after it."""
        return await self.change(lambda schema, now_us: learned(schema, wants, now_us), LEARNER, "learned")

    async def change(self, decide: Decide, actor: str, action: str) -> Schema:
        """Commit what `decide` finds on the newest schema; raises what it raises. The schema after it."""
        async with self._changing:
            for _ in range(_TRIES):
                try:
                    if await self._change(decide, actor, action):
                        return self._read()
                except CdpError as error:
                    if error.reason != "FENCED":
                        raise
        raise unavailable("SCHEMA_CONTENDED", "the schema is being changed by many at once, try again", 0.5)

    async def changes(self, after: int, limit: int) -> list[tuple[int, Change]]:
        """Up to `limit` changes beyond version `after`, each with its version."""
        entries = await self._log.read(self._partition, after, limit, _READ_BYTES)
        return [(entry.position, decode(entry.payload)) for entry in entries]

    async def _change(self, decide: Decide, actor: str, action: str) -> bool:
        """One try; False when somebody else changed the schema meanwhile."""
        await self._look()
        schema, now_us = self._read(), self._clock.now_us()
        rows = tuple(decide(schema, now_us))
        if not rows:
            return True
        fence = await self._log.acquire(self._lease, _EVERYBODY, _LEASE_S)
        if fence is None:
            return False
        payload = encode(Change(actor, action, now_us, rows))
        commit = Commit(SERVICE, schema.version + 1, [payload], (), now_us)
        failpoint("ingest.before_schema_change")
        applied = (await self._log.commit(self._partition, fence, commit)).applied
        failpoint("ingest.after_schema_change")
        await self._look()
        return applied

    async def _look(self) -> None:
        began_s = self._seconds()
        schema = self.current or Schema()
        while True:
            entries = await self._log.read(self._partition, schema.version, _READ_ENTRIES, _READ_BYTES)
            if not entries:
                break
            rows = [row for entry in entries for row in decode(entry.payload).rows]
            schema = schema.with_rows(rows, entries[-1].position)
        # Two looks may overlap; the further one stays.
        if self.current is None or schema.version > self.current.version:
            self.current = schema
        self._looked_s = max(self._looked_s, began_s)

    def _looked(self, task: asyncio.Task[None]) -> None:
        self._looking = None
        if not task.cancelled():
            task.exception()  # those who waited have it; if all of them went away, nobody misses it

    def _read(self) -> Schema:
        if self.current is None:
            raise unavailable("SCHEMA_LOADING", "the schema of the workspace is not read yet", 0.2)
        return self.current
