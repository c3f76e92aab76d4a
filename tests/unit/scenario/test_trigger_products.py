"""Changes of products: which of them start runs, and what the runs know of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.clock import HOUR_US
from core.events.facts import ProductChange, ProductChangeKind, ProductState
from core.scenario.definition import Block, Definition, Exit, ProductTrigger
from core.scenario.plan import Plan
from core.scenario.reentry import key_of
from core.scenario.trigger_products import started_by_product
from core.scenario.validate import plan_of
from core.schema import DecimalUnits
from tests.unit.scenario.plays import T0

DROPPED = ProductChange(ProductChangeKind.PRICE_DROPPED, 1_000_000, 900_000, 100_000)
BACK = ProductChange(ProductChangeKind.BACK_IN_STOCK)
STATE = ProductState("p1", {"stock": 3}, T0, 0, (BACK, DROPPED))


def plan(*changes: str, at_least: int = 0) -> Plan:
    return plan_of("p", 1, Definition(ProductTrigger(changes, "waiting for it", at_least), (Block("a", Exit()),)))


@pytest.mark.parametrize(
    ("which", "state", "expected"),
    [
        (plan("back_in_stock"), STATE, "back_in_stock"),
        (plan("price_dropped", "back_in_stock"), STATE, "price_dropped"),
        (plan("price_dropped", at_least=100_000), STATE, "price_dropped"),
        (plan("price_dropped", at_least=100_001), STATE, None),
        (plan("price_dropped", "back_in_stock", at_least=100_001), STATE, "back_in_stock"),
        (plan("last_item"), STATE, None),
        (plan("back_in_stock"), replace(STATE, changes=()), None),
        (plan("back_in_stock"), replace(STATE, occurred_at_us=T0 - HOUR_US), "back_in_stock"),
        (plan("back_in_stock"), replace(STATE, occurred_at_us=T0 - HOUR_US - 1), None),
    ],
)
def test_which_change_starts(which: Plan, state: ProductState, expected: str | None) -> None:
    found = started_by_product(which, state, T0)
    assert (None if found is None else found.values["change"]) == expected


def test_what_runs_know_of_a_price() -> None:
    found = started_by_product(plan("price_dropped"), STATE, T0)
    assert found is not None
    assert found.values == {
        "product_id": "p1",
        "change": "price_dropped",
        "old_price": DecimalUnits(1_000_000),
        "new_price": DecimalUnits(900_000),
        "percent": DecimalUnits(100_000),
    }


def test_a_run_is_about_its_product_though_no_text_names_it() -> None:
    which = plan("back_in_stock")
    assert which.about == ()
    assert key_of(which, {"product_id": "p1"}) != key_of(which, {"product_id": "p2"})
    assert key_of(which, {"product_id": "p1", "change": "new"}) == key_of(which, {"product_id": "p1"})
