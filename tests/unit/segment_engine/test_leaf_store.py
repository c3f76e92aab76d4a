"""Answers that are kept are the answers that would be given: as facts come, at many instants, within any budget."""

from __future__ import annotations

from random import Random

import pytest

from core.index.index import Index
from core.query.binding.bind import bind
from core.query.execute import evaluate
from services.segment_engine.leaf_store import LeafStore
from tests.generators.scene import make_scene
from tests.generators.world import batches


@pytest.mark.parametrize("budget_bytes", [0, 20_000, 1 << 30])
def test_kept_answers_are_those_that_would_be_given(budget_bytes: int) -> None:
    hits = 0
    for seed in range(4):
        scene = make_scene(seed, questions=6)
        random = Random(seed)
        store = LeafStore(budget_bytes)
        index = Index()
        bound = [bind(question.rule, scene.names) for question in scene.questions]
        arguments = [scene.arguments(one.parameters) for one in bound]
        instants = [question.as_of_us for question in scene.questions]
        for batch in batches(random, scene.world.log):
            index.apply(batch.events, batch.facts, batch.position)
            if random.random() > 0.3:
                continue
            root = index.root()
            for one, parameters in zip(bound, arguments, strict=True):
                as_of_us = random.choice(instants)
                fresh = evaluate(one, root, as_of_us, parameters, None, None, scene.knowledge).members
                for _ in range(2):
                    view = store.at(root, as_of_us)
                    kept = evaluate(one, root, as_of_us, parameters, None, view, scene.knowledge).members
                    assert kept == fresh, f"seed {seed}, as of {as_of_us}: {one.rule}"
        assert store.nbytes <= budget_bytes
        hits += store.hits
    assert (hits > 0) == (budget_bytes > 0)
