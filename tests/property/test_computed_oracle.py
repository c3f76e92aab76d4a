"""Computed attributes and interests agree with the oracle: in rules of every kind, of everyone, of some, contact by
contact, and as segments that are kept current, at every instant.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from random import Random

import pytest

from core.analytics.contact_values import Scored, attributes_of, interests_of
from core.index.index import Index
from core.query.ast import AttributeMeasure
from core.query.binding.bind import bind
from core.query.binding.bind_measure import bind_measure
from core.query.execute_context import Context
from core.query.row import RowRule
from core.segments.changes import Change, MembershipChange
from core.segments.saved import Saved
from core.segments.standing import Standing
from tests.generators.computed_rules import ComputedRules
from tests.generators.plain import plain_rule, plain_value
from tests.generators.scene import Question, Scene, make_scene
from tests.generators.world import batches
from tests.oracle import interests
from tests.oracle.values import key
from tests.property.agreement import alone, compare, expect, explain, oracle_of, root_of
from tests.property.brief import brief
from tests.property.test_standing_oracle import Follower, timed

_FIRST = int(os.environ.get("CDP_FUZZ_SEED", "0"))
SEEDS = range(_FIRST, _FIRST + (40 if "CDP_FUZZ_SECONDS" in os.environ else 6))


def computed_scene(seed: int, questions: int = 10) -> Scene:
    """The world of a scene, asked about computed attributes."""
    scene = make_scene(seed, questions=0)
    rules = ComputedRules(Random(seed), scene.world.moments, replace(scene.names, segments={}))
    asked = tuple(
        Question(rules.rule(scene.random.randint(0, 3)), scene.world.moments.evaluation()) for _ in range(questions)
    )
    return replace(scene, names=rules.names, questions=asked)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_rules_that_name_computed_attributes_agree_with_the_oracle(seed: int) -> None:
    scene = computed_scene(seed)
    root, oracle = root_of(scene.random, scene.world.log), oracle_of(scene.world.log, scene.names)
    for question in scene.questions:
        bound = bind(question.rule, scene.names)
        wanted = expect(oracle, question, {})
        some = frozenset(c for c in range(root.contact_count) if scene.random.random() < 0.3)
        for candidates in (None, some):
            found = compare(root, oracle, bound, question, {}, candidates=candidates, expected=wanted)
            assert found is None, explain(scene, found, question, {})
        if bound.rule.limit is not None:
            continue
        row = RowRule(bound)
        got = {c for c in range(root.contact_count) if row.holds(root, c, question.as_of_us)}
        assert got == wanted.members, f"seed {seed}, row path: {brief(question.rule)}"


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_read_of_contacts_is_what_the_oracle_computes(seed: int) -> None:
    scene = computed_scene(seed, questions=0)
    root, oracle = root_of(scene.random, scene.world.log), oracle_of(scene.world.log, scene.names)
    measures = {name: bind_measure(AttributeMeasure(name), scene.names, name)[0] for name in scene.names.computed}
    for _ in range(6):
        as_of_us = scene.world.moments.evaluation()
        rows = {row.contact.number: row for row in oracle.rows({"scope": "all"}, as_of_us, {})}
        asked = Context(root, as_of_us, scene.world.zone, None, scene.names.setting)
        contacts = scene.random.sample(sorted(rows), len(rows))
        for contact, got in zip(contacts, attributes_of(measures, contacts, asked), strict=True):
            wanted = {name: rows[contact].attribute(name) for name in measures}
            present = {name: key(value) for name, value in wanted.items() if value is not None}
            assert {name: key(plain_value(value)) for name, value in got.items()} == present, f"seed {seed}, {contact}"
        for model in scene.names.setting.interests.values():
            plain = oracle.setting["interests"][model.name]
            for contact, got_scores in zip(contacts, interests_of(model, contacts, asked, 3), strict=True):
                sums = interests.sums(rows[contact], plain)
                best = sorted(sums, key=lambda text: (-sums[text], text.encode()))
                scored = [Scored(text, interests.units(sums[text])) for text in best if interests.units(sums[text])]
                assert list(got_scores) == scored[:3], f"seed {seed}, contact {contact}, {model.name}"


@dataclass(frozen=True)
class _Kept:
    """A rule as written, and as it is kept current."""

    question: Question
    saved: Saved


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_segments_of_computed_attributes_are_kept_exact(seed: int) -> None:
    scene = computed_scene(seed)
    random = scene.random
    bound = [(question, bind(question.rule, scene.names)) for question in scene.questions]
    kept = [
        _Kept(question, Saved.make(f"s{number}", 1, one)) for number, (question, one) in enumerate(bound) if alone(one)
    ]
    parts = timed(random, scene, batches(random, scene.world.log))
    standing = Standing(Index(), scene.world.zone, parts[0].recorded_at_us - 1)
    follower = Follower()
    for one in kept:
        follower.follow(standing.save(one.saved, (), standing.clock_us))
    lines = 0
    for part in parts:
        until_us = standing.clock_us + max(0, part.recorded_at_us - standing.clock_us) // random.choice((1, 2, 3))
        passed = standing.advance(until_us)
        follower.follow(passed)
        _check_turns(passed, scene, kept, lines)
        follower.follow(standing.apply(part))
        lines += len(part.events) + len(part.facts)
        if len(parts) < 20 or random.random() < 0.1:
            _check_now(standing, follower, scene, kept, lines)
    _check_now(standing, follower, scene, kept, lines)
    passed = standing.advance(standing.clock_us + 40 * 86_400_000_000)
    follower.follow(passed)
    _check_turns(random.sample(passed, min(20, len(passed))), scene, kept, lines)
    _check_now(standing, follower, scene, kept, lines)


def _check_now(standing: Standing, follower: Follower, scene: Scene, kept: list[_Kept], lines: int) -> None:
    oracle = oracle_of(scene.world.log[:lines], scene.names)
    published = standing.publish()
    for one in kept:
        wanted = set(oracle.members(plain_rule(one.question.rule), standing.clock_us, {}))
        what = f"seed {scene.seed}, {lines} facts, as of {standing.clock_us}: {brief(one.question.rule)}"
        assert set(published.segments[one.saved.name].members.numbers().tolist()) == wanted, what
        assert follower.members.get(one.saved.name, set()) == wanted, f"records: {what}"


def _check_turns(changes: Iterable[Change], scene: Scene, kept: list[_Kept], lines: int) -> None:
    """What time changed is so at its instant, and was not one microsecond before."""
    oracle = oracle_of(scene.world.log[:lines], scene.names)
    by_name = {one.saved.name: one.question for one in kept}
    for change in list(changes)[:10]:
        assert isinstance(change, MembershipChange)
        question = by_name[change.segment]
        for earlier_us in (0, 1):
            members = oracle.members(plain_rule(question.rule), change.effective_at_us - earlier_us, {})
            entered = change.entered if earlier_us == 0 else not change.entered
            assert (change.contact in members) is entered, f"seed {scene.seed}: {change} of {brief(question.rule)}"
