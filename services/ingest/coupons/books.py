"""Pools and coupons of one workspace, on the process that owns its ingest log.

Every change is one fenced commit of the log's state together with the fact that tells of it, so a coupon is issued
exactly when `coupon_issued` is in the log. Changes are made one at a time: of many who ask at once each gets a code of
their own, and a process that dies in between leaves either both or nothing.
"""

from __future__ import annotations

import asyncio
import heapq
import secrets
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from core.clock import Clock
from core.coupons.codec import decode_coupon, decode_pool, encode_coupon, encode_pool
from core.coupons.coupon import (
    Coupon,
    expired_event,
    issued_event,
    redeemed,
    redeemed_event,
)
from core.coupons.pool import MOST_POOLS, Pool, checked_code, made_code, require_issuable, saved_pool
from core.errors import CdpError, Code, conflict, not_found
from core.eventlog.protocol import Commit, EventLog, Fence, Partition, TableWrite
from core.events.columns import Event, Identifier
from services.ingest.writer import BatchWriter
from services.runtime.failpoints import failpoint
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)

#: Name -> pool; code -> coupon, empty for one that is not issued yet; what was asked for -> code or count.
POOLS, COUPONS, ASKED = "coupon_pools", "coupons", "coupons_asked"
#: Of one pool: number (8 bytes) -> code, in the order in which they are issued.
FREE = "coupon_codes/"
_FREE_CODE = b""
#: Whom a coupon belongs to once the person was erased.
ERASED = Identifier("erased", "")
_MOST_TRIES = 20
_MOST_EXPIRED = 500


class CouponBooks:
    """Made by `load`. `changing` is held from deciding a change until it is kept."""

    def __init__(self, log: EventLog, clock: Clock, partition: Partition, fence: Fence) -> None:
        self._log = log
        self._clock = clock
        self._partition = partition
        self._fence = fence
        self._pools: dict[str, Pool] = {}
        self._ends: list[tuple[int, str]] = []  # heap of (expiry, code) of coupons that nobody has redeemed
        self.changing = asyncio.Lock()

    @staticmethod
    async def load(log: EventLog, clock: Clock, partition: Partition, fence: Fence) -> CouponBooks:
        """Read the pools, and when the coupons that are out become void."""
        self = CouponBooks(log, clock, partition, fence)
        async for name, stored in log.scan(partition, POOLS):
            self._pools[name.decode()] = decode_pool(stored)
        async for _, stored in log.scan(partition, COUPONS):
            if stored != _FREE_CODE:
                self._await_end(decode_coupon(stored))
        return self

    # --- pools ------------------------------------------------------------------------------------------------

    def pool(self, name: str) -> Pool:
        """A pool, or NOT_FOUND / NO_SUCH_POOL."""
        found = self._pools.get(name)
        if found is None:
            raise not_found("NO_SUCH_POOL", f"there is no coupon pool {name!r}")
        return found

    def pools(self) -> list[Pool]:
        """All pools, by name."""
        return [self._pools[name] for name in sorted(self._pools)]

    async def save_pool(self, asked: Pool, etag: str) -> Pool:
        """See `core.coupons.pool.saved_pool`. Raises EXHAUSTED / TOO_MANY_POOLS as well."""
        async with self.changing:
            pool = saved_pool(self._pools.get(asked.name), asked, etag, self._clock.now_us())
            if pool.name not in self._pools and len(self._pools) >= MOST_POOLS:
                raise CdpError(Code.EXHAUSTED, "TOO_MANY_POOLS", f"a workspace has at most {MOST_POOLS} pools")
            await self._keep((pool,), [], ())
            return pool

    async def add_codes(self, name: str, codes: Sequence[str]) -> tuple[int, int]:
        """Put codes at the end of a pool; how many were new, and how many the workspace knew already. Raises INVALID /
        BAD_CODE, CONFLICT / POOL_IN_USE for a pool whose codes are made by a pattern."""
        for number, code in enumerate(codes):
            checked_code(code, f"codes[{number}]")
        asked = list(dict.fromkeys(codes))
        async with self.changing:
            pool = self.pool(name)
            if pool.pattern:
                raise CdpError(Code.CONFLICT, "POOL_IN_USE", f"pool {name!r} makes its codes by a pattern")
            known = await self._log.get(self._partition, COUPONS, [code.encode() for code in asked])
            fresh = [code for code, found in zip(asked, known, strict=True) if found is None]
            if fresh:
                free = {_number(pool.added + place): code.encode() for place, code in enumerate(fresh)}
                writes = [
                    TableWrite(FREE + name, free),
                    TableWrite(COUPONS, dict.fromkeys((code.encode() for code in fresh), _FREE_CODE)),
                ]
                await self._keep((replace(pool, added=pool.added + len(fresh)),), writes, ())
            return len(fresh), len(codes) - len(fresh)

    # --- coupons ----------------------------------------------------------------------------------------------

    async def coupon(self, code: str) -> Coupon:
        """An issued coupon, or NOT_FOUND / NO_SUCH_COUPON."""
        found = (await self.coupons([code]))[code]
        if found is None:
            raise not_found("NO_SUCH_COUPON", "no such coupon was issued")
        return found

    async def coupons(self, codes: Sequence[str]) -> dict[str, Coupon | None]:
        """Issued coupons by code; None: there is none."""
        stored = await self._log.get(self._partition, COUPONS, [code.encode() for code in codes])
        return {code: decode_coupon(raw) if raw else None for code, raw in zip(codes, stored, strict=True)}

    async def issue(
        self, name: str, person: Identifier, occasion: str, campaign: str, request_id: str
    ) -> tuple[Coupon, bool]:
        """A code for a person; True where it had been issued to them before, for the same occasion or request. Raises
        as `require_issuable`, and CONFLICT / REQUEST_ID_TAKEN where the request was another person's or pool's."""
        async with self.changing:
            pool = self.pool(name)
            for_occasion = _asked(name, person.kind, person.value, "for", occasion)
            by_request, of_person = _asked("request", request_id), _asked(name, person.kind, person.value, "count")
            keys = [for_occasion, of_person, *([by_request] if request_id else [])]
            before = await self._log.get(self._partition, ASKED, keys)
            for found in (*before[2:], before[0]):
                if found is not None:
                    coupon = await self.coupon(found.decode())
                    # Nobody gets the code of somebody else.
                    if coupon.pool != name or coupon.person not in (person, ERASED):
                        raise conflict("REQUEST_ID_TAKEN", "request_id: another person or pool was asked for with it")
                    return coupon, True
            now_us, count = self._clock.now_us(), int(before[1] or 0)
            require_issuable(pool, count, now_us)
            code = await self._next_code(pool)
            coupon = Coupon(code, name, person, occasion, campaign, now_us, pool.expiry_us(now_us))
            asked = {for_occasion: code.encode(), of_person: str(count + 1).encode()}
            if request_id:
                asked[by_request] = code.encode()
            event = issued_event(coupon, pool, now_us)
            writes = [TableWrite(ASKED, asked), _coupon_write([coupon])]
            issued = replace(pool, issued=pool.issued + 1, added=pool.added + bool(pool.pattern))
            failpoint("coupon.before_issue")
            await self._keep((issued,), writes, (event,))
            failpoint("coupon.after_issue")
            self._await_end(coupon)
            if issued.low and not pool.low:
                _LOG.warning("coupon pool is low", workspace=self._partition.workspace, pool=name, left=issued.left)
            return coupon, False

    async def redeem(
        self, code: str, whose: Sequence[Identifier], order_id: str, request_id: str
    ) -> tuple[Coupon, bool]:
        """Use a code now; True where this order or request had used it before. Raises NOT_FOUND / NO_SUCH_COUPON, and
        as `core.coupons.coupon.redeemed`."""
        async with self.changing:
            coupon = await self.coupon(code)
            if coupon.redeemed_by(order_id, request_id):
                return coupon, True
            pool, now_us = self.pool(coupon.pool), self._clock.now_us()
            after = redeemed(coupon, pool, now_us, order_id, request_id)
            event = redeemed_event(after, pool, now_us, whose)
            told = (event,) if whose or coupon.person != ERASED else ()
            await self._keep((counted_redemption(pool, after),), [_coupon_write([after])], told)
            return after, False

    async def expire(self) -> bool:
        """Record the ends that have passed, some hundred at most; whether there were any."""
        now_us = self._clock.now_us()
        if not self._ends or self._ends[0][0] > now_us:
            return False
        async with self.changing:
            due: list[str] = []
            while self._ends and self._ends[0][0] <= now_us and len(due) < _MOST_EXPIRED:
                due.append(heapq.heappop(self._ends)[1])
            try:
                found = (await self.coupons(due)).values()
                ended = [replace(one, expired=True) for one in found if one and not one.redemptions and not one.expired]
                pools = dict(self._pools)
                for one in ended:
                    pools[one.pool] = replace(pools[one.pool], expired=pools[one.pool].expired + 1)
                told = [one for one in ended if one.person != ERASED]
                events = [expired_event(one, pools[one.pool], now_us) for one in told]
                if ended:
                    changed = tuple(pools[name] for name in sorted({one.pool for one in ended}))
                    await self._keep(changed, [_coupon_write(ended)], events)
            except BaseException:
                for code in due:  # nothing was kept: they are due again
                    heapq.heappush(self._ends, (now_us, code))
                raise
        return True

    async def without(self, is_theirs: Callable[[Identifier], bool]) -> list[TableWrite]:
        """What takes persons out of the coupons that were issued to them; to be committed under `changing`."""
        put: dict[bytes, bytes] = {}
        gone: list[bytes] = []
        async for code, stored in self._log.scan(self._partition, COUPONS):
            coupon = decode_coupon(stored) if stored != _FREE_CODE else None
            if coupon is not None and is_theirs(coupon.person):
                put[code] = encode_coupon(replace(coupon, person=ERASED))
                names = (coupon.pool, coupon.person.kind, coupon.person.value)
                gone += [_asked(*names, "for", coupon.occasion), _asked(*names, "count")]
        return [TableWrite(COUPONS, put), TableWrite(ASKED, {}, gone)] if put else []

    def kept(self, pools: Sequence[Pool]) -> None:
        """Pools were committed by someone who holds `changing`."""
        self._pools.update((pool.name, pool) for pool in pools)

    async def _next_code(self, pool: Pool) -> str:
        if not pool.pattern:
            [code] = await self._log.get(self._partition, FREE + pool.name, [_number(pool.issued)])
            if code is None:
                raise CdpError(Code.INTERNAL, "BAD_COUPON_RECORD", f"pool {pool.name!r} misses code {pool.issued}")
            return code.decode()
        for _ in range(_MOST_TRIES):
            made = made_code(pool.pattern, secrets.choice)
            if (await self._log.get(self._partition, COUPONS, [made.encode()])) == [None]:
                return made
        raise CdpError(Code.EXHAUSTED, "POOL_EMPTY", f"the pattern of pool {pool.name!r} has hardly any codes left")

    def _await_end(self, coupon: Coupon) -> None:
        if coupon.expires_at_us and not coupon.redemptions and not coupon.expired:
            heapq.heappush(self._ends, (coupon.expires_at_us, coupon.code))

    async def _keep(self, pools: Sequence[Pool], writes: Sequence[TableWrite], events: Sequence[Event]) -> None:
        """One commit; a caller who goes away meanwhile does not part memory from the log."""
        commit = Commit(None, None, entries_of(events), [*writes, *pool_writes(pools)], self._clock.now_us())
        await _to_the_end(self._committed(commit, pools))

    async def _committed(self, commit: Commit, pools: Sequence[Pool]) -> None:
        await self._log.commit(self._partition, self._fence, commit)
        self.kept(pools)


def counted_redemption(pool: Pool, coupon: Coupon) -> Pool:
    """The pool after a coupon was redeemed once more: its first use counts."""
    return replace(pool, redeemed=pool.redeemed + 1) if len(coupon.redemptions) == 1 else pool


def entries_of(events: Sequence[Event]) -> list[bytes]:
    """Events as one entry of ingest's log; none for none."""
    if not events:
        return []
    writer = BatchWriter()
    for event in events:
        writer.add(event)
    writer.count("", len(events))
    return [writer.payload()]


def pool_writes(pools: Sequence[Pool]) -> list[TableWrite]:
    """Pools as state."""
    return [TableWrite(POOLS, {pool.name.encode(): encode_pool(pool) for pool in pools})] if pools else []


def coupon_writes(coupons: Mapping[str, Coupon]) -> list[TableWrite]:
    """Coupons as state."""
    return [_coupon_write(list(coupons.values()))] if coupons else []


def _coupon_write(coupons: Sequence[Coupon]) -> TableWrite:
    return TableWrite(COUPONS, {one.code.encode(): encode_coupon(one) for one in coupons})


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _number(number: int) -> bytes:
    return number.to_bytes(8, "big")


def _asked(*parts: str) -> bytes:
    return sha256("\0".join(parts).encode()).digest()
