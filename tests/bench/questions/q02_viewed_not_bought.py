"""Q2: viewed a category in about 7 days and bought nothing in about 7 days."""

from __future__ import annotations

from tests.bench.engine import Constants, Form
from tests.bench.questions.question import Draw, Question, rows_in, words
from tests.bench.workload import CATEGORIES, Workload


def _draw(draw: Draw) -> Constants:
    return {"category": draw.one_of(CATEGORIES[:60]), **draw.window("view", 7), **draw.window("buy", 7)}


def _touched(workload: Workload, constants: Constants) -> int:
    views = rows_in(workload, "product_viewed", constants["view_h"])
    orders = rows_in(workload, "order_completed", constants["buy_h"])
    return views + 4 * views // 50 + 4 * orders + 2 * words(workload)


_DUCK_VIEWS = "FROM product_viewed WHERE ts > {view_open} AND ts <= {as_of} AND category = {category}"
_DUCK_ORDERS = "FROM order_completed WHERE ts > {buy_open} AND ts <= {as_of}"
_CLICK_VIEWS = (
    "FROM events WHERE type = 'product_viewed' AND ts > {view_open} AND ts <= {as_of} AND category = {category}"
)
_CLICK_ORDERS = "FROM events WHERE type = 'order_completed' AND ts > {buy_open} AND ts <= {as_of}"
_CLICK_NOT_IN = f"{_CLICK_VIEWS} AND contact NOT IN (SELECT contact {_CLICK_ORDERS})"

QUESTION = Question(
    name="Q2",
    title="viewed a category in 7 d, no purchase in 7 d",
    draw=_draw,
    ours=(
        "did product_viewed (category = {category}) in last {view_h} hours"
        " and did not order_completed in last {buy_h} hours"
    ),
    duckdb={
        "anti join": Form(
            f"SELECT DISTINCT contact FROM (SELECT contact {_DUCK_VIEWS})"
            f" ANTI JOIN (SELECT contact {_DUCK_ORDERS}) USING (contact)"
        ),
        "not in": Form(f"SELECT DISTINCT contact {_DUCK_VIEWS} AND contact NOT IN (SELECT contact {_DUCK_ORDERS})"),
        "except": Form(f"SELECT contact {_DUCK_VIEWS} EXCEPT SELECT contact {_DUCK_ORDERS}"),
    },
    clickhouse={
        "not in": Form(f"SELECT DISTINCT contact {_CLICK_NOT_IN}"),
        "distinct of not in": Form(
            f"SELECT DISTINCT contact {_CLICK_NOT_IN}", count=f"SELECT uniqExact(contact) {_CLICK_NOT_IN}"
        ),
        "bitmaps": Form(
            f"SELECT DISTINCT contact {_CLICK_NOT_IN}",
            count=(
                f"SELECT bitmapAndnotCardinality((SELECT groupBitmapState(contact) {_CLICK_VIEWS}),"
                f" (SELECT groupBitmapState(contact) {_CLICK_ORDERS}))"
            ),
        ),
    },
    touched=_touched,
)
