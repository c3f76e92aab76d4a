"""Answers that are kept are the answers that would be given: as facts come, at many instants, within any budget."""

from __future__ import annotations

from random import Random

import pytest

from core.index.contact_set import ContactSet
from core.index.index import Index
from core.query.ast import AttributeCondition, Compare, Comparison, InList, Node
from core.query.binding.bind import bind
from core.query.execute import evaluate
from core.query.leaves.leaf_result import LeafResult
from services.segment_engine.leaf_store import LeafStore
from tests.generators.scene import make_scene
from tests.generators.world import batches
from tests.unit.index.small_world import SmallWorld, apply, operands

_ANSWER = LeafResult(ContactSet.empty())
#: One that is kept until the attribute is written, and one that is kept for its version.
_STILL: tuple[str, Node] = ("", AttributeCondition(Comparison("city", Compare.EQ, operands("Kyiv"))))
_OF_VERSION: tuple[str, Node] = ("", InList("vip"))


@pytest.mark.parametrize("budget_bytes", [0, 20_000, 1 << 30])
def test_kept_answers_are_those_that_would_be_given(budget_bytes: int) -> None:
    hits = 0
    for seed in range(2):
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


def test_answers_of_a_version_that_nobody_holds_are_dropped() -> None:
    store, index = LeafStore(1 << 20), Index()
    apply(index, SmallWorld().contacts(0).attribute(0, "city", "Kyiv", 1).log, 1)
    for key in (_STILL, _OF_VERSION):
        store.at(index.root(), 5)[key] = _ANSWER
    assert (len(store), store.at(index.root(), 5).get(_OF_VERSION)) == (2, _ANSWER)
    apply(index, SmallWorld().event(0, "site_visited", 2).log, 2)
    view = store.at(index.root(), 5)
    assert (view.get(_STILL), view.get(_OF_VERSION), len(store)) == (_ANSWER, None, 1)
    del view
    apply(index, SmallWorld().attribute(0, "city", "Lviv", 3).log, 3)
    assert store.at(index.root(), 5).get(_STILL) is None
    assert (len(store), store.nbytes) == (0, 0)


def test_answers_at_an_instant_that_passed_are_dropped() -> None:
    store, index = LeafStore(1 << 20), Index()
    apply(index, SmallWorld().contacts(0).attribute(0, "city", "Kyiv", 1).log, 1)
    root = index.root()
    late = store.at(root, 5, passing=True)
    late[_OF_VERSION] = late[_STILL] = _ANSWER
    store.at(root, 4)[_OF_VERSION] = _ANSWER
    assert len(store) == 3
    newer = store.at(root, 6, passing=True)
    assert (newer.get(_OF_VERSION), newer.get(_STILL), store.at(root, 4).get(_OF_VERSION)) == (None, _ANSWER, _ANSWER)
    late[_OF_VERSION] = _ANSWER
    assert late.get(_OF_VERSION) is _ANSWER, "the evaluation that is still running keeps its own"
    assert len(store) == 2
