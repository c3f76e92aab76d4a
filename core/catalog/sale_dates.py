"""From when until when a sale price counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo

from core.clock import MAX_INSTANT_US, MIN_INSTANT_US
from core.events.checks import Bad, day_from_text, instant_from_text
from core.schema import Instant

BAD_SALE_DATES = "BAD_SALE_DATES"

_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_DAY_CHARACTERS = 10


@dataclass(frozen=True, slots=True)
class SaleDates:
    """The sale price counts in [from_us, until_us)."""

    from_us: int = MIN_INSTANT_US
    until_us: int = MAX_INSTANT_US

    def hold(self, now_us: int) -> bool:
        """Whether the sale price counts at `now_us`."""
        return self.from_us <= now_us < self.until_us

    def next_edge_us(self, now_us: int) -> int | None:
        """When the answer of `hold` changes next after `now_us`; None: never again."""
        return next(
            (edge for edge in (self.from_us, self.until_us) if now_us < edge < MAX_INSTANT_US),
            None,
        )


ALWAYS = SaleDates()


def sale_dates_from_text(text: str, zone: tzinfo) -> SaleDates | Bad:
    """An interval of ISO 8601, such as "2026-11-22T10:00+02:00/2026-11-30T23:59+02:00". Times without an offset, and
    days, are of `zone`; the day at the end is included."""
    parts = text.strip().split("/")
    if len(parts) != 2:
        return Bad(BAD_SALE_DATES, "needs a beginning and an end, parted by a slash")
    begin, end = _instant(parts[0].strip(), zone, 0), _instant(parts[1].strip(), zone, 1)
    if isinstance(begin, Bad):
        return begin
    if isinstance(end, Bad):
        return end
    if end <= begin:
        return Bad(BAD_SALE_DATES, "ends before it begins")
    return SaleDates(begin, end)


def _instant(text: str, zone: tzinfo, days_later: int) -> int | Bad:
    if len(text) == _DAY_CHARACTERS:
        day = day_from_text(text)
        if isinstance(day, Bad):
            return Bad(BAD_SALE_DATES, day.description)
        return _of_zone(datetime(day.year, day.month, day.day), zone, days_later)
    found = instant_from_text(text)
    if isinstance(found, Instant):
        return found.us
    local = instant_from_text(f"{text}Z")
    if isinstance(local, Bad):
        return Bad(BAD_SALE_DATES, found.description)
    return _of_zone(_EPOCH + timedelta(microseconds=local.us), zone, 0)


def _of_zone(local: datetime, zone: tzinfo, days_later: int) -> int | Bad:
    if not date.min.year < local.year < date.max.year:
        return Bad(BAD_SALE_DATES, "lies outside of the years 2 to 9998")
    aware = (local + timedelta(days=days_later)).replace(tzinfo=zone)
    offset = aware.utcoffset() or timedelta()
    return (aware.replace(tzinfo=None) - offset - _EPOCH) // _MICROSECOND
