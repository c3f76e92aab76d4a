"""Q10: three attributes."""

from __future__ import annotations

from tests.bench.engine import Constants, Form
from tests.bench.questions.question import Draw, Question, words
from tests.bench.workload import Workload


def _draw(draw: Draw) -> Constants:
    return {
        "gender": draw.value("gender", 2),
        "language": draw.value("language", 10),
        "device": draw.value("device", 4),
    }


def _touched(workload: Workload, constants: Constants) -> int:
    return 3 * workload.contacts + 3 * words(workload)


_SQL = "FROM contacts WHERE gender = {gender} AND language = {language} AND device = {device}"

QUESTION = Question(
    name="Q10",
    title="three attributes",
    draw=_draw,
    ours="gender = {gender} and language = {language} and device = {device}",
    duckdb={
        "where": Form(f"SELECT contact {_SQL}"),
        "count": Form(f"SELECT contact {_SQL}", count=f"SELECT count(*) {_SQL}"),
    },
    clickhouse={
        "where": Form(f"SELECT contact {_SQL}"),
        "count": Form(f"SELECT contact {_SQL}", count=f"SELECT count() {_SQL}"),
    },
    touched=_touched,
)
