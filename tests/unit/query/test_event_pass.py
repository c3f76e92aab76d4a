"""Counting the events of some contacts alone against counting those of everyone."""

from __future__ import annotations

import numpy as np
import pytest

from core.events.columns import EventColumns, ParamColumn
from core.index.contact_set import ContactSet
from core.index.index import Index
from core.query.ast import Compare, Comparison, EventSelection, Literal
from core.query.execute_context import Context
from core.query.rows.event_pass import counted, passes
from core.schema import Kind

SEED = 97
CONTACTS = 3_000


@pytest.fixture(scope="module")
def context() -> Context:
    """Two runs of events of all contacts."""
    rng = np.random.default_rng(SEED)
    index = Index()
    for batch, rows in enumerate((20_000, 700)):
        owners = np.append(rng.integers(0, CONTACTS, rows - 1), CONTACTS - 1).astype(np.uint32)
        at_us = np.sort(rng.integers(1_000_000, 2_000_000, rows))
        price = ParamColumn("price", Kind.INTEGER, np.arange(rows, dtype=np.uint32), rng.integers(0, 9, rows))
        index.apply(
            EventColumns(
                ids=tuple(f"{batch}-{row:06d}" for row in range(rows)),
                types=np.zeros(rows, np.uint32),
                occurred_at_us=at_us,
                received_at_us=at_us,
                flags=np.zeros(rows, np.uint8),
                params=(price,),
                item_offsets=np.zeros(rows + 1, np.uint32),
                item_params=(),
                strings=("seen",),
                contacts=owners,
            ),
            (),
            batch + 1,
        )
        index.root()
    return Context(index.root(), 3_000_000, "UTC")


@pytest.mark.parametrize("filtered", (False, True))
def test_counting_among_some(context: Context, filtered: bool) -> None:
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    tree = (Comparison("price", Compare.LT, (Literal(5),)),) if filtered else ()
    found = passes(EventSelection(("seen",), tree), context)
    assert found
    n = context.root.contact_count
    everyone_twice = counted(found, 2, None, n)
    assert len(everyone_twice) > n // 2
    for size in (0, 1, 40, 374):
        among = ContactSet.from_numbers(rng.choice(n, size, replace=False).astype(np.uint32))
        for least, most in ((2, None), (5, None), (1, 6), (4, 4), (300, None)):
            everyone = counted(found, least, most, n)
            assert counted(found, least, most, n, among) & among == everyone & among
