"""Q3: at least three purchases in about 90 days with an average above x, of one country, no open in about 7 days.

An average is rounded half-even to 1e-4 before it is compared. In whole numbers, for an x of an even number of units:
2 * sum > (2 x + 1) * count, everything in units of 1e-4; that is what the peers are asked.
"""

from __future__ import annotations

from tests.bench.engine import Constants, Form, Money
from tests.bench.questions.question import Draw, Question, rows_in, words
from tests.bench.workload import Workload


def _draw(draw: Draw) -> Constants:
    cents = draw.between(3000, 9000)
    return {
        "country": draw.value("country", 8),
        "average": Money(cents),
        "twice": 2 * cents * 100 + 1,
        **draw.window("buy", 90),
        **draw.window("silent", 7),
    }


def _touched(workload: Workload, constants: Constants) -> int:
    orders = rows_in(workload, "order_completed", constants["buy_h"])
    opens = rows_in(workload, "message_opened", constants["silent_h"])
    return workload.contacts + 8 * orders + 4 * opens + 2 * words(workload)


_DUCK_ORDERS = "order_completed WHERE ts > {buy_open} AND ts <= {as_of}"
_DUCK_OPENS = "SELECT contact FROM message_opened WHERE ts > {silent_open} AND ts <= {as_of}"
_DUCK_COUNTRY = "SELECT contact FROM contacts WHERE country = {country}"
_DUCK_GOOD = "GROUP BY contact HAVING count(*) >= 3 AND sum(price) * 20000 > {twice} * count(*)"
_CLICK_ORDERS = "events WHERE type = 'order_completed' AND ts > {buy_open} AND ts <= {as_of}"
_CLICK_OPENS = "SELECT contact FROM events WHERE type = 'message_opened' AND ts > {silent_open} AND ts <= {as_of}"
_CLICK_GOOD = "GROUP BY contact HAVING count() >= 3 AND sum(price) * 200 > {twice} * count()"

QUESTION = Question(
    name="Q3",
    title=">= 3 purchases in 90 d, average, country, no open in 7 d",
    draw=_draw,
    ours=(
        "did order_completed at least 3 times in last {buy_h} hours"
        " and avg(order_completed.total) in last {buy_h} hours > {average}"
        " and country = {country} and did not message_opened in last {silent_h} hours"
    ),
    duckdb={
        "joins before": Form(
            f"SELECT contact FROM (SELECT contact, price FROM {_DUCK_ORDERS})"
            f" SEMI JOIN ({_DUCK_COUNTRY}) USING (contact) ANTI JOIN ({_DUCK_OPENS}) USING (contact) {_DUCK_GOOD}"
        ),
        "joins after": Form(
            f"SELECT contact FROM (SELECT contact FROM {_DUCK_ORDERS} {_DUCK_GOOD})"
            f" SEMI JOIN ({_DUCK_COUNTRY}) USING (contact) ANTI JOIN ({_DUCK_OPENS}) USING (contact)"
        ),
        "in": Form(
            f"SELECT contact FROM {_DUCK_ORDERS} AND contact IN ({_DUCK_COUNTRY})"
            f" AND contact NOT IN ({_DUCK_OPENS}) {_DUCK_GOOD}"
        ),
    },
    clickhouse={
        "in before": Form(
            f"SELECT contact FROM {_CLICK_ORDERS} AND contact IN ({_DUCK_COUNTRY})"
            f" AND contact NOT IN ({_CLICK_OPENS}) {_CLICK_GOOD}"
        ),
        "in after": Form(
            f"SELECT contact FROM (SELECT contact FROM {_CLICK_ORDERS} {_CLICK_GOOD})"
            f" WHERE contact IN ({_DUCK_COUNTRY}) AND contact NOT IN ({_CLICK_OPENS})"
        ),
        "from contacts": Form(
            "SELECT contact FROM contacts WHERE country = {country}"
            f" AND contact IN (SELECT contact FROM {_CLICK_ORDERS} {_CLICK_GOOD}) AND contact NOT IN ({_CLICK_OPENS})"
        ),
    },
    touched=_touched,
)
