"""The row path: one rule of ten nodes asked of one contact at a time, as IsMember does."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from core.index.contact_set import ContactSet
from core.index.root import Root
from core.query.binding.bind import bind
from core.query.execute import evaluate
from core.query.row import RowRule
from core.query.text.parse import parse
from core.segments.vocabulary import names_of

RULE = (
    '(gender = "female" or gender = "male") and age between 18 and 60 and country in ("C00", "C01", "C02", "C03")'
    ' and did product_viewed (category = "category 001") in last 90 days'
    " and not did order_completed in last 7 days and sum(order_completed.total) in last 365 days > 20"
)
_NODES = 10
_CONTACTS = 3_000


def measure_row_path(root: Root, as_of_us: int, seed: int) -> dict[str, object]:
    """Microseconds for one of 3,000 contacts drawn at random, by the row form and as a set of one candidate; the rule
    is bound before. Raises AssertionError where either differs from the members of the whole."""
    bound = bind(parse(RULE), names_of(root, {}, "UTC"))
    assert len(bound.rule.nodes) == _NODES
    row_rule = RowRule(bound)
    generator = np.random.default_rng([seed, 200])
    asked = generator.integers(0, root.contact_count, _CONTACTS).tolist()
    members = evaluate(bound, root, as_of_us, {}).members
    by_row = _times_us(asked, lambda contact: row_rule.holds(root, contact, as_of_us), members)

    def in_set_of_one(contact: int) -> bool:
        return len(evaluate(bound, root, as_of_us, {}, np.array([contact], np.uint32)).members) == 1

    by_set = _times_us(asked, in_set_of_one, members)
    return {
        "nodes": _NODES,
        "median_us": round(statistics.median(by_row), 1),
        "p99_us": round(sorted(by_row)[int(_CONTACTS * 0.99)], 1),
        "goal_us": 50,
        "as_a_set_of_one_median_us": round(statistics.median(by_set), 1),
    }


def _times_us(asked: list[int], ask: Callable[[int], bool], members: ContactSet) -> list[float]:
    taken_us = []
    for contact in asked:
        started_s = time.perf_counter()
        found = ask(contact)
        taken_us.append((time.perf_counter() - started_s) * 1e6)
        if found != (contact in members):
            raise AssertionError(f"row path and set path differ for contact {contact}: {RULE}")
    return taken_us
