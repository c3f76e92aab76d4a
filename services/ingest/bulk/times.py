"""Times and dates as files write them: ISO 8601 with a zone or without, Unix times, and formats of one's own."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from core.clock import SECOND_US
from core.events.checks import BAD_TIME, Bad, clean_instant, day_from_text, instant_from_text
from core.schema import Instant

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNIX = {"unix_s": SECOND_US, "unix_ms": 1_000, "unix_us": 1}
_DIRECTIVES = frozenset("YmdHMSfyBbpIjzaA%")
_LONGEST_NUMBER = 32
_LONGEST_FORMAT = 64


def is_time_format(text: str) -> bool:
    """Whether it is empty, one of the Unix formats, or a pattern of strptime's with a year and a day."""
    if not text or text in _UNIX:
        return True
    if len(text) > _LONGEST_FORMAT or not text.isprintable():
        return False
    found, at = set(), 0
    while (at := text.find("%", at)) >= 0:
        directive = text[at + 1 : at + 2]
        if directive not in _DIRECTIVES or not directive:
            return False
        found.add(directive)
        at += 2
    return bool(found & {"Y", "y"}) and bool({"m", "d"} <= found or {"b", "d"} <= found or {"B", "d"} <= found
                                             or "j" in found)  # fmt: skip


def instant_of(value: object, time_format: str, zone: ZoneInfo) -> Instant | Bad:
    """A time as an instant. One without a zone is local in `zone`: the earlier instant where it came twice, refused
    where it never came. A date alone is its first instant."""
    if isinstance(value, datetime):
        return _utc(value) if value.tzinfo is not None else local_instant(value, zone)
    if isinstance(value, date):
        return local_instant(datetime(value.year, value.month, value.day), zone)
    if time_format in _UNIX:
        return _unix(value, _UNIX[time_format])
    if not isinstance(value, str):
        return Bad(BAD_TIME, "is no time like 2026-11-22T10:15:00Z; of a number say unix_s, unix_ms or unix_us")
    text = value.strip()
    if time_format:
        try:
            parsed = datetime.strptime(text, time_format)
        except ValueError:
            return Bad(BAD_TIME, f"is no time of the format {time_format}")
        return _utc(parsed) if parsed.tzinfo is not None else local_instant(parsed, zone)
    with_zone = instant_from_text(text)
    if isinstance(with_zone, Instant):
        return with_zone
    if len(text) < 10 or text[4] != "-" or text[7] != "-":
        return with_zone
    try:
        return local_instant(datetime.fromisoformat(text), zone)
    except ValueError:
        return with_zone


def day_of(value: object, time_format: str, zone: ZoneInfo) -> date | Bad:
    """A date; of a time the day that is written in it."""
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    if time_format in _UNIX:
        found = _unix(value, _UNIX[time_format])
        return found if isinstance(found, Bad) else (_EPOCH + timedelta(microseconds=found.us)).astimezone(zone).date()
    if not isinstance(value, str):
        return Bad(BAD_TIME, "is no date like 1990-01-31")
    if time_format:
        try:
            return datetime.strptime(value.strip(), time_format).date()
        except ValueError:
            return Bad(BAD_TIME, f"is no date of the format {time_format}")
    text = value.strip()
    found_day = day_from_text(text)
    return day_from_text(text[:10]) if isinstance(found_day, Bad) and text[10:11] in ("T", " ") else found_day


def local_instant(local: datetime, zone: ZoneInfo) -> Instant | Bad:
    """The instant of a wall time; see `instant_of`."""
    try:
        at = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
        back = at.astimezone(zone).replace(tzinfo=None, fold=0)
    except (OverflowError, ValueError):
        return Bad(BAD_TIME, "lies outside of the years 1 to 9999")
    if back != local.replace(tzinfo=None, fold=0):
        return Bad(BAD_TIME, f"never was in {zone.key}: the clocks went forward over it")
    return clean_instant((at - _EPOCH) // _MICROSECOND)


def _utc(at: datetime) -> Instant | Bad:
    try:
        return clean_instant((at - _EPOCH) // _MICROSECOND)
    except OverflowError:
        return Bad(BAD_TIME, "lies outside of the years 1 to 9999")


def _unix(value: object, unit_us: int) -> Instant | Bad:
    bad = Bad(BAD_TIME, "is no Unix time")
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return bad
    text = str(value).strip()
    if len(text) > _LONGEST_NUMBER or not text.isascii() or "_" in text:
        return bad
    try:
        return clean_instant(int(Decimal(text) * unit_us))
    except (InvalidOperation, ValueError, OverflowError):
        return bad
