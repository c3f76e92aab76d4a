"""Q6: recency, frequency and money of purchases in about 365 days, five bins each: contacts in each of 125 cells.

A score is 1 + floor(5 * worse / n). It is at least s where at least c = ceil((s - 1) n / 5) values are worse, that is
where the c-th smallest value is worse: four thresholds an axis. DuckDB's quantile_disc(q) is the ceil(q n)-th smallest;
ClickHouse's quantileExact(q) is number floor(q n) counted from 0, so a q smaller by 1e-9 gives the same one.
"""

from __future__ import annotations

from tests.bench.engine import Constants, Form
from tests.bench.questions.question import Draw, Question, rows_in
from tests.bench.workload import Workload


def _draw(draw: Draw) -> Constants:
    return dict(draw.window("buy", 365))


def _touched(workload: Workload, constants: Constants) -> int:
    buyers = min(workload.contacts, rows_in(workload, "order_completed", constants["buy_h"]))
    return 16 * rows_in(workload, "order_completed", constants["buy_h"]) + 2 * 20 * buyers


_DUCK_ROWS = "FROM order_completed WHERE ts > {buy_open} AND ts <= {as_of} GROUP BY contact"
_DUCK_PEOPLE = f"SELECT max(ts) AS r, count(*) AS f, sum(price)::DECIMAL(18, 2) AS m {_DUCK_ROWS}"
_CLICK_PEOPLE = (
    "SELECT toUnixTimestamp64Micro(max(ts)) AS r, count() AS f, sum(price) AS m FROM events"
    " WHERE type = 'order_completed' AND ts > {buy_open} AND ts <= {as_of} GROUP BY contact"
)
_LEVELS = "0.199999999, 0.399999999, 0.599999999, 0.799999999"


def _score(value: str, thresholds: str) -> str:
    return "1 + " + " + ".join(f"({value} > {thresholds}[{number}])" for number in (1, 2, 3, 4))


def _duck_score(value: str) -> str:
    return "1 + " + " + ".join(f"({value} > {value}s[{number}])::INT" for number in (1, 2, 3, 4))


_RANKS = (
    "1 + 5 * (rank() OVER (ORDER BY r) - 1) {divide} count(*) OVER () AS rs,"
    " 1 + 5 * (rank() OVER (ORDER BY f) - 1) {divide} count(*) OVER () AS fs,"
    " 1 + 5 * (rank() OVER (ORDER BY m) - 1) {divide} count(*) OVER () AS ms"
)

QUESTION = Question(
    name="Q6",
    title="RFM 5 x 5 x 5 of purchases in 365 d",
    draw=_draw,
    ours=lambda ours, constants, as_of_us: ours.rfm(constants, as_of_us),
    duckdb={
        "thresholds": Form(
            f"WITH people AS MATERIALIZED ({_DUCK_PEOPLE}), bounds AS (SELECT"
            " quantile_disc(r, [0.2, 0.4, 0.6, 0.8]) AS rs, quantile_disc(f, [0.2, 0.4, 0.6, 0.8]) AS fs,"
            " quantile_disc(m, [0.2, 0.4, 0.6, 0.8]) AS ms FROM people)"
            f" SELECT {_duck_score('r')}, {_duck_score('f')}, {_duck_score('m')}, count(*)"
            " FROM people, bounds GROUP BY ALL"
        ),
        "ranks": Form(
            f"SELECT rs, fs, ms, count(*) FROM (SELECT {_RANKS.format(divide='//')} FROM ({_DUCK_PEOPLE})) GROUP BY ALL"
        ),
    },
    clickhouse={
        "thresholds, people twice": Form(
            f"WITH (SELECT (quantilesExact({_LEVELS})(r), quantilesExact({_LEVELS})(f), quantilesExact({_LEVELS})(m))"
            f" FROM ({_CLICK_PEOPLE})) AS bounds SELECT {_score('r', 'bounds.1')} AS rs, {_score('f', 'bounds.2')}"
            f" AS fs, {_score('m', 'bounds.3')} AS ms, count() FROM ({_CLICK_PEOPLE}) GROUP BY rs, fs, ms"
        ),
        "thresholds, people kept": Form(
            f"SELECT {_score('p.1', 'rb')} AS rs, {_score('p.2', 'fb')} AS fs, {_score('p.3', 'mb')} AS ms, count()"
            f" FROM (SELECT quantilesExact({_LEVELS})(r) AS rb, quantilesExact({_LEVELS})(f) AS fb,"
            f" quantilesExact({_LEVELS})(m) AS mb, groupArray((r, f, m)) AS people FROM ({_CLICK_PEOPLE}))"
            " ARRAY JOIN people AS p GROUP BY rs, fs, ms"
        ),
        "ranks": Form(
            "SELECT rs, fs, ms, count() FROM (SELECT 1 + intDiv(5 * (rank() OVER (ORDER BY r) - 1), count() OVER ())"
            " AS rs, 1 + intDiv(5 * (rank() OVER (ORDER BY f) - 1), count() OVER ()) AS fs,"
            " 1 + intDiv(5 * (rank() OVER (ORDER BY m) - 1), count() OVER ()) AS ms"
            f" FROM ({_CLICK_PEOPLE})) GROUP BY rs, fs, ms"
        ),
    },
    touched=_touched,
)
