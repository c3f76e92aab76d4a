"""Prices as feeds write them: "12.50 UAH", "UAH 1 234,50", "99"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from core.events.checks import Bad, decimal_from_text

BAD_PRICE = "BAD_PRICE"
#: Longer texts are no price, whatever they say.
_MOST_CHARACTERS = 64

_PRICE = re.compile(r"(?:([A-Za-z]{3})\s*)?([+-]?[0-9][0-9.,'’\s]*|[+-]?\.[0-9]+)(?:([A-Za-z]{3}))?")
#: Digits in groups of three, parted by spaces or apostrophes, or by the sign that does not part the decimals.
_SPACED = re.compile(r"[0-9]{1,3}(?:[\s'’][0-9]{3})+(?:[.,][0-9]+)?")
_BY_COMMA = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+\.[0-9]+")
_BY_POINT = re.compile(r"[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]+")
_GAPS = re.compile(r"[\s'’]")


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in units of 1e-4, 0 or more; `currency` is three capital letters, or empty where none was written."""

    units: int
    currency: str


@lru_cache(65_536)
def money_from_text(text: str) -> Money | Bad:
    """The price that `text` says. A point or a comma parts the decimals, at most four; groups of thousands may be
    parted by spaces, apostrophes, or the other sign. What could be read in two ways ("1,234") is refused."""
    found = _PRICE.fullmatch(text.strip()) if len(text) <= _MOST_CHARACTERS else None
    if found is None:
        return Bad(BAD_PRICE, "is no price such as 12.50 UAH")
    before, number, after = found[1], found[2].strip(), found[3]
    if before and after:
        return Bad(BAD_PRICE, "names two currencies")
    plain = _plain_number(number)
    if isinstance(plain, Bad):
        return plain
    units = decimal_from_text(plain)
    if isinstance(units, Bad):
        return Bad(BAD_PRICE, units.description)
    if units.units < 0:
        return Bad(BAD_PRICE, "is below zero")
    return Money(units.units, (before or after or "").upper())


def _plain_number(number: str) -> str | Bad:
    """`number` with a point before its decimals and nothing between its groups."""
    if number.count(",") + number.count(".") <= 1 and not _GAPS.search(number):
        whole, comma, decimals = number.partition(",")
        if comma and len(decimals) == 3 and whole.lstrip("+-0"):
            return Bad(BAD_PRICE, "could mean thousands or decimals: write the decimals after a point")
        return number.replace(",", ".")
    unsigned = number.lstrip("+-")
    if _SPACED.fullmatch(unsigned):
        return _GAPS.sub("", number).replace(",", ".")
    if _BY_COMMA.fullmatch(unsigned):
        return number.replace(",", "")
    if _BY_POINT.fullmatch(unsigned):
        return number.replace(".", "").replace(",", ".")
    return Bad(BAD_PRICE, "is no number")
