"""An event's money in the workspace's currency; what was told is kept beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from core.events.checks import BAD_NUMBER, Bad
from core.events.columns import Event
from core.events.report import Report
from core.money.rates import Rates, converted, currency_code
from core.schema import DecimalUnits, Scalar

NO_RATE = "NO_RATE"
#: The currency in which an event's money, or a line's, was told.
CURRENCY = "currency"

#: Parameters of events and fields of lines that are money.
MONEY = frozenset({"total", "subtotal", "discount", "shipping", "tax", "price", "sale_price", "amount"})
ORIGINAL = "_original"

V = TypeVar("V", bound=Scalar | tuple[str, ...])


def is_foreign(currency: str, home: str) -> bool:
    """Whether money of an event that names `currency` has to be converted."""
    return bool(currency) and currency_code(currency) != home


def at_home(event: Event, rates: Rates, path: str, lines_path: str, report: Report) -> Event:
    """`event` with its money converted by the rates in force when it happened; `<name>_original` keeps each amount as
    it was told and `currency` stays the one it was told in. Lines are in the event's currency unless they name their
    own. Without a rate `report` refuses the item; an event without money needs none."""
    told = event.params.get(CURRENCY)
    currency = told if isinstance(told, str) else ""
    params = _converted(event.params, currency, event.occurred_at_us, rates, path, report)
    items = []
    for number, line in enumerate(event.items):
        own = line.get(CURRENCY)
        of_line = own if isinstance(own, str) and own else currency
        items.append(_converted(line, of_line, event.occurred_at_us, rates, f"{lines_path}[{number}]", report))
    return replace(event, params=params, items=tuple(items))


def _converted(
    fields: Mapping[str, V], told: str, at_us: int, rates: Rates, path: str, report: Report
) -> Mapping[str, V | Scalar]:
    if not is_foreign(told, rates.home):
        return fields
    amounts = {name: value for name, value in fields.items() if name in MONEY and isinstance(value, DecimalUnits)}
    if not amounts:
        return fields
    currency = currency_code(told)
    rate = rates.at(currency, at_us) if currency is not None else None
    if rate is None:
        shown = currency or "this currency"
        what = f"there is no rate of {shown} to {rates.home} for the time of the event; set one (MoneyService.SetRates)"
        report.bad(f"{path}.{CURRENCY}", Bad(NO_RATE, what))
        return fields
    found: dict[str, V | Scalar] = dict(fields)
    for name, amount in amounts.items():
        home = converted(amount, rate)
        if home is None:
            report.bad(f"{path}.{name}", Bad(BAD_NUMBER, f"is larger than 9e14 in {rates.home}"))
            continue
        found[name] = home
        found[f"{name}{ORIGINAL}"] = amount
    return found
