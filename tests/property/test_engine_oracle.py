"""Random rules over random worlds: the engine agrees with the oracle on every node, to the contact and microsecond.

`CDP_FUZZ_SECONDS` makes it run longer, from `CDP_FUZZ_SEED` on (a new one each time if only the first is set).
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator

import pytest

from core.index.digest import digest
from core.index.index import Index
from core.index.root import Root
from core.query.binding.bind import bind
from core.query.text.format import format_rule
from core.query.text.parse import parse
from tests.generators.scene import Scene, make_scene
from tests.generators.world import batches
from tests.property.agreement import compare, expect, explain, oracle_of, root_of
from tests.property.coverage import SCENES


def scenes() -> Iterator[Scene]:
    """The scenes of this run."""
    asked_s = os.environ.get("CDP_FUZZ_SECONDS")
    first = int(os.environ.get("CDP_FUZZ_SEED") or (secrets.randbelow(10**9) if asked_s else 0))
    deadline = time.monotonic() + float(asked_s or 0)
    seed = first
    while (time.monotonic() < deadline) if asked_s else (seed < first + SCENES):
        yield make_scene(seed)
        seed += 1


@pytest.mark.slow
def test_the_engine_agrees_with_the_oracle_on_every_node() -> None:
    for scene in scenes():
        check(scene)


def check(scene: Scene) -> None:
    """All questions of a scene, of the whole log and of its beginning, and of some candidates."""
    random, world, names = scene.random, scene.world, scene.names
    half = world.log[: random.randrange(1, len(world.log))]
    pairs = [(root_of(random, log), oracle_of(log, names, scene.knowledge)) for log in (world.log, half)]
    for question in scene.questions:
        bound = bind(question.rule, names)
        parameters = scene.arguments(bound.parameters)
        expected = [expect(oracle, question, parameters) for _, oracle in pairs]
        some = frozenset(c for c in range(pairs[0][0].contact_count) if random.random() < 0.3)
        for number, candidates in ((0, None), (0, some), (1, None)):
            root, oracle = pairs[number]
            found = compare(
                *(root, oracle, bound, question, parameters),
                candidates=candidates,
                knowledge=scene.knowledge,
                expected=expected[number],
            )
            assert found is None, explain(scene, found, question, parameters)


def test_a_published_root_stays_as_it_was() -> None:
    for seed in range(12):
        scene = make_scene(seed)
        random, log = scene.random, scene.world.log
        parts = batches(random, log)
        index = Index()
        published: list[tuple[Root, int]] = []
        seen = 0
        for batch in parts:
            index.apply(batch.events, batch.facts, batch.position)
            seen += len(batch.events) + len(batch.facts)
            if random.random() < 4 / len(parts):
                published.append((index.root(), seen))
        for root, lines in published:
            oracle = oracle_of(log[:lines], scene.names, scene.knowledge)
            for question in scene.questions[:4]:
                bound = bind(question.rule, scene.names)
                parameters = scene.arguments(bound.parameters)
                found = compare(root, oracle, bound, question, parameters, knowledge=scene.knowledge)
                assert found is None, f"seed {seed}: the root after {lines} facts: {found}"


def test_the_digest_does_not_show_how_facts_were_batched() -> None:
    for seed in range(8):
        scene = make_scene(seed, questions=0)
        one, two = (digest(root_of(scene.random, scene.world.log)) for _ in range(2))
        assert one == two, f"seed {seed}"
        assert one != digest(root_of(scene.random, scene.world.log[:-1])), f"seed {seed}"


def test_random_rules_have_one_text_each() -> None:
    for seed in range(40):
        for question in make_scene(seed).questions:
            text = format_rule(question.rule)
            assert parse(text) == question.rule, f"seed {seed}: {text}"
