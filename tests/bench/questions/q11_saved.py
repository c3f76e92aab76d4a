"""Q11: (s1 or s2) and not s3 and s4 of saved segments: our standing sets against stored groupBitmaps."""

from __future__ import annotations

from tests.bench.engine import Constants, Form
from tests.bench.questions.question import Draw, Question, words
from tests.bench.questions.saved_segments import SAVED
from tests.bench.workload import Workload


def _draw(draw: Draw) -> Constants:
    chosen = draw.some_of(len(SAVED), 4)
    return {f"s{place}": number + 1 for place, number in enumerate(chosen, 1)}


def _touched(workload: Workload, constants: Constants) -> int:
    return 4 * words(workload)


def _one(place: int) -> str:
    return f"(SELECT groupBitmapMergeState(members) FROM saved WHERE segment = {{s{place}}})"


_JOINED = f"bitmapAnd(bitmapAndnot(bitmapOr({_one(1)}, {_one(2)}), {_one(3)}), {_one(4)})"


def _picked(place: int) -> str:
    return f"groupBitmapMergeStateIf(members, segment = {{s{place}}})"


_PICKED = f"bitmapAnd(bitmapAndnot(bitmapOr({_picked(1)}, {_picked(2)}), {_picked(3)}), {_picked(4)})"
_FROM = "FROM saved WHERE segment IN ({s1}, {s2}, {s3}, {s4})"

QUESTION = Question(
    name="Q11",
    title="(s1 or s2) and not s3 and s4, saved",
    draw=_draw,
    ours=lambda ours, constants, as_of_us: ours.saved_combination(constants),
    duckdb={},
    clickhouse={
        "one read each": Form(f"SELECT bitmapCardinality({_JOINED})"),
        "one read of all": Form(f"SELECT bitmapCardinality({_PICKED}) {_FROM}"),
    },
    touched=_touched,
    in_mean=False,
)
