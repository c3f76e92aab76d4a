"""Conjuncts in any order, each asked only about those who are left, find whom evaluating every node finds."""

from __future__ import annotations

import numpy as np
import pytest

from core.query import plan
from core.query.binding.bind import bind
from core.query.execute import evaluate
from core.query.plan import conjuncts, first_nodes, planned
from tests.generators.scene import Scene, make_scene
from tests.property.agreement import root_of


def test_planned_members_are_those_of_every_node(monkeypatch: pytest.MonkeyPatch) -> None:
    several = sum(check(make_scene(seed), monkeypatch) for seed in range(16))
    assert several > 16


def check(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> int:
    """All questions of a scene; how many were answered in more than one step."""
    root = root_of(scene.random, scene.world.log)
    several = 0
    for question in scene.questions:
        bound = bind(question.rule, scene.names)
        parameters = scene.arguments(bound.parameters)
        some = np.array([c for c in range(root.contact_count) if scene.random.random() < 0.4], np.uint32)
        for candidates in (None, some):
            wanted = evaluate(bound, root, question.as_of_us, parameters, candidates, None, scene.knowledge).members
            # Whatever asking about a contact is taken to cost, the answer is the same.
            for work in (0, 1, 10**9):
                monkeypatch.setattr(plan, "_CONTACT_WORK", work)
                monkeypatch.setattr(plan, "_LEAST_WORK", -1 if work == 0 else 50_000)
                found, how = planned(
                    bound, root, question.as_of_us, parameters, candidates, None, scene.knowledge, texts=True
                )
                assert found == wanted, f"seed {scene.seed}: {question.rule}\n{how}"
                several += len(how.steps) > 1
    return several


def test_conjuncts_are_contiguous_and_cover_the_leaves() -> None:
    for seed in range(40):
        for question in make_scene(seed).questions:
            nodes = question.rule.nodes
            firsts = first_nodes(nodes)
            for part in conjuncts(nodes):
                assert firsts[part.node] == part.first, f"seed {seed}"
