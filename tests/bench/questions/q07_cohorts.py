"""Q7: retention by month of the first purchase. Rows: month of the cohort (12 * year + month - 1, UTC), period,
contacts; period -1 is the cohort's size. Period 0 counts who bought again, strictly later, in the same month.
"""

from __future__ import annotations

from tests.bench.engine import Constants, Form
from tests.bench.questions.question import Draw, Question
from tests.bench.workload import EVENT_TYPES, SHARES, Workload


def _draw(draw: Draw) -> Constants:
    return {}


def _touched(workload: Workload, constants: Constants) -> int:
    return 12 * int(workload.events * SHARES[EVENT_TYPES.index("order_completed")]) + 8 * workload.contacts


_DUCK_ORDERS = (
    "SELECT contact, ts, (year(ts) * 12 + month(ts) - 1)::INT AS month FROM order_completed WHERE ts <= {as_of}"
)
_CLICK_ORDERS = (
    "SELECT contact, ts, toRelativeMonthNum(ts) - 1 AS month FROM events"
    " WHERE type = 'order_completed' AND ts <= {as_of}"
)
_CLICK_MONTHS = f"SELECT contact, month, min(ts) AS low, max(ts) AS high FROM ({_CLICK_ORDERS}) GROUP BY contact, month"

QUESTION = Question(
    name="Q7",
    title="month x month retention by first purchase",
    draw=_draw,
    ours=lambda ours, constants, as_of_us: ours.cohorts(as_of_us),
    duckdb={
        "contact months": Form(
            f"WITH months AS MATERIALIZED (SELECT contact, month, min(ts) AS low, max(ts) AS high FROM ({_DUCK_ORDERS})"
            " GROUP BY contact, month), firsts AS (SELECT contact, min(month) AS cohort FROM months GROUP BY contact)"
            " SELECT cohort, month - cohort, count(*) FROM months JOIN firsts USING (contact)"
            " WHERE month > cohort OR high > low GROUP BY ALL"
            " UNION ALL SELECT cohort, -1, count(*) FROM firsts GROUP BY ALL"
        ),
        "bits of months": Form(
            "WITH firsts AS MATERIALIZED (SELECT contact, min(ts) AS first FROM order_completed WHERE ts <= {as_of}"
            " GROUP BY contact), returns AS MATERIALIZED (SELECT year(first) * 12 + month(first) - 1 AS cohort,"
            " bit_or(CASE WHEN ts > first THEN 1::BIGINT << month - (year(first) * 12 + month(first) - 1) ELSE 0 END)"
            f" AS bits FROM ({_DUCK_ORDERS}) JOIN firsts USING (contact) GROUP BY contact, first)"
            " SELECT cohort, period, count(*) FROM returns, range(0, 16) AS periods(period)"
            " WHERE bits >> period & 1 = 1 GROUP BY ALL UNION ALL SELECT cohort, -1, count(*) FROM returns GROUP BY ALL"
        ),
        "count distinct": Form(
            "WITH firsts AS MATERIALIZED (SELECT contact, min(ts) AS first FROM order_completed WHERE ts <= {as_of}"
            " GROUP BY contact), cohorts AS (SELECT contact, first, year(first) * 12 + month(first) - 1 AS cohort"
            f" FROM firsts) SELECT cohort, month - cohort, count(DISTINCT contact) FROM ({_DUCK_ORDERS})"
            " JOIN cohorts USING (contact) WHERE ts > first GROUP BY ALL"
            " UNION ALL SELECT cohort, -1, count(*) FROM cohorts GROUP BY ALL"
        ),
    },
    clickhouse={
        "contact months": Form(
            "SELECT cohort, period, count() FROM (SELECT min(month) AS cohort,"
            " arrayConcat([-1], arrayMap(m -> toInt32(m.1) - toInt32(cohort),"
            " arrayFilter(m -> m.1 > cohort OR m.3 > m.2, groupArray((month, low, high))))) AS periods"
            f" FROM ({_CLICK_MONTHS}) GROUP BY contact) ARRAY JOIN periods AS period GROUP BY cohort, period"
        ),
        "arrays of instants": Form(
            "SELECT cohort, period, count() FROM (SELECT min(ts) AS first, min(month) AS cohort,"
            " arrayConcat([-1], arrayDistinct(arrayMap(o -> toInt32(o.2) - toInt32(cohort),"
            " arrayFilter(o -> o.1 > first, groupArray((ts, month)))))) AS periods"
            f" FROM ({_CLICK_ORDERS}) GROUP BY contact) ARRAY JOIN periods AS period GROUP BY cohort, period"
        ),
        "bitmaps": Form(
            "SELECT cohort, period, groupBitmap(contact) FROM (SELECT contact, ts, cohort,"
            " if(ts > first, toInt32(month) - toInt32(cohort), -1) AS period"
            f" FROM ({_CLICK_ORDERS}) AS orders INNER JOIN (SELECT contact, min(ts) AS first, min(month) AS cohort"
            f" FROM ({_CLICK_ORDERS}) GROUP BY contact) AS firsts USING (contact)) GROUP BY cohort, period"
        ),
    },
    touched=_touched,
)
