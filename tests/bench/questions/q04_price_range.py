"""Q4: viewed something of a price between x and y in about 21 days."""

from __future__ import annotations

from tests.bench.engine import Constants, Form, Money
from tests.bench.questions.question import Draw, Question, rows_in, words
from tests.bench.workload import Workload


def _draw(draw: Draw) -> Constants:
    low = draw.between(2000, 5000)
    return {"low": Money(low), "high": Money(low + draw.between(1000, 6000)), **draw.window("view", 21)}


def _touched(workload: Workload, constants: Constants) -> int:
    return 8 * rows_in(workload, "product_viewed", constants["view_h"]) + words(workload)


_DUCK = "FROM product_viewed WHERE ts > {view_open} AND ts <= {as_of} AND price BETWEEN {low} AND {high}"
_CLICK = (
    "FROM events WHERE type = 'product_viewed' AND ts > {view_open} AND ts <= {as_of}"
    " AND price BETWEEN {low} AND {high}"
)

QUESTION = Question(
    name="Q4",
    title="viewed a price between x and y in 21 d",
    draw=_draw,
    ours="did product_viewed (price between {low} and {high}) in last {view_h} hours",
    duckdb={
        "distinct": Form(f"SELECT DISTINCT contact {_DUCK}"),
        "count distinct": Form(f"SELECT DISTINCT contact {_DUCK}", count=f"SELECT count(DISTINCT contact) {_DUCK}"),
        "semi join": Form(f"SELECT contact FROM contacts SEMI JOIN (SELECT contact {_DUCK}) USING (contact)"),
    },
    clickhouse={
        "distinct": Form(f"SELECT DISTINCT contact {_CLICK}"),
        "exact uniques": Form(f"SELECT DISTINCT contact {_CLICK}", count=f"SELECT uniqExact(contact) {_CLICK}"),
        "bitmap": Form(f"SELECT DISTINCT contact {_CLICK}", count=f"SELECT groupBitmap(contact) {_CLICK}"),
    },
    touched=_touched,
)
