"""A value of any Python type into the kind that the vocabulary wants, or a `Bad` that says why not.

What is accepted: `str`, `bool`, `int`, `Decimal` (JSON), `DecimalUnits`, `Instant`, `date`, `Location` (protobuf),
mappings and lists of these, None (missing) and `Bad` (unreadable). Binary floats are no input.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal

from core.events.checks import (
    BAD_NUMBER,
    WRONG_TYPE,
    Bad,
    clean_decimal,
    clean_instant,
    clean_integer,
    clean_text,
    clean_units,
    day_from_text,
    decimal_from_text,
    instant_from_text,
    shown,
)
from core.schema import DECIMAL_SCALE, DecimalUnits, Instant, Kind, Location, Scalar

TOO_DEEP = "TOO_DEEP"
#: Levels of objects within objects.
MAX_DEPTH = 16

_WORDS: Mapping[Kind, str] = {
    Kind.TEXT: "a text",
    Kind.INTEGER: "a whole number",
    Kind.DECIMAL: "a number",
    Kind.BOOLEAN: "true or false",
    Kind.INSTANT: "a time",
    Kind.DATE: "a date",
    Kind.TEXT_LIST: "a list of texts",
    Kind.OBJECT_LIST: "a list of objects",
    Kind.LOCATION: "a location",
}
_TRUTH = {"true": True, "false": False}


def wrong(wanted: Kind | None) -> Bad:
    """The refusal of a value of another type."""
    return Bad(WRONG_TYPE, f"must be {_WORDS[wanted] if wanted is not None else 'a single value'}")


def scalar(value: object, wanted: Kind | None) -> Scalar | Bad | None:
    """`value` as a scalar of `wanted`, or of its own kind when nothing is wanted. Only exact conversions are made:
    12 and "12.50" are decimals, 7 and 7.0 whole numbers, 123 a text where a text is wanted."""
    if value is None or isinstance(value, Bad):
        return value
    if isinstance(value, str):
        return _from_text(value, wanted)
    if isinstance(value, bool):
        return value if wanted in (None, Kind.BOOLEAN) else wrong(wanted)
    if isinstance(value, int):
        return _from_integer(value, wanted)
    if isinstance(value, Decimal):
        return _from_units(clean_decimal(value), wanted)
    if isinstance(value, DecimalUnits):
        return _from_units(clean_units(value.units), wanted)
    if isinstance(value, Instant):
        instant = clean_instant(value.us)
        return instant if isinstance(instant, Bad) or wanted in (None, Kind.INSTANT) else wrong(wanted)
    if isinstance(value, date):
        return value if wanted in (None, Kind.DATE) else wrong(wanted)
    return wrong(wanted)


def texts(values: list[object] | tuple[object, ...]) -> tuple[str, ...] | Bad:
    """A list of scalars as texts; nulls are left out."""
    found: list[str] = []
    for value in values:
        text = scalar(value, Kind.TEXT)
        if isinstance(text, Bad):
            return text
        if text is not None:
            found.append(str(text))
    return tuple(found)


def location(value: Mapping[str, object]) -> Location | Bad:
    """`{"latitude": 50.45, "longitude": 30.52}` in degrees, or lat / lon / lng."""
    degrees = []
    for names, limit in ((("latitude", "lat"), 90), (("longitude", "lon", "lng"), 180)):
        given = next((value[name] for name in names if name in value), None)
        number = Decimal(given) if isinstance(given, int) and not isinstance(given, bool) else given
        if not isinstance(number, Decimal) or not number.is_finite() or abs(number) > limit:
            return Bad(BAD_NUMBER, f"needs {names[0]}, a number of degrees from -{limit} to {limit}")
        degrees.append(round(number * 10_000_000))
    return Location(*degrees)


def flatten(
    fields: Mapping[str, object], path: str, name: str = "", depth: int = 1
) -> Iterator[tuple[str, str, object]]:
    """Leaves of nested objects as (path, dotted name, value); an object beyond MAX_DEPTH is one `Bad` leaf."""
    for key, value in fields.items():
        here = f"{path}.{shown(key)}" if path else shown(key)
        dotted = f"{name}.{key}" if name else key
        if not isinstance(value, Mapping):
            yield here, dotted, value
        elif depth >= MAX_DEPTH:
            yield here, dotted, Bad(TOO_DEEP, f"objects are nested deeper than {MAX_DEPTH} levels")
        else:
            yield from flatten(value, here, dotted, depth + 1)


def _from_text(value: str, wanted: Kind | None) -> Scalar | Bad:
    text = clean_text(value)
    if isinstance(text, Bad) or wanted is None or wanted is Kind.TEXT:
        return text
    match wanted:
        case Kind.DECIMAL | Kind.INTEGER:
            return _from_units(decimal_from_text(text.strip()), wanted)
        case Kind.BOOLEAN:
            return _TRUTH.get(text.lower(), wrong(wanted))
        case Kind.INSTANT:
            return instant_from_text(text)
        case Kind.DATE:
            return day_from_text(text)
        case _:
            return wrong(wanted)


def _from_integer(value: int, wanted: Kind | None) -> Scalar | Bad:
    number = clean_integer(value)
    if isinstance(number, Bad) or wanted is None or wanted is Kind.INTEGER:
        return number
    match wanted:
        case Kind.DECIMAL:
            return clean_units(number * DECIMAL_SCALE)
        case Kind.TEXT:
            return str(number)
        case Kind.BOOLEAN:
            return bool(number) if number in (0, 1) else wrong(wanted)
        case _:
            return wrong(wanted)


def _from_units(units: DecimalUnits | Bad, wanted: Kind | None) -> Scalar | Bad:
    if isinstance(units, Bad) or wanted is None or wanted is Kind.DECIMAL:
        return units
    match wanted:
        case Kind.INTEGER:
            whole, rest = divmod(units.units, DECIMAL_SCALE)
            return wrong(wanted) if rest else whole
        case Kind.TEXT:
            return str(units)
        case _:
            return wrong(wanted)
