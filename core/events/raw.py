"""Scalars as the integers that columns and stored forms hold."""

from __future__ import annotations

from datetime import date, timedelta

from core.schema import DecimalUnits, Instant, Kind, Scalar

_EPOCH = date(1970, 1, 1)
_EPOCH_ORDINAL = _EPOCH.toordinal()


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


def scalar_of(kind: Kind, raw: int) -> Scalar:
    """What `raw_scalar` made `raw` of. Raises ValueError for a text and for kinds that are no scalar, OverflowError
    for a day outside the years 1 to 9999."""
    match kind:
        case Kind.INTEGER:
            return int(raw)
        case Kind.DECIMAL:
            return DecimalUnits(raw)
        case Kind.BOOLEAN:
            return bool(raw)
        case Kind.INSTANT:
            return Instant(raw)
        case Kind.DATE:
            return _EPOCH + timedelta(days=raw)
        case _:
            raise ValueError(f"no integer is a {kind.name}")


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return day.toordinal() - _EPOCH_ORDINAL
