"""Changes of products: which of them a scenario starts by, and what its runs know of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.events.facts import ProductChange, ProductChangeKind, ProductState
from core.scenario.definition import ProductTrigger
from core.scenario.plan import Plan
from core.scenario.reentry import PRODUCT_VALUE
from core.scenario.trigger import is_fresh
from core.schema import DecimalUnits, Scalar

#: The names of changes, as a trigger writes them.
CHANGES: Mapping[str, ProductChangeKind] = {kind.name.lower(): kind for kind in ProductChangeKind}
_PRICES = (ProductChangeKind.PRICE_DROPPED, ProductChangeKind.PRICE_RAISED)


@dataclass(frozen=True, slots=True)
class ProductStart:
    """A change that starts runs for the members of the trigger's segment with `product_id` bound. `at_us` is when."""

    product_id: str
    at_us: int
    values: Mapping[str, Scalar]


def started_by_product(plan: Plan, state: ProductState, recorded_at_us: int) -> ProductStart | None:
    """What the state of a product starts, or None: no change that the trigger names, a price that moved too little, or
    not of now. Of several changes that it names, the one that stands first in the trigger counts."""
    trigger = plan.definition.trigger
    if not isinstance(trigger, ProductTrigger) or not is_fresh(plan, state.occurred_at_us, recorded_at_us):
        return None
    for name in trigger.changes:
        for change in state.changes:
            if change.kind is CHANGES.get(name) and _is_enough(trigger, change):
                values: dict[str, Scalar] = {PRODUCT_VALUE: state.product_id, "change": name}
                if change.kind in _PRICES:
                    values["old_price"] = DecimalUnits(change.from_units)
                    values["new_price"] = DecimalUnits(change.to_units)
                    values["percent"] = DecimalUnits(change.percent_units)
                return ProductStart(state.product_id, min(state.occurred_at_us, recorded_at_us), values)
    return None


def _is_enough(trigger: ProductTrigger, change: ProductChange) -> bool:
    return change.kind not in _PRICES or change.percent_units >= trigger.at_least_percent_units
