"""Frequency caps: at most so many messages per person and period. Transactional messages neither ask nor count."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from zoneinfo import ZoneInfo

from core.delivery.ledger import Counted
from core.query.ast import Period
from core.query.local_time import current_day, period_start, start_of


class CapPeriod(IntEnum):
    """Over which time a cap counts; the numbers are those of cdp.channel.v1.CapPeriod."""

    DAY = 1
    WEEK = 2
    ROLLING = 3


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `limit` messages by `channels` together (none: all there are) and of `category` (empty: any) in a
    calendar day, a week from Monday, or the last `rolling_us`."""

    name: str
    limit: int
    period: CapPeriod
    channels: frozenset[str] = frozenset()
    category: str = ""
    rolling_us: int = 0

    def covers(self, channel: str, category: str) -> bool:
        """Whether the cap asks about, and counts, such a message."""
        return (not self.channels or channel in self.channels) and self.category in ("", category)


def cap_reached(
    caps: Iterable[Cap], channel: str, category: str, sent: Sequence[Counted], own: int, zone: ZoneInfo, now_us: int
) -> str:
    """The name of the first cap that one message more by `channel` would pass; empty: it may go.

    `sent` is what the person was sent under all the keys they had, in any order. The message itself (its number is
    `own`) does not stand in its own way, and one that went on from channel to channel counts once.
    """
    for cap in caps:
        if cap.covers(channel, category):
            since_us = _since_us(cap, zone, now_us)
            counted = {
                one.sequence
                for one in sent
                if one.at_us >= since_us and one.sequence != own and cap.covers(one.channel, one.category)
            }
            if len(counted) >= cap.limit:
                return cap.name
    return ""


def is_another_day(at_us: int, now_us: int, zone: ZoneInfo) -> bool:
    """Whether what was counted at `at_us` would count for another day, or week, if it went now."""
    return current_day(at_us, zone) != current_day(now_us, zone)


def _since_us(cap: Cap, zone: ZoneInfo, now_us: int) -> int:
    """The first instant that still counts."""
    match cap.period:
        case CapPeriod.DAY:
            return start_of(current_day(now_us, zone), zone)
        case CapPeriod.WEEK:
            return start_of(period_start(current_day(now_us, zone), Period.WEEK), zone)
        case CapPeriod.ROLLING:
            return now_us - cap.rolling_us + 1
