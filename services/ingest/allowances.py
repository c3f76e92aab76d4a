"""May this caller send so many items now? Its key's limits, then those of its workspace."""

from __future__ import annotations

from core.errors import CdpError, Code
from core.limits import RATE_LIMITED, Limits, Rate, Refused, over_quota
from services.ingest.registry import Registry
from services.ingest.usage import EVERYBODY, Usage
from services.runtime.caller import Caller
from services.runtime.telemetry import REFUSED_ITEMS

_MOST_RATES = 100_000


class Allowances:
    """The limits of every key and workspace, kept by this process. A rate is divided evenly by `processes`, the number
    of processes that play ingest; quotas are counted over all of them (see `services.ingest.usage`)."""

    def __init__(self, registry: Registry, processes: int) -> None:
        self._registry = registry
        self._processes = processes
        self._rates: dict[tuple[str, str], Rate] = {}

    async def admit(self, caller: Caller, usage: Usage, items: int) -> None:
        """Count `items` against what `caller` may send, all of them or none. Raises EXHAUSTED / RATE_LIMITED or
        QUOTA_SPENT with the time to wait; services of the platform are never refused."""
        if caller.internal:
            return
        workspace = caller.workspace.id
        key = self._registry.key(caller.key_id)
        limited = [
            (name, limits)
            for name, limits in (
                (caller.key_id, key.limits if key is not None else Limits()),
                (EVERYBODY, self._registry.workspace(workspace).limits),
            )
            if limits != Limits()
        ]
        if not limited:
            return
        for name, limits in limited:
            if limits.quotas:
                spent = await usage.spent(name)
                refused = over_quota(spent, items, limits, self._registry.now_us())
                if refused is not None:
                    raise _error(refused, workspace, items)
        self._take(workspace, limited, items)

    def _take(self, workspace: str, limited: list[tuple[str, Limits]], items: int) -> None:
        now_us = self._registry.now_us()
        taken: list[tuple[Rate, float]] = []
        for name, limits in limited:
            rate = self._rate(workspace, name)
            before = rate.mark()
            wait_us = rate.take(items, limits, self._processes, now_us)
            if wait_us:
                for other, mark in taken:
                    other.reset(mark)
                what = "this key" if name != EVERYBODY else "this workspace"
                description = f"{what} sends {limits.events_per_s} items a second at most; nothing was taken"
                raise _error(Refused(RATE_LIMITED, description, wait_us), workspace, items)
            taken.append((rate, before))

    def _rate(self, workspace: str, name: str) -> Rate:
        rate = self._rates.get((workspace, name))
        if rate is None:
            if len(self._rates) >= _MOST_RATES:
                self._rates.clear()  # everybody starts anew, which lets through a burst each
            rate = self._rates[workspace, name] = Rate()
        return rate


def _error(refused: Refused, workspace: str, items: int) -> CdpError:
    REFUSED_ITEMS.labels(workspace, refused.reason).inc(items)
    return CdpError(
        Code.EXHAUSTED, refused.reason, refused.description, retry_after_s=refused.retry_after_us / 1_000_000
    )
