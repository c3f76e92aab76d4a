"""Circles on the earth: `within 5 km of (50.45, 30.52)`, exact to the millimetre and to 1e-7 degrees."""

from __future__ import annotations

from core.query.ast import Circle
from core.query.problems import VALUE
from core.query.text.lexer import TokenKind
from core.query.text.parse_cursor import Cursor
from core.schema import DECIMAL_SCALE, DecimalUnits

_UNITS_MM = {
    **dict.fromkeys(("km", "kilometre", "kilometres", "kilometer", "kilometers"), 1_000_000),
    **dict.fromkeys(("m", "metre", "metres", "meter", "meters"), 1_000),
}
_E7 = 10_000_000
_DECIMALS = 7


def take_circle(cursor: Cursor) -> Circle | None:
    """`within 5 km of (latitude, longitude)`, if it follows."""
    if not cursor.skip("within"):
        return None
    radius_mm = _radius_mm(cursor)
    cursor.expect("of", 'Write "within 5 km of (50.45, 30.52)".')
    cursor.expect("(", "A place is (latitude, longitude) in degrees.")
    latitude_e7 = _degrees_e7(cursor, "latitude", 90)
    cursor.expect(",", "A place is (latitude, longitude) in degrees.")
    longitude_e7 = _degrees_e7(cursor, "longitude", 180)
    cursor.expect(")", "A place is (latitude, longitude) in degrees.")
    return Circle(latitude_e7, longitude_e7, radius_mm)


def _radius_mm(cursor: Cursor) -> int:
    span = cursor.span
    number = cursor.decimal("a distance")
    unit_mm = _UNITS_MM.get(cursor.peek().word)
    if unit_mm is None:
        raise cursor.expected('"km" or "m"', 'Write "within 5 km of (50.45, 30.52)".')
    cursor.take()
    radius_mm, rest = divmod(number.units * unit_mm, DECIMAL_SCALE)
    if rest:
        raise cursor.fail("a distance is a whole number of millimetres.", reason=VALUE, span=span)
    return radius_mm


def _degrees_e7(cursor: Cursor, what: str, most: int) -> int:
    token = cursor.peek()
    value = token.value
    if token.kind is TokenKind.FINE:
        whole, _, fraction = token.text.partition(".")
        if len(fraction) > _DECIMALS:
            raise cursor.fail(f"{token.text} has more than seven decimals.", reason=VALUE)
        degrees_e7 = int(whole + fraction.ljust(_DECIMALS, "0"))
    elif token.kind is TokenKind.VALUE and isinstance(value, DecimalUnits):
        degrees_e7 = value.units * (_E7 // DECIMAL_SCALE)
    elif token.kind is TokenKind.VALUE and type(value) is int:
        degrees_e7 = value * _E7
    else:
        raise cursor.expected(f"a {what} in degrees", "A place is (latitude, longitude), as (50.45, 30.52).")
    if abs(degrees_e7) > most * _E7:
        raise cursor.fail(f"a {what} lies from -{most} to {most} degrees.", reason=VALUE)
    cursor.take()
    return degrees_e7
