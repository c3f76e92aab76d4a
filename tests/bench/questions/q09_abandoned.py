"""Q9: viewed, put into the cart within a day, and bought nothing within a day of that; the view in about 30 days.

A cart event at p counts where p + 1 day <= as_of, no purchase lies in [p, p + 1 day], and a view lies in
[p - 1 day, p) and in the window. If any view does, the latest one before p does.
"""

from __future__ import annotations

from tests.bench.engine import Constants, Form
from tests.bench.questions.question import Draw, Question, rows_in
from tests.bench.workload import Workload


def _draw(draw: Draw) -> Constants:
    return dict(draw.window("view", 30))


def _touched(workload: Workload, constants: Constants) -> int:
    types = ("product_viewed", "cart_updated", "order_completed")
    return sum(12 * rows_in(workload, name, constants["view_h"]) for name in types)


_DUCK_VIEWS = "SELECT contact, ts FROM product_viewed WHERE ts > {view_open} AND ts <= {as_of}"
_DUCK_CARTS = "SELECT contact, ts FROM cart_updated WHERE ts > {view_open} AND ts <= {as_of} - INTERVAL 24 HOUR"
_DUCK_ORDERS = "SELECT contact, ts FROM order_completed WHERE ts > {view_open} AND ts <= {as_of}"
_CLICK_VIEWS = "SELECT contact, ts FROM events WHERE type = 'product_viewed' AND ts > {view_open} AND ts <= {as_of}"
_CLICK_CARTS = (
    "SELECT contact, ts FROM events WHERE type = 'cart_updated' AND ts > {view_open}"
    " AND ts <= {as_of} - INTERVAL 24 HOUR"
)
_CLICK_ORDERS = "SELECT contact, ts FROM events WHERE type = 'order_completed' AND ts > {view_open} AND ts <= {as_of}"
#: The three types at once: microseconds, by type. Contacts without a cart fall out first.
_CLICK_LISTS = (
    "SELECT contact, arraySort(groupArrayIf(toUnixTimestamp64Micro(ts), type = 'product_viewed')) AS views,"
    " groupArrayIf(toUnixTimestamp64Micro(ts), type = 'cart_updated') AS carts,"
    " groupArrayIf(toUnixTimestamp64Micro(ts), type = 'order_completed') AS orders FROM events"
    " WHERE type IN ('product_viewed', 'cart_updated', 'order_completed') AND ts > {view_open} AND ts <= {as_of}"
    f" AND contact IN (SELECT contact FROM ({_CLICK_CARTS})) GROUP BY contact"
)

QUESTION = Question(
    name="Q9",
    title="view, cart within 1 d, no purchase within 1 d, 30 d",
    draw=_draw,
    ours=(
        "sequence in last {view_h} hours: product_viewed then cart_updated within 1 day"
        " then not order_completed within 1 day"
    ),
    duckdb={
        "semi and anti join": Form(
            f"SELECT DISTINCT c.contact FROM ({_DUCK_CARTS}) AS c"
            f" SEMI JOIN ({_DUCK_VIEWS}) AS v"
            " ON v.contact = c.contact AND v.ts < c.ts AND v.ts >= c.ts - INTERVAL 24 HOUR"
            f" ANTI JOIN ({_DUCK_ORDERS}) AS o"
            " ON o.contact = c.contact AND o.ts >= c.ts AND o.ts <= c.ts + INTERVAL 24 HOUR"
        ),
        "nearest by ASOF joins": Form(
            f"SELECT DISTINCT c.contact FROM ({_DUCK_CARTS}) AS c"
            f" ASOF JOIN ({_DUCK_VIEWS}) AS v ON v.contact = c.contact AND v.ts < c.ts"
            f" ASOF LEFT JOIN ({_DUCK_ORDERS}) AS o ON o.contact = c.contact AND o.ts >= c.ts"
            " WHERE v.ts >= c.ts - INTERVAL 24 HOUR AND (o.ts IS NULL OR o.ts > c.ts + INTERVAL 24 HOUR)"
        ),
        "exists": Form(
            f"SELECT DISTINCT contact FROM ({_DUCK_CARTS}) AS c WHERE EXISTS (FROM ({_DUCK_VIEWS}) AS v"
            " WHERE v.contact = c.contact AND v.ts < c.ts AND v.ts >= c.ts - INTERVAL 24 HOUR)"
            f" AND NOT EXISTS (FROM ({_DUCK_ORDERS}) AS o"
            " WHERE o.contact = c.contact AND o.ts >= c.ts AND o.ts <= c.ts + INTERVAL 24 HOUR)"
        ),
    },
    clickhouse={
        "arrays": Form(
            f"SELECT contact FROM ({_CLICK_LISTS}) WHERE arrayExists(c -> c <= {{as_of_us}} - 86400000000"
            " AND arrayExists(v -> v < c AND v >= c - 86400000000, views)"
            " AND NOT arrayExists(o -> o >= c AND o <= c + 86400000000, orders), carts)"
        ),
        "nearest by ASOF joins": Form(
            "SELECT DISTINCT contact FROM (SELECT c.contact AS contact, c.ts AS cart, v.ts AS view"
            f" FROM ({_CLICK_CARTS}) AS c ASOF INNER JOIN ({_CLICK_VIEWS}) AS v"
            " ON v.contact = c.contact AND c.ts > v.ts WHERE view >= cart - INTERVAL 24 HOUR) AS p"
            f" ASOF LEFT JOIN ({_CLICK_ORDERS}) AS o ON o.contact = p.contact AND p.cart <= o.ts"
            " WHERE o.contact = 0 AND toUnixTimestamp64Micro(o.ts) = 0 OR o.ts > p.cart + INTERVAL 24 HOUR"
        ),
        "windows": Form(
            "SELECT DISTINCT contact FROM (SELECT contact, type, us, maxIf(us, type = 'product_viewed') OVER"
            " (PARTITION BY contact ORDER BY us RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS view"
            " FROM (SELECT contact, type, toUnixTimestamp64Micro(ts) AS us FROM events"
            " WHERE type IN ('product_viewed', 'cart_updated') AND ts > {view_open} AND ts <= {as_of})) AS c"
            f" LEFT ANTI JOIN (SELECT contact, toUnixTimestamp64Micro(ts) AS us FROM ({_CLICK_ORDERS})) AS o"
            " ON o.contact = c.contact AND o.us >= c.us AND o.us <= c.us + 86400000000"
            " WHERE c.type = 'cart_updated' AND c.us <= {as_of_us} - 86400000000 AND view >= c.us - 86400000000"
        ),
    },
    touched=_touched,
)
