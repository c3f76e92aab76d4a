"""Every class of the language has an oracle property: the random rules say it, and somebody would notice if it lied."""

from __future__ import annotations

from typing import get_args

from core.query import ast
from tests.generators.rules import WEIGHTS
from tests.generators.scene import make_scene
from tests.property.coverage import SCENES, Tally, tallied, wanted


def test_every_condition_is_generated() -> None:
    assert set(WEIGHTS) == {one.__name__ for one in get_args(ast.Condition)}


def test_the_table_is_made_from_the_classes() -> None:
    rows = wanted()
    classes = (ast.Condition, ast.Window, ast.FilterNode, ast.Operand, ast.Measure)
    assert {one.__name__ for union in classes for one in get_args(union)} <= set(rows)
    assert {"Branch", "Step", "ProductCondition", "Moments", "Circle", "Limit", "Rule.base"} <= set(rows)
    assert {"Compare.EQ", "Stock.LOW", "Daypart.NIGHT", "Sequence.same", "ElementMatch.every"} <= set(rows)


def test_every_part_of_the_language_separates() -> None:
    tally = Tally()
    for seed in range(SCENES):
        scene = make_scene(seed)
        tallied(tally, scene, scene.questions)
    missing = tally.missing()
    assert missing == [], f"no oracle property would notice a wrong answer of {missing}; see python -m {_TABLE}"


_TABLE = "tests.property.coverage"
