"""Q8: spent more than x in about 365 days."""

from __future__ import annotations

from tests.bench.engine import Constants, Form, Money
from tests.bench.questions.question import Draw, Question, rows_in
from tests.bench.workload import Workload


def _draw(draw: Draw) -> Constants:
    return {"amount": Money(draw.between(10_000, 90_000)), **draw.window("buy", 365)}


def _touched(workload: Workload, constants: Constants) -> int:
    return 8 * rows_in(workload, "order_completed", constants["buy_h"]) + 2 * 8 * workload.contacts


_DUCK = "FROM order_completed WHERE ts > {buy_open} AND ts <= {as_of} GROUP BY contact"
_CLICK = "FROM events WHERE type = 'order_completed' AND ts > {buy_open} AND ts <= {as_of} GROUP BY contact"

QUESTION = Question(
    name="Q8",
    title="spent more than x in 365 d",
    draw=_draw,
    ours="sum(order_completed.total) in last {buy_h} hours > {amount}",
    duckdb={
        "having": Form(f"SELECT contact {_DUCK} HAVING sum(price) > {{amount}}"),
        "sum of cents in 64 bits": Form(
            f"SELECT contact FROM (SELECT contact, sum_no_overflow((price * 100)::INTEGER) AS cents {_DUCK})"
            " WHERE cents > {amount} * 100"
        ),
    },
    clickhouse={
        "having": Form(f"SELECT contact {_CLICK} HAVING sum(price) > {{amount}}"),
        "sum of the outer": Form(
            f"SELECT contact FROM (SELECT contact, sum(price) AS cents {_CLICK}) WHERE cents > {{amount}}"
        ),
    },
    touched=_touched,
)
