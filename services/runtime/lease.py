"""Holding leases: take, renew in the background, tell the loss, give back."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from core.errors import CdpError, Code, unavailable
from core.eventlog.protocol import EventLog, Fence

_LOG = structlog.get_logger(__name__)


def owner_name(address: str, instance: str) -> str:
    """The owner string of one process: where to forward calls, and an id that a restart does not share."""
    return f"{address}#{instance}"


def owner_address(owner: str) -> str:
    """The gRPC address in an owner string, for forwarding."""
    return owner.rpartition("#")[0]


@dataclass(slots=True)
class _Held:
    fence: Fence
    renewed_s: float
    lost: asyncio.Event = field(default_factory=asyncio.Event)


class LeaseKeeper:
    """The leases of one process, renewed every `ttl_s` / 3 by one background task.

    A lease is lost when another owner has it or when it could not be renewed for `ttl_s`: its event is set and the
    keeper lets go of it. Nothing else need stop a writer at once: commits with a fence that somebody has
    superseded are refused by the log.
    """

    def __init__(self, log: EventLog, address: str, ttl_s: float = 10.0) -> None:
        """`address` is where this process answers gRPC calls."""
        self._log = log
        self._ttl_s = ttl_s
        self._held: dict[str, _Held] = {}
        self._renewer: asyncio.Task[None] | None = None
        self.owner = owner_name(address, secrets.token_hex(4))

    async def acquire(self, lease: str, timeout_s: float) -> Fence:
        """Own `lease`, waiting for its present owner; the fence that it has already if this process holds it.

        Raises UNAVAILABLE/LEASE_HELD with the owner's name after `timeout_s`, or the log's error.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        held = self._held.get(lease)
        if held is not None:
            return held.fence
        while True:
            asked_s = loop.time()
            fence = await self._log.acquire(lease, self.owner, self._ttl_s)
            if fence is not None:
                break
            if loop.time() >= deadline:
                holder = await self._log.owner(lease)
                raise unavailable("LEASE_HELD", f"the lease {lease} is held by {holder}", self._ttl_s)
            await asyncio.sleep(min(self._ttl_s / 10, max(0.0, deadline - loop.time())))
        self._held[lease] = _Held(fence, asked_s)
        if self._renewer is None:
            self._renewer = loop.create_task(self._renew_all())
        return fence

    def fence(self, lease: str) -> Fence | None:
        """The fence of a lease that this process holds, else None."""
        held = self._held.get(lease)
        return None if held is None else held.fence

    def lost(self, lease: str) -> asyncio.Event:
        """Set once the held `lease` is lost (not when it is released). KeyError if it is not held."""
        return self._held[lease].lost

    async def release(self, lease: str) -> None:
        """Give `lease` up, so that the next owner need not wait for its end. Nothing if it is not held."""
        if self._held.pop(lease, None) is not None:
            await self._log.release(lease, self.owner)

    async def close(self) -> None:
        """Release everything and stop renewing. Idempotent. A log that is away keeps nobody: leases run out."""
        if self._renewer is not None:
            self._renewer.cancel()
            with suppress(asyncio.CancelledError):
                await self._renewer
            self._renewer = None
        for lease in list(self._held):
            try:
                await self.release(lease)
            except CdpError as error:
                if error.code is not Code.UNAVAILABLE:
                    raise
                _LOG.warning("lease not released", lease=lease, reason=error.reason)

    async def _renew_all(self) -> None:
        while True:
            await asyncio.sleep(self._ttl_s / 3)
            for lease, held in list(self._held.items()):
                await self._renew(lease, held)

    async def _renew(self, lease: str, held: _Held) -> None:
        loop = asyncio.get_running_loop()
        asked_s = loop.time()
        try:
            async with asyncio.timeout(self._ttl_s / 3):
                fence = await self._log.acquire(lease, self.owner, self._ttl_s)
        except (CdpError, TimeoutError) as error:
            reason = error.reason if isinstance(error, CdpError) else "TIMEOUT"
            if loop.time() - held.renewed_s < self._ttl_s:
                _LOG.warning("lease not renewed, trying again", lease=lease, reason=reason)
            else:
                self._lose(lease, held, reason)
            return
        if fence == held.fence:
            held.renewed_s = asked_s
            return
        self._lose(lease, held, "TAKEN")
        if fence is not None:
            # Somebody had it in between and is gone again: whoever wants it loads the state first, then takes it.
            await self._log.release(lease, self.owner)

    def _lose(self, lease: str, held: _Held, reason: str) -> None:
        if self._held.get(lease) is not held:
            return  # Released or taken anew meanwhile.
        del self._held[lease]
        _LOG.warning("lease lost", lease=lease, epoch=held.fence.epoch, reason=reason)
        held.lost.set()
