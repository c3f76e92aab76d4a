"""The row path says of every contact and every rule what the set path says."""

from __future__ import annotations

import pytest

from core.query.binding.bind import bind
from core.query.execute import evaluate
from core.query.row import RowRule
from tests.generators.scene import make_scene
from tests.property.agreement import root_of


@pytest.mark.parametrize("seed", range(24))
def test_the_row_path_agrees_with_the_set_path(seed: int) -> None:
    scene = make_scene(seed)
    root = root_of(scene.random, scene.world.log)
    asked = 0
    for question in scene.questions:
        bound = bind(question.rule, scene.names)
        if bound.parameters or bound.rule.limit is not None:
            continue
        row_rule = RowRule(bound)
        members = evaluate(bound, root, question.as_of_us, {}).members
        for contact in range(root.contact_count):
            said = row_rule.holds(root, contact, question.as_of_us)
            assert said == (contact in members), f"seed {seed}: contact {contact} of {question.rule}"
            asked += 1
    assert asked > 0
