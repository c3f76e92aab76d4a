"""Anonymous visitors who do not come back: found slowly, one contact number after the other, and ordered forgotten.

The order says since when nobody must have heard of them, and the fold asks once more, so that whoever comes back
meanwhile stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import grpc
import numpy as np

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from core.clock import DAY_US
from core.errors import CdpError, Code
from core.identity.rules import IdentityRules
from core.profile.codec import decode_profile
from core.profile.profile import Profile
from services.profile_unification.eraser import Store
from services.profile_unification.tables import PROFILES, contact_key, load_next_contact
from services.runtime.context import Runtime
from services.runtime.errors import from_rpc
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)
#: Contact numbers that are looked at together, and the pause after: five thousand a second at the most.
_SLICE = 500
_PAUSE_S = 0.1
_ROUND_S = 3_600.0
_KEYS_AN_ORDER = 100
_MINUTE_S = 60.0
_READ_BYTES = 16 << 20
REASON = "expired"


class Expirer:
    """The sweeper of one workspace, in the process that owns it."""

    def __init__(self, runtime: Runtime, workspace_id: str, store: Store, rules: Callable[[], IdentityRules]) -> None:
        self._runtime = runtime
        self._workspace_id = workspace_id
        self._store = store
        self._rules = rules
        self._idle_us = runtime.settings.anonymous_idle_days * DAY_US
        self._per_minute = runtime.settings.expire_per_minute

    async def run(self) -> None:
        """Go through all contacts every hour, until cancelled."""
        if not self._idle_us:
            await asyncio.Event().wait()
        while True:
            await asyncio.sleep(_ROUND_S)
            try:
                await self.sweep()
            except CdpError as error:
                if error.code not in (Code.UNAVAILABLE, Code.EXHAUSTED):
                    raise
                _LOG.info("visitors not looked at, trying again", workspace=self._workspace_id, reason=error.reason)

    async def sweep(self) -> int:
        """One round: order all idle anonymous visitors forgotten, so many a minute. Returns how many."""
        log, partition = self._store.log, self._store.partition
        end = await load_next_contact(log, partition)
        found, seconds = 0, asyncio.get_running_loop().time
        minute_s, this_minute = seconds(), 0
        for start in range(1, end, _SLICE):
            since_us = self._runtime.clock.now_us() - self._idle_us
            idle = await self._idle(range(start, min(start + _SLICE, end)), since_us)
            while idle:
                if this_minute >= self._per_minute:
                    await asyncio.sleep(max(0.0, minute_s + _MINUTE_S - seconds()))
                    minute_s, this_minute = seconds(), 0
                some = idle[: min(_KEYS_AN_ORDER, self._per_minute - this_minute)]
                idle = idle[len(some) :]
                await self._order(some, since_us)
                found, this_minute = found + len(some), this_minute + len(some)
            await asyncio.sleep(_PAUSE_S)
        return found

    async def _idle(self, contacts: range, since_us: int) -> list[str]:
        log, partition = self._store.log, self._store.partition
        rules = self._rules()
        rows = await log.get(partition, PROFILES, [contact_key(contact) for contact in contacts])
        profiles = [decode_profile(row) for row in rows if row is not None]
        anonymous = [
            one
            for one in profiles
            if one.merged_into is None and one.first_seen_us <= since_us and not one.known(rules)
        ]
        return [one.key for one in anonymous if await self._silent(one, since_us)]

    async def _silent(self, profile: Profile, since_us: int) -> bool:
        """Whether nothing was heard of the visitor since, neither of that time nor, as history, of another."""
        store = self._store
        refs = await store.timeline.refs(profile.part_numbers())
        if not len(refs):
            return True
        if int(refs["occurred_at_us"].max()) > since_us:
            return False
        newest = int(np.max(refs["position"]))
        entries = await store.log.read(store.partition, newest - 1, 1, _READ_BYTES)
        return not entries or entries[0].recorded_at_us <= since_us

    async def _order(self, keys: Sequence[str], since_us: int) -> None:
        stubs = self._runtime.stubs
        order = facts_pb2.ErasureOrder(keys=keys, reason=REASON, asked_by="platform", idle_since_us=since_us)
        message_id = f"erase:expired.{keys[0]}.{since_us}"
        command = ingest_pb2.CommandRequest(message_id=message_id, erasure=order)
        metadata = stubs.internal_metadata(self._workspace_id)
        try:
            await stubs.ingest().Command(command, metadata=metadata, timeout=_MINUTE_S)
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error) from error
