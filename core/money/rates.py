"""Dated exchange rates, and amounts converted by them: exact, half-even to a unit of 1e-4."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from core.errors import Violation, invalid
from core.schema import MAX_DECIMAL_UNITS, DecimalUnits

BAD_RATE = "BAD_RATE"

#: A rate is kept as an integer of so many decimals.
RATE_DECIMALS = 12
RATE_SCALE = 10**RATE_DECIMALS
#: Rates of one currency that a workspace keeps.
MOST_RATES = 20_000
MOST_CURRENCIES = 300

_CURRENCY = re.compile(r"[A-Z]{3}")
_RATE = re.compile(r"\d{1,12}(?:\.\d{1,12})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rate:
    """From `from_us` on, until the next rate of the currency, one unit of `currency` is `scaled` / 1e12 units of the
    workspace's."""

    currency: str
    from_us: int
    scaled: int

    @property
    def text(self) -> str:
        """The rate as a decimal number without needless zeros."""
        whole, rest = divmod(self.scaled, RATE_SCALE)
        return f"{whole}.{rest:0{RATE_DECIMALS}d}".rstrip("0").rstrip(".")


def currency_code(text: str) -> str | None:
    """The code in capitals; None for what is no currency code."""
    code = text.strip().upper()
    return code if _CURRENCY.fullmatch(code) else None


def checked_rate(currency: str, from_us: int, rate: str, home: str, path: str) -> Rate:
    """A rate as a caller told it. Raises INVALID / BAD_RATE with the place under `path`."""
    if _CURRENCY.fullmatch(currency) is None:
        raise _bad(f"{path}.currency", "is three capital letters, such as EUR")
    if currency == home:
        raise _bad(f"{path}.currency", f"is the workspace's own: {home} is always 1 {home}")
    if _RATE.fullmatch(rate) is None:
        raise _bad(f"{path}.rate", f"is a number such as 41.25, with at most {RATE_DECIMALS} decimals")
    scaled = int(Decimal(rate).scaleb(RATE_DECIMALS))
    if scaled == 0:
        raise _bad(f"{path}.rate", "is more than 0")
    return Rate(currency, from_us, scaled)


@dataclass(frozen=True, slots=True)
class Rates:
    """The rates of a workspace whose currency is `home`. Immutable; `with_rates` makes the next version."""

    home: str
    version: int = 0
    _by_currency: Mapping[str, tuple[Rate, ...]] = field(default_factory=dict)

    def at(self, currency: str, at_us: int) -> Rate | None:
        """The rate in force at an instant: the latest that is not dated after it. None: there is none."""
        dated = self._by_currency.get(currency, ())
        place = bisect_right(dated, at_us, key=lambda rate: rate.from_us)
        return dated[place - 1] if place else None

    def in_force(self, at_us: int) -> tuple[Rate, ...]:
        """The rate of each currency at an instant, by currency; none of those that have none."""
        found = (self.at(one, at_us) for one in sorted(self._by_currency))
        return tuple(rate for rate in found if rate is not None)

    def all(self, currency: str = "") -> Iterator[Rate]:
        """All rates, or those of one currency: by currency, the newest first."""
        for one in sorted(self._by_currency):
            if currency in ("", one):
                yield from reversed(self._by_currency[one])

    def with_rates(self, rates: Iterable[Rate], version: int) -> Rates:
        """With `rates` in the place of those of the same currency and instant."""
        by_currency = dict(self._by_currency)
        for rate in rates:
            others = (one for one in by_currency.get(rate.currency, ()) if one.from_us != rate.from_us)
            by_currency[rate.currency] = tuple(sorted((*others, rate), key=lambda one: one.from_us))
        return Rates(self.home, version, by_currency)

    def room(self, rates: Iterable[Rate]) -> bool:
        """Whether there is place for `rates`."""
        after = self.with_rates(rates, self.version)._by_currency
        return len(after) <= MOST_CURRENCIES and all(len(dated) <= MOST_RATES for dated in after.values())


def converted(amount: DecimalUnits, rate: Rate) -> DecimalUnits | None:
    """`amount` in the workspace's currency, rounded half-even to a unit; None where it would be larger than 9e14."""
    whole, rest = divmod(amount.units * rate.scaled, RATE_SCALE)
    if 2 * rest > RATE_SCALE or (2 * rest == RATE_SCALE and whole % 2 == 1):
        whole += 1
    return DecimalUnits(whole) if abs(whole) <= MAX_DECIMAL_UNITS else None


def _bad(path: str, what: str) -> Exception:
    return invalid(BAD_RATE, f"{path}: {what}", Violation(path, what))
