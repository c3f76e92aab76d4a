"""Scalars as the integers that columns hold."""

from __future__ import annotations

from datetime import date

from core.schema import DecimalUnits, Instant, Scalar

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


def raw_scalar(value: Scalar) -> int:
    """The int64 of a scalar that is no text: units, 0 or 1, microseconds, days since 1970-01-01.

    Raises TypeError for a text, whose number is its dictionary code.
    """
    if isinstance(value, DecimalUnits):
        return value.units
    if isinstance(value, Instant):
        return value.us
    if isinstance(value, date):
        return day_number(value)
    if isinstance(value, int):
        return int(value)
    raise TypeError("a text is kept as its dictionary code")


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return day.toordinal() - _EPOCH_ORDINAL


def day_of(number: int) -> date:
    """The date of a day number. Raises ValueError outside the years 1 to 9999."""
    return date.fromordinal(number + _EPOCH_ORDINAL)
