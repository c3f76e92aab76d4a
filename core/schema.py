"""Types of values: what an attribute or an event parameter may hold, and how it is kept as integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Context, Decimal
from enum import IntEnum

#: One decimal unit is 1e-4; a decimal v is kept as the integer v * DECIMAL_SCALE.
DECIMAL_SCALE = 10_000
#: The largest magnitude of a decimal, in units: 9e14 whole ones.
MAX_DECIMAL_UNITS = 900_000_000_000_000 * DECIMAL_SCALE
_MAX_DECIMAL_CHARACTERS = 64
#: Wide enough that no text within the limit is rounded before it is checked.
_EXACT = Context(prec=100)
MIN_INTEGER = -(2**63)
MAX_INTEGER = 2**63 - 1


class Kind(IntEnum):
    """The type of a value; the numbers are part of stored formats and never change."""

    TEXT = 1
    INTEGER = 2
    DECIMAL = 3
    BOOLEAN = 4
    INSTANT = 5  # UTC microseconds
    DATE = 6  # days since 1970-01-01, no time of day
    TEXT_LIST = 7  # an ordered list of texts
    OBJECT_LIST = 8  # a list of objects with scalar fields: children, order lines
    LOCATION = 9  # latitude, longitude in degrees


@dataclass(frozen=True, slots=True)
class DecimalUnits:
    """A fixed point number of `units` * 1e-4."""

    units: int

    def __str__(self) -> str:
        return format_units(self.units)


@dataclass(frozen=True, slots=True)
class Instant:
    """A point of time, UTC microseconds since 1970."""

    us: int


@dataclass(frozen=True, slots=True)
class Location:
    """Degrees, WGS 84, kept in integer 1e-7 degrees so that equal inputs stay equal."""

    latitude_e7: int
    longitude_e7: int


#: A scalar as Python holds it. `bool` is BOOLEAN, `int` INTEGER, `str` TEXT, `date` DATE.
Scalar = str | bool | int | DecimalUnits | Instant | date
#: Any value. A missing value is absence (or None where a write erases), never a Value.
Value = Scalar | Location | tuple[str, ...] | tuple[Mapping[str, Scalar], ...]


def kind_of(value: Value) -> Kind:
    """The kind of `value`; the empty tuple is a TEXT_LIST. Raises TypeError for anything that is no Value."""
    if isinstance(value, str):
        return Kind.TEXT
    if isinstance(value, bool):
        return Kind.BOOLEAN
    if isinstance(value, int):
        return Kind.INTEGER
    if isinstance(value, DecimalUnits):
        return Kind.DECIMAL
    if isinstance(value, Instant):
        return Kind.INSTANT
    if isinstance(value, date):
        return Kind.DATE
    if isinstance(value, Location):
        return Kind.LOCATION
    if isinstance(value, tuple):
        return Kind.OBJECT_LIST if value and not isinstance(value[0], str) else Kind.TEXT_LIST
    raise TypeError(f"no value of the platform: {type(value).__name__}")


def parse_decimal(text: str) -> DecimalUnits:
    """`text` as fixed point. Raises ValueError for more than four decimals, for overflow and for no number."""
    if len(text) > _MAX_DECIMAL_CHARACTERS:
        raise ValueError(f"a number has at most {_MAX_DECIMAL_CHARACTERS} characters, not {len(text)}")
    try:
        scaled = _EXACT.multiply(Decimal(text), DECIMAL_SCALE)
    except ArithmeticError as error:
        raise ValueError(f"{text!r} is not a number") from error
    if not scaled.is_finite():
        raise ValueError(f"{text!r} is not a finite number")
    if abs(scaled) > MAX_DECIMAL_UNITS:
        raise ValueError(f"{text!r} is larger than 9e14")
    units = int(scaled)
    if units != scaled:
        raise ValueError(f"{text!r} has more than four decimals")
    return DecimalUnits(units)


def format_units(units: int) -> str:
    """The shortest decimal text of `units`: 125000 -> "12.5", 10000 -> "1"."""
    sign = "-" if units < 0 else ""
    whole, fraction = divmod(abs(units), DECIMAL_SCALE)
    if fraction == 0:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{fraction:04d}".rstrip("0")
