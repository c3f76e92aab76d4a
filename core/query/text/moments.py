"""Dates and instants as text: ISO 8601, exact to the microsecond, years 1 to 9999."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from core.clock import MAX_INSTANT_US, MIN_INSTANT_US
from core.schema import Instant

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def parse_date(text: str) -> date:
    """`2026-01-31` as a date. Raises ValueError for another form and for a day that does not exist."""
    if not _DATE.fullmatch(text):
        raise ValueError("a date is written 2026-01-31")
    return date.fromisoformat(text)


def parse_instant(text: str) -> Instant:
    """`2026-01-31T10:00:00Z`, or with a UTC offset and up to six digits of a second. Raises ValueError."""
    if not _INSTANT.fullmatch(text):
        raise ValueError("an instant is written 2026-01-31T10:00:00Z")
    us = (datetime.fromisoformat(text.upper()) - _EPOCH) // _MICROSECOND
    if not MIN_INSTANT_US <= us < MAX_INSTANT_US:
        raise ValueError("an instant lies in the years 1 to 9999")
    return Instant(us)


def format_instant(instant: Instant) -> str:
    """The one text of `instant`: UTC, seconds, a fraction only where there is one. Needs an instant of the
    years 1 to 9999."""
    moment = _EPOCH + timedelta(microseconds=instant.us)
    text = moment.replace(tzinfo=None).isoformat(timespec="microseconds" if moment.microsecond else "seconds")
    return f"{text.rstrip('0') if moment.microsecond else text}Z"
