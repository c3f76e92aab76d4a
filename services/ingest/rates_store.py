"""The rates of one workspace as this process knows them, and the way to change them for all processes.

They are a log of their own beside the workspace's, whose entries are the changes; whoever comes later wins, so a change
needs no lease. A process that has not looked for a second looks before it converts.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

from core.clock import Clock
from core.errors import CdpError, Code, invalid
from core.eventlog.protocol import EventLog, Partition
from core.money.rates import BAD_RATE, MOST_CURRENCIES, MOST_RATES, Rate, Rates

SERVICE = "ingest_rates"
FRESH_S = 1.0

_FORMAT = 1
_READ_ENTRIES = 1_000
_READ_BYTES = 4 << 20


class RatesStore:
    """`current` is what was read last; None before the first `read`. `home` is the workspace's currency, which whoever
    has the workspace at hand keeps up to date."""

    def __init__(self, log: EventLog, clock: Clock, workspace: str, bucket: int) -> None:
        self._log = log
        self._clock = clock
        self._partition = Partition(SERVICE, workspace, bucket)
        self._seconds = asyncio.get_running_loop().time
        self._looked_s = -FRESH_S
        self._reading = asyncio.Lock()
        self._rates = Rates("")
        self._read_once = False

    @property
    def current(self) -> Rates | None:
        """The rates, as they were read last."""
        return self._rates if self._read_once else None

    def in_currency(self, home: str) -> None:
        """The workspace counts in `home`."""
        if home != self._rates.home:
            self._rates = Rates(home, self._rates.version, self._rates._by_currency)

    def fresh(self) -> Rates | None:
        """The rates, if they were looked at within FRESH_S; else None, and `read` is what helps."""
        return self.current if self._seconds() - self._looked_s < FRESH_S else None

    async def read(self) -> Rates:
        """The rates, not older than FRESH_S. UNAVAILABLE while the log is away."""
        async with self._reading:
            if self.fresh() is None:
                await self._look()
        return self._rates

    async def set(self, rates: Sequence[Rate], actor: str) -> Rates:
        """Make rates durable; the table after it. Of one currency and instant the later in the log counts. Raises
        INVALID / BAD_RATE where there is no more place."""
        await self._look()
        if not self._rates.room(rates):
            raise invalid(BAD_RATE, f"a workspace has at most {MOST_CURRENCIES} currencies of {MOST_RATES} rates each")
        now_us = self._clock.now_us()
        await self._log.append(self._partition, [encode_rates(rates, actor, now_us)], now_us)
        await self._look()
        return self._rates

    async def _look(self) -> None:
        began_s = self._seconds()
        while entries := await self._log.read(self._partition, self._rates.version, _READ_ENTRIES, _READ_BYTES):
            for entry in entries:
                if entry.position > self._rates.version:
                    self._rates = self._rates.with_rates(decode_rates(entry.payload), entry.position)
        self._read_once = True
        self._looked_s = max(self._looked_s, began_s)


def encode_rates(rates: Sequence[Rate], actor: str, now_us: int) -> bytes:
    """One change, as it is stored."""
    rows = [[one.currency, one.from_us, one.scaled] for one in rates]
    change = {"format": _FORMAT, "actor": actor, "at_us": now_us, "rates": rows}
    return json.dumps(change, separators=(",", ":")).encode()


def decode_rates(payload: bytes) -> list[Rate]:
    """The rates of a stored change. Raises INTERNAL / BAD_RATES_RECORD for a format of a later release."""
    change = json.loads(payload)
    if change["format"] != _FORMAT:
        raise CdpError(Code.INTERNAL, "BAD_RATES_RECORD", f"rates of format {change['format']} cannot be read")
    return [Rate(currency, from_us, scaled) for currency, from_us, scaled in change["rates"]]
