"""Q5: for each of 200 categories: how many viewed it in about 30 days and did not buy in it in about 30 days."""

from __future__ import annotations

from tests.bench.engine import Constants, Form
from tests.bench.questions.question import Draw, Question, rows_in
from tests.bench.workload import CATEGORIES, Workload

RULE = (
    "did product_viewed (category = :section) in last {both_h} hours"
    " and did not order_completed (category = :section) in last {both_h} hours"
)


def _draw(draw: Draw) -> Constants:
    return dict(draw.window("both", 30))


def _touched(workload: Workload, constants: Constants) -> int:
    hours = constants["both_h"]
    return 5 * (rows_in(workload, "product_viewed", hours) + rows_in(workload, "order_completed", hours))


_DUCK_VIEWS = "product_viewed WHERE ts > {both_open} AND ts <= {as_of}"
_DUCK_ORDERS = "order_completed WHERE ts > {both_open} AND ts <= {as_of}"
_CLICK_VIEWS = "events WHERE type = 'product_viewed' AND ts > {both_open} AND ts <= {as_of}"
_CLICK_ORDERS = "events WHERE type = 'order_completed' AND ts > {both_open} AND ts <= {as_of}"
_DUCK_NUMBER = "enum_code(category)"
#: "category 017" is number 17.
_CLICK_NUMBER = "toUInt8(substring(category, 10))"

QUESTION = Question(
    name="Q5",
    title="each of 200 categories: viewed, not bought, 30 d",
    draw=_draw,
    ours=lambda ours, constants, as_of_us: ours.count_for_each(RULE, constants, as_of_us, "section", CATEGORIES),
    duckdb={
        "distinct, then anti join": Form(
            f"SELECT {_DUCK_NUMBER}, count(*) FROM (SELECT DISTINCT contact, category FROM {_DUCK_VIEWS})"
            f" ANTI JOIN (SELECT contact, category FROM {_DUCK_ORDERS}) USING (contact, category) GROUP BY category"
        ),
        "anti join, then distinct": Form(
            f"SELECT {_DUCK_NUMBER}, count(DISTINCT contact) FROM (SELECT contact, category FROM {_DUCK_VIEWS})"
            f" ANTI JOIN (SELECT contact, category FROM {_DUCK_ORDERS}) USING (contact, category) GROUP BY category"
        ),
        "packed pairs": Form(
            "SELECT pair & 255, count(*) FROM ("
            f"SELECT contact::UBIGINT * 256 + {_DUCK_NUMBER} AS pair FROM {_DUCK_VIEWS} EXCEPT"
            f" SELECT contact::UBIGINT * 256 + {_DUCK_NUMBER} FROM {_DUCK_ORDERS}) GROUP BY ALL"
        ),
    },
    clickhouse={
        "not in, exact uniques": Form(
            f"SELECT {_CLICK_NUMBER}, uniqExact(contact) FROM {_CLICK_VIEWS}"
            f" AND (contact, category) NOT IN (SELECT contact, category FROM {_CLICK_ORDERS}) GROUP BY category"
        ),
        "not in, bitmaps": Form(
            f"SELECT {_CLICK_NUMBER}, groupBitmap(contact) FROM {_CLICK_VIEWS}"
            f" AND (contact, category) NOT IN (SELECT contact, category FROM {_CLICK_ORDERS}) GROUP BY category"
        ),
        "two bitmaps a category": Form(
            f"SELECT {_CLICK_NUMBER}, bitmapAndnotCardinality(viewed, bought) AS n FROM (SELECT category,"
            " groupBitmapStateIf(contact, type = 'product_viewed') AS viewed,"
            " groupBitmapStateIf(contact, type = 'order_completed') AS bought FROM events"
            " WHERE type IN ('product_viewed', 'order_completed') AND ts > {both_open} AND ts <= {as_of}"
            " GROUP BY category) WHERE n > 0"
        ),
    },
    touched=_touched,
)
