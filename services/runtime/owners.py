"""Who owns a bucket that this process does not: asked of the log, remembered for a moment."""

from __future__ import annotations

import time
from collections.abc import Callable

from core.eventlog.protocol import EventLog
from services.runtime.lease import LeaseKeeper, owner_address

#: For so long an owner is taken for the owner.
OWNER_CACHE_S = 1.0


class Owners:
    """Looks up the holders of leases, and remembers each for OWNER_CACHE_S."""

    def __init__(self, log: EventLog, leases: LeaseKeeper, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._leases = leases
        self._monotonic_s = monotonic_s
        self._own_address = owner_address(leases.owner)
        self._known: dict[str, tuple[float, str | None]] = {}

    async def elsewhere(self, lease: str) -> str | None:
        """The gRPC address of the other process that holds `lease`; None when nobody does or this process does.

        A holder at this process's own address is a predecessor that has ended: None as well. Whether the holder
        still lives is not asked: a lease outlives its owner by its time to live. Raises what the log raises.
        """
        if self._leases.fence(lease) is not None:
            return None
        now_s = self._monotonic_s()
        asked_s, address = self._known.get(lease, (float("-inf"), None))
        if now_s - asked_s < OWNER_CACHE_S:
            return address
        if lease in self._known:
            self._known[lease] = (now_s, address)  # calls that come meanwhile go by the old answer: one of them asks
        owner = await self._log.owner(lease)
        found = None if owner is None else owner_address(owner)
        if found == self._own_address:
            found = None
        self._known[lease] = (now_s, found)
        return found
