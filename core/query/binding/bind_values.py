"""Literals turned into the kind of what they are compared with."""

from __future__ import annotations

import unicodedata
from datetime import date

from core.errors import CdpError
from core.query.problems import TYPE, VALUE, problem
from core.query.text.format_values import scalar_text
from core.query.text.moments import parse_date, parse_instant
from core.schema import DECIMAL_SCALE, MAX_DECIMAL_UNITS, DecimalUnits, Instant, Kind, Scalar

NUMERIC = frozenset((Kind.INTEGER, Kind.DECIMAL))
_WORDS = {
    Kind.TEXT: "a text",
    Kind.INTEGER: "a number",
    Kind.DECIMAL: "a number",
    Kind.BOOLEAN: "true or false",
    Kind.INSTANT: "an instant",
    Kind.DATE: "a date",
    Kind.TEXT_LIST: "a list of texts",
    Kind.OBJECT_LIST: "a list of objects",
    Kind.LOCATION: "a place",
}


def kind_words(kind: Kind) -> str:
    """A kind in words: "a number"."""
    return _WORDS[kind]


def coerce(value: Scalar, kind: Kind, name: str, where: str) -> Scalar:
    """`value` as `kind`: what the field `name` of that kind is compared with.

    TEXT is brought to NFC; whole numbers become DecimalUnits for a DECIMAL and whole decimals int for an INTEGER,
    where a fraction stays DecimalUnits (such a comparison is exact and may hold); texts of a date or an instant
    become one. Raises RULE_TYPE for anything else, RULE_VALUE for a number past the range of its kind.
    """
    if kind is Kind.TEXT and isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if kind is Kind.BOOLEAN and isinstance(value, bool):
        return value
    if kind in NUMERIC and isinstance(value, int | DecimalUnits) and not isinstance(value, bool):
        return _number(value, kind, where)
    if kind is Kind.DATE:
        return _date(value, name, where)
    if kind is Kind.INSTANT:
        return _instant(value, name, where)
    raise _mismatch(value, kind, name, where)


def _number(value: int | DecimalUnits, kind: Kind, where: str) -> Scalar:
    if isinstance(value, DecimalUnits):
        whole, fraction = divmod(value.units, DECIMAL_SCALE)
        return whole if kind is Kind.INTEGER and fraction == 0 else value
    if kind is Kind.INTEGER:
        return value
    units = value * DECIMAL_SCALE
    if abs(units) > MAX_DECIMAL_UNITS:
        raise problem(VALUE, where, f"{value} is too large: a number with decimals reaches 9e14.")
    return DecimalUnits(units)


def _date(value: Scalar, name: str, where: str) -> date:
    if isinstance(value, date):
        return value
    if isinstance(value, str):
        try:
            return parse_date(value)
        except ValueError as error:
            raise _mismatch(value, Kind.DATE, name, where, "Write 2026-01-31.") from error
    hint = "A date has no hours." if isinstance(value, Instant) else "Write 2026-01-31."
    raise _mismatch(value, Kind.DATE, name, where, hint)


def _instant(value: Scalar, name: str, where: str) -> Instant:
    if isinstance(value, Instant):
        return value
    hint = "Write 2026-01-31T10:00:00Z."
    if isinstance(value, str):
        try:
            return parse_instant(value)
        except ValueError as error:
            raise _mismatch(value, Kind.INSTANT, name, where, hint) from error
    if isinstance(value, date):
        hint = f'For local days write "{name} from {value}", "{name} until {value}" or "{name} through {value}".'
    raise _mismatch(value, Kind.INSTANT, name, where, hint)


def _mismatch(value: Scalar, kind: Kind, name: str, where: str, hint: str = "") -> CdpError:
    return problem(TYPE, where, f'"{name}" is {kind_words(kind)}; cannot compare it with {value_words(value)}.', hint)


def value_words(value: Scalar) -> str:
    """A literal in words: `the text "thirty"`."""
    text = scalar_text(value)
    if isinstance(value, str):
        return f"the text {text if len(text) <= 60 else f'{text[:60]}...'}"
    if isinstance(value, bool):
        return text
    if isinstance(value, Instant):
        return f"the instant {text}"
    return f"the date {text}" if isinstance(value, date) else f"the number {text}"
