"""Single values at the door: what a text, a name, a number or a time must be like.

Every check takes a value as a program sent it and answers with the value as it is kept, or with a `Bad` that says why
not. Readers of JSON put a `Bad` in the place of what cannot be kept at all (NaN, a repeated key), so that one wrong
value spoils its own item only.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

from core.clock import MAX_INSTANT_US, MIN_INSTANT_US, MINUTE_US
from core.schema import MAX_DECIMAL_UNITS, MAX_INTEGER, MIN_INTEGER, DecimalUnits, Instant

BAD_TEXT = "BAD_TEXT"
BAD_NAME = "BAD_NAME"
BAD_NUMBER = "BAD_NUMBER"
BAD_TIME = "BAD_TIME"
WRONG_TYPE = "WRONG_TYPE"

MAX_NAME_CHARACTERS = 128

#: Control characters but tab and line ends, direction overrides, the byte order mark, non-characters, and lone
#: surrogates, which pass a JSON parser and break whatever encodes them later.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202d\u202e\ufeff\ufffe\uffff\ud800-\udfff]")
_LINE_ENDS = re.compile("[\t\n\r]")
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,12}))?)?([Zz]|[+-]\d\d:?\d\d)?", re.ASCII
)
_DAY = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_LONGEST_DECIMAL = 64


@dataclass(frozen=True, slots=True)
class Bad:
    """A value that cannot be kept: a stable reason, and a description for people."""

    reason: str
    description: str


def shown(name: str) -> str:
    """`name` as it may stand in a path or a message: short, without what would disturb a terminal or a log."""
    cut = name if len(name) <= 40 else name[:40] + "…"
    return _LINE_ENDS.sub(" ", _FORBIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", cut))


def is_plain_text(text: str) -> bool:
    """Whether `clean_text` would return `text` as it is; the quick form."""
    if text.isascii():
        return text.isprintable() or _FORBIDDEN.search(text) is None
    return _FORBIDDEN.search(text) is None and unicodedata.is_normalized("NFC", text)


def clean_text(text: str) -> str | Bad:
    """`text` in NFC; nothing else is changed, not even outer spaces."""
    if text.isascii() and text.isprintable():
        return text
    found = _FORBIDDEN.search(text)
    if found is None:
        return unicodedata.normalize("NFC", text)
    code = ord(found[0])
    if 0xD800 <= code <= 0xDFFF:
        return Bad(BAD_TEXT, f"holds half a character (U+{code:04X}): broken UTF-8 or a cut surrogate pair")
    return Bad(BAD_TEXT, f"holds the character U+{code:04X}, which is not allowed")


def clean_name(name: str) -> str | Bad:
    """A name of a parameter, an attribute, an event or a list: 1 to 128 characters on one line."""
    text = clean_text(name)
    if isinstance(text, Bad):
        return Bad(BAD_NAME, f"a name {text.description}")
    if _LINE_ENDS.search(text):
        return Bad(BAD_NAME, "a name holds a tab or a line end")
    if not 1 <= len(text) <= MAX_NAME_CHARACTERS or text.isspace():
        return Bad(BAD_NAME, f"a name has 1 to {MAX_NAME_CHARACTERS} characters, this has {len(text)}")
    return text


def clean_integer(number: int) -> int | Bad:
    """An integer of 64 bits."""
    if MIN_INTEGER <= number <= MAX_INTEGER:
        return number
    return Bad(BAD_NUMBER, "is larger than a 64-bit integer")


def clean_units(units: int) -> DecimalUnits | Bad:
    """Fixed point units within 9e14 whole ones."""
    if abs(units) <= MAX_DECIMAL_UNITS:
        return DecimalUnits(units)
    return Bad(BAD_NUMBER, "is larger than 9e14")


def clean_decimal(number: Decimal) -> DecimalUnits | Bad:
    """An exact decimal with at most four decimals, within 9e14; trailing zeros do not count."""
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        return Bad(BAD_NUMBER, "is no finite number")
    shift = exponent + 4
    if not any(digits):
        return DecimalUnits(0)
    if len(digits) + shift > 20:
        return Bad(BAD_NUMBER, "is larger than 9e14")
    if shift < 0:
        if any(digits[shift:]):
            return Bad(BAD_NUMBER, "has more than four decimals")
        digits, shift = digits[:shift], 0
    units = int("".join(map(str, digits)) or "0") * 10**shift
    return clean_units(-units if sign else units)


@lru_cache(65_536)
def decimal_from_text(text: str) -> DecimalUnits | Bad:
    """Like `clean_decimal`, of a number as text: "12.50"."""
    if len(text) > _LONGEST_DECIMAL or not text.isascii() or "_" in text:
        return Bad(BAD_NUMBER, "is no number")
    try:
        number = Decimal(text)
    except ArithmeticError:
        return Bad(BAD_NUMBER, "is no number")
    return clean_decimal(number)


def clean_instant(us: int) -> Instant | Bad:
    """Microseconds within the years 1 to 9999."""
    if MIN_INSTANT_US <= us < MAX_INSTANT_US:
        return Instant(us)
    return Bad(BAD_TIME, "lies outside of the years 1 to 9999")


def instant_from_text(text: str) -> Instant | Bad:
    """`2026-11-22T10:15:00.5Z`: date, time and zone. Digits beyond the microsecond are cut off."""
    found = _TIME.fullmatch(text)
    if found is None:
        return Bad(BAD_TIME, "is no time like 2026-11-22T10:15:00Z")
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    fraction, zone = (found[7] or "").ljust(6, "0")[:6], found[8]
    if zone is None:
        return Bad(BAD_TIME, "names no zone; end it with Z or +02:00")
    if second == 60:
        return Bad(BAD_TIME, "is a leap second, which has no instant here")
    try:
        local = datetime(year, month, day, hour, minute, second, int(fraction))
    except ValueError as error:
        return Bad(BAD_TIME, f"is no time: {error}")
    offset_minutes = 0
    if zone not in "Zz":
        hours, minutes = int(zone[1:3]), int(zone[-2:])
        if hours > 23 or minutes > 59:
            return Bad(BAD_TIME, "has no such offset from UTC")
        offset_minutes = (hours * 60 + minutes) * (-1 if zone[0] == "-" else 1)
    return clean_instant((local - _EPOCH) // _MICROSECOND - offset_minutes * MINUTE_US)


def day_from_text(text: str) -> date | Bad:
    """`1990-01-31`; of a full time the date that is written in it."""
    found = _DAY.match(text)
    if found is None or (found.end() != len(text) and _TIME.fullmatch(text) is None):
        return Bad(BAD_TIME, "is no date like 1990-01-31")
    try:
        return date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError as error:
        return Bad(BAD_TIME, f"is no date: {error}")
