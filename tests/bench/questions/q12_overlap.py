"""Q12: how many contacts each two of 20 saved segments share. Rows: number, number (not smaller), contacts."""

from __future__ import annotations

from tests.bench.engine import Constants, Form
from tests.bench.questions.question import Draw, Question, words
from tests.bench.questions.saved_segments import SAVED
from tests.bench.workload import Workload


def _draw(draw: Draw) -> Constants:
    return {}


def _touched(workload: Workload, constants: Constants) -> int:
    return len(SAVED) * words(workload)


_MERGED = "SELECT segment, groupBitmapMergeState(members) AS members FROM saved GROUP BY segment"

QUESTION = Question(
    name="Q12",
    title="overlap of 20 saved segments",
    draw=_draw,
    ours=lambda ours, constants, as_of_us: ours.saved_overlap(),
    duckdb={},
    clickhouse={
        "join": Form(
            "SELECT a.segment, b.segment, bitmapAndCardinality(a.members, b.members) FROM saved AS a, saved AS b"
            " WHERE a.segment <= b.segment"
        ),
        "arrays": Form(
            "WITH (SELECT groupArray((segment, members)) FROM saved) AS sets"
            " SELECT x.1, y.1, bitmapAndCardinality(x.2, y.2) FROM (SELECT arrayJoin(sets) AS x) AS a,"
            " (SELECT arrayJoin(sets) AS y) AS b WHERE x.1 <= y.1"
        ),
        "merged": Form(
            f"SELECT a.segment, b.segment, bitmapAndCardinality(a.members, b.members) FROM ({_MERGED}) AS a,"
            f" ({_MERGED}) AS b WHERE a.segment <= b.segment"
        ),
    },
    touched=_touched,
    in_mean=False,
)
