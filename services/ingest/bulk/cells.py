"""A cell as the wire has it: a text of a file, or a value of JSON or Parquet, under the kind that its column has.

Numbers never pass through binary floats: a text with a decimal comma is rewritten, and the door reads the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from cdp.facts.v1 import facts_pb2
from core.events.checks import BAD_NUMBER, WRONG_TYPE, Bad, decimal_from_text, is_plain_text
from core.events.coerce import location
from core.schema import MAX_INTEGER, MIN_INTEGER, Kind
from services.ingest.bulk.times import day_of, instant_of

_WHOLE = re.compile(r"[+-]?\d{1,19}", re.ASCII)
#: What parts thousands: spaces, also those that do not break, and apostrophes.
_GROUPS = re.compile("(?<=\\d)[ \u00a0\u202f'](?=\\d{3}(?:\\D|$))")
_TRUE = frozenset({"true", "1", "yes", "y", "t"})
_FALSE = frozenset({"false", "0", "no", "n", "f"})
_EPOCH = date(1970, 1, 1)
_MOST_E7 = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Reading:
    """How the texts of a column are read."""

    time_format: str
    zone: ZoneInfo
    decimal_comma: bool
    list_separator: str


def value_of(cell: object, kind: Kind | None, reading: Reading) -> facts_pb2.Value | Bad:
    """A cell that is not missing, as a value of `kind` (None: of its own). What is not of the kind goes to the door as
    it is, which refuses it in its own words."""
    if isinstance(cell, Bad):
        return cell
    match kind:
        case Kind.INSTANT:
            at = instant_of(cell, reading.time_format, reading.zone)
            return at if isinstance(at, Bad) else facts_pb2.Value(instant_us=at.us)
        case Kind.DATE:
            day = day_of(cell, reading.time_format, reading.zone)
            return day if isinstance(day, Bad) else facts_pb2.Value(date_days=(day - _EPOCH).days)
        case _:
            return _of_text(cell, kind, reading) if isinstance(cell, str) else _of_object(cell, reading)


def texts_of(cell: object, separator: str) -> list[str] | Bad:
    """A list of texts: of a text its parts, outer spaces left out."""
    if isinstance(cell, str):
        return [part.strip() for part in cell.split(separator) if part.strip()] if separator else [cell]
    if isinstance(cell, list) and all(isinstance(one, str) for one in cell):
        return list(cell)
    return Bad(WRONG_TYPE, "must be a list of texts")


def _of_text(text: str, kind: Kind | None, reading: Reading) -> facts_pb2.Value | Bad:
    match kind:
        case Kind.INTEGER | Kind.DECIMAL:
            return _number(text, kind, reading)
        case Kind.BOOLEAN:
            word = text.strip().lower()
            if word in _TRUE or word in _FALSE:
                return facts_pb2.Value(boolean=word in _TRUE)
        case Kind.TEXT_LIST:
            parts = texts_of(text, reading.list_separator)
            return parts if isinstance(parts, Bad) else facts_pb2.Value(texts=facts_pb2.TextList(values=parts))
        case Kind.LOCATION:
            return _location(text)
    return _text(text)


def _text(text: str) -> facts_pb2.Value | Bad:
    if is_plain_text(text):
        return facts_pb2.Value(text=text)
    try:
        return facts_pb2.Value(text=text)
    except UnicodeEncodeError:
        return Bad("BAD_TEXT", "holds bytes that are not of the file's encoding")


def _number(text: str, kind: Kind, reading: Reading) -> facts_pb2.Value | Bad:
    plain = text.strip()
    if reading.decimal_comma:
        if "." in plain and "," in plain:
            return Bad(BAD_NUMBER, "has a point and a comma: which of them parts the decimals?")
        plain = _GROUPS.sub("", plain).replace(",", ".")
    if kind is Kind.INTEGER and _WHOLE.fullmatch(plain):
        number = int(plain)
        if MIN_INTEGER <= number <= MAX_INTEGER:
            return facts_pb2.Value(integer=number)
    units = decimal_from_text(plain)
    return units if isinstance(units, Bad) else facts_pb2.Value(decimal_units=units.units)


def _location(text: str) -> facts_pb2.Value | Bad:
    parts = text.replace(";", ",").split(",")
    degrees = [_e7(part) for part in parts]
    if len(degrees) != 2 or degrees[0] is None or degrees[1] is None:
        return Bad(BAD_NUMBER, 'is no place like "50.45, 30.52"')
    return facts_pb2.Value(location=facts_pb2.Location(latitude_e7=degrees[0], longitude_e7=degrees[1]))


def _e7(text: str) -> int | None:
    try:
        found = round(Decimal(text.strip()) * 10_000_000)
    except (ArithmeticError, ValueError):
        return None
    return found if abs(found) <= _MOST_E7 else None


def _of_object(cell: object, reading: Reading) -> facts_pb2.Value | Bad:
    if isinstance(cell, bool):
        return facts_pb2.Value(boolean=cell)
    if isinstance(cell, int):
        if MIN_INTEGER <= cell <= MAX_INTEGER:
            return facts_pb2.Value(integer=cell)
        return Bad(BAD_NUMBER, "is larger than a 64-bit integer")
    if isinstance(cell, Decimal):
        units = decimal_from_text(format(cell, "f")) if cell.is_finite() and abs(cell.adjusted()) < 40 else None
        if units is None:
            return Bad(BAD_NUMBER, "is no number of the platform")
        return units if isinstance(units, Bad) else facts_pb2.Value(decimal_units=units.units)
    if isinstance(cell, datetime):
        return value_of(cell, Kind.INSTANT, reading)
    if isinstance(cell, date):
        return facts_pb2.Value(date_days=(cell - _EPOCH).days)
    if isinstance(cell, list):
        return _of_list(cell, reading)
    if isinstance(cell, Mapping):
        place = location(cell)
        if isinstance(place, Bad):
            return place
        told = facts_pb2.Location(latitude_e7=place.latitude_e7, longitude_e7=place.longitude_e7)
        return facts_pb2.Value(location=told)
    return Bad(WRONG_TYPE, "is of a type that the platform does not have")


def _of_list(cells: list[object], reading: Reading) -> facts_pb2.Value | Bad:
    if all(isinstance(one, Mapping) for one in cells) and cells:
        found = objects_of(cells, reading)
        return found if isinstance(found, Bad) else facts_pb2.Value(objects=facts_pb2.ObjectList(values=found))
    words = [str(one) for one in cells if isinstance(one, str | int | Decimal) and not isinstance(one, bool)]
    if len(words) < len(cells):
        return Bad(WRONG_TYPE, "must be a list of texts, or of objects")
    try:
        return facts_pb2.Value(texts=facts_pb2.TextList(values=words))
    except UnicodeEncodeError:
        return Bad("BAD_TEXT", "holds half a character")


def objects_of(cells: object, reading: Reading) -> list[facts_pb2.Object] | Bad:
    """A list of objects, such as the lines of an order."""
    if not isinstance(cells, list) or not all(isinstance(one, Mapping) for one in cells):
        return Bad(WRONG_TYPE, "must be a list of objects")
    found = []
    for one in cells:
        fields: dict[str, facts_pb2.Value] = {}
        for name, cell in one.items():
            if cell is None:
                continue
            value = value_of(cell, None, reading)
            if isinstance(value, Bad):
                return Bad(value.reason, f"{name}: {value.description}")
            fields[name] = value
        found.append(facts_pb2.Object(fields=fields))
    return found
