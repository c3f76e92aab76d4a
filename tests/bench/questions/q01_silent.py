"""Q1: three attributes, and no open in about 180 days."""

from __future__ import annotations

from tests.bench.engine import Constants, Form
from tests.bench.questions.question import Draw, Question, rows_in, words
from tests.bench.workload import Workload

_WHO = "gender = {gender} AND age < {age} AND country IN ({first}, {second}, {third})"


def _draw(draw: Draw) -> Constants:
    first, second, third = draw.values("country", 12, 3)
    return {
        "gender": draw.value("gender", 2),
        "age": draw.between(20, 50),
        "first": first,
        "second": second,
        "third": third,
        **draw.window("silent", 180),
    }


def _touched(workload: Workload, constants: Constants) -> int:
    opens = rows_in(workload, "message_opened", constants["silent_h"])
    return 3 * workload.contacts + 4 * opens + 3 * words(workload)


_DUCK_OPENS = "FROM message_opened WHERE ts > {silent_open} AND ts <= {as_of}"
_CLICK_OPENS = "FROM events WHERE type = 'message_opened' AND ts > {silent_open} AND ts <= {as_of}"

QUESTION = Question(
    name="Q1",
    title="gender, age, 3 countries, no open in 180 d",
    draw=_draw,
    ours=(
        "gender = {gender} and age < {age} and country in ({first}, {second}, {third})"
        " and did not message_opened in last {silent_h} hours"
    ),
    duckdb={
        "anti join": Form(
            f"SELECT contact FROM contacts ANTI JOIN (SELECT contact {_DUCK_OPENS}) USING (contact) WHERE {_WHO}"
        ),
        "not in": Form(f"SELECT contact FROM contacts WHERE {_WHO} AND contact NOT IN (SELECT contact {_DUCK_OPENS})"),
        "except": Form(f"SELECT contact FROM contacts WHERE {_WHO} EXCEPT SELECT contact {_DUCK_OPENS}"),
    },
    clickhouse={
        "not in": Form(f"SELECT contact FROM contacts WHERE {_WHO} AND contact NOT IN (SELECT contact {_CLICK_OPENS})"),
        "except": Form(f"SELECT contact FROM contacts WHERE {_WHO} EXCEPT SELECT contact {_CLICK_OPENS}"),
        "bitmaps": Form(
            f"SELECT contact FROM contacts WHERE {_WHO} AND contact NOT IN (SELECT contact {_CLICK_OPENS})",
            count=(
                f"SELECT bitmapAndnotCardinality((SELECT groupBitmapState(contact) FROM contacts WHERE {_WHO}),"
                f" (SELECT groupBitmapState(contact) {_CLICK_OPENS}))"
            ),
        ),
    },
    touched=_touched,
)
