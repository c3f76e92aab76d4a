"""How often a contact may run through a scenario, and what a run is about.

A run is about its contact and about those values of its trigger that the scenario's texts name. An abandoned cart's
texts name :cart_id, so it is about one cart: two carts of a contact run side by side, while a change of the same cart
joins the run that is there. A scenario whose texts name no value of the trigger is about the contact alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date

from core.scenario.definition import Definition, ProductTrigger, Reentry
from core.scenario.plan import Plan
from core.schema import DecimalUnits, Instant, Scalar

#: The value by which a run knows the product that started it.
PRODUCT_VALUE = "product_id"


def key_of(plan: Plan, values: Mapping[str, Scalar]) -> str:
    """What a run with these values is about, as text; empty when it is about the contact alone. A run that a product
    started is about that product, whether a text names it or not."""
    about = plan.about
    if isinstance(plan.definition.trigger, ProductTrigger) and PRODUCT_VALUE not in about:
        about = tuple(sorted((*about, PRODUCT_VALUE)))
    named = [(name, _text(values[name])) for name in about if name in values]
    return json.dumps(named, ensure_ascii=False, separators=(",", ":")) if named else ""


def may_start(reentry: Reentry, running: int, ended: int) -> bool:
    """Whether another run may start beside `running` ones of the same contact and key, after `ended` ones. Of `AFTER`
    this is not all: see `is_rested`."""
    match reentry:
        case Reentry.ONE_AT_A_TIME | Reentry.AFTER:
            return running == 0
        case Reentry.ONCE:
            return running + ended == 0
        case Reentry.ALWAYS:
            return True


def is_rested(definition: Definition, last_ended_at_us: int | None, now_us: int) -> bool:
    """Whether the pause that `AFTER` asks for is over, by the instant at which the latest run of the same contact and
    key ended (None: there was none): exactly `reentry_after_us` later it is. True for every other rule."""
    if definition.reentry is not Reentry.AFTER or last_ended_at_us is None:
        return True
    return now_us - last_ended_at_us >= definition.reentry_after_us


def _text(value: Scalar) -> str:
    """A text that differs for different values, and for equal ones of different kinds."""
    match value:
        case bool():
            return f"boolean:{value}"
        case int():
            return f"number:{value}"
        case DecimalUnits():
            return f"number:{value}"
        case Instant(us):
            return f"instant:{us}"
        case date():
            return f"date:{value.isoformat()}"
        case str():
            return f"text:{value}"
