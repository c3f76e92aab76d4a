"""Random rules over random worlds: the engine agrees with the oracle on every node, to the contact and microsecond.

`CDP_FUZZ_SECONDS` makes it run longer, from `CDP_FUZZ_SEED` on (a new one each time if only the first is set).
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from enum import Enum
from typing import get_args

import pytest

from core.index.digest import digest
from core.index.index import Index
from core.index.root import Root
from core.query import ast
from core.query.bind import bind
from core.query.format import format_rule
from core.query.parse import parse
from tests.generators.scene import Scene, make_scene
from tests.generators.world import batches
from tests.property.agreement import compare, explain, oracle_of, root_of

#: Scenes of a run that nobody asked to be longer.
SAMPLE = 80


def scenes() -> Iterator[Scene]:
    """The scenes of this run."""
    asked_s = os.environ.get("CDP_FUZZ_SECONDS")
    first = int(os.environ.get("CDP_FUZZ_SEED") or (secrets.randbelow(10**9) if asked_s else 0))
    deadline = time.monotonic() + float(asked_s or 0)
    seed = first
    while (time.monotonic() < deadline) if asked_s else (seed < first + SAMPLE):
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
    pairs = [(root_of(random, log), oracle_of(log, names)) for log in (world.log, half)]
    for question in scene.questions:
        bound = bind(question.rule, names)
        parameters = scene.arguments(bound.parameters)
        for (root, oracle), candidates in ((pairs[0], False), (pairs[0], True), (pairs[1], False)):
            some = frozenset(c for c in range(root.contact_count) if random.random() < 0.3) if candidates else None
            found = compare(root, oracle, bound, question, parameters, some)
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
            oracle = oracle_of(log[:lines], scene.names)
            for question in scene.questions[:4]:
                bound = bind(question.rule, scene.names)
                found = compare(root, oracle, bound, question, scene.arguments(bound.parameters))
                assert found is None, f"seed {seed}: the root after {lines} facts: {found}"


def test_the_digest_does_not_show_how_facts_were_batched() -> None:
    for seed in range(40):
        scene = make_scene(seed, questions=0)
        one, two = (digest(root_of(scene.random, scene.world.log)) for _ in range(2))
        assert one == two, f"seed {seed}"
        assert one != digest(root_of(scene.random, scene.world.log[:-1])), f"seed {seed}"


def test_random_rules_have_one_text_each() -> None:
    for seed in range(40):
        for question in make_scene(seed).questions:
            text = format_rule(question.rule)
            assert parse(text) == question.rule, f"seed {seed}: {text}"


def test_random_rules_cover_the_language() -> None:
    seen: set[object] = set()
    for seed in range(60):
        scene = make_scene(seed)
        for rule in (*(q.rule for q in scene.questions), *scene.names.segments.values()):
            parts: list[object] = [rule]
            while parts:
                part = parts.pop()
                if isinstance(part, tuple):
                    parts += part
                elif hasattr(part, "__dataclass_fields__"):
                    seen.add(type(part))
                    parts += [getattr(part, name) for name in part.__dataclass_fields__]
                elif isinstance(part, Enum):
                    seen.add(part)
    wanted: set[object] = {ast.Branch, *get_args(ast.Condition), *get_args(ast.FilterNode), *get_args(ast.Operand)}
    wanted |= set(get_args(ast.Window))
    for words in (ast.Op, ast.Compare, ast.Zone, ast.Period, ast.MessageVerb, ast.Function, ast.Scope):
        wanted |= set(words)
    assert wanted - seen == set()
