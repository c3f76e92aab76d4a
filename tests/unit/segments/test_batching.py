"""What many events of one entry record is what they record one by one, whichever way they are folded."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest

from core.events.facts import Erasure, Merge
from core.index.index import Index
from core.query.binding.bind import bind
from core.query.execute import evaluate
from core.segments.changes import Change, MembershipChange
from core.segments.leaves import formula_of
from core.segments.saved import Saved
from core.segments.standing import Standing
from tests.generators.scene import Scene, make_scene
from tests.generators.world import Happened, Logged, batch
from tests.property.agreement import alone
from tests.property.brief import brief

_HOUR_US = 3_600_000_000


def rules(scene: Scene) -> list[Saved]:
    bound = [bind(question.rule, scene.names) for question in scene.questions]
    return [Saved.make(f"s{number}", 1, one) for number, one in enumerate(bound) if not one.parameters and alone(one)]


def records(scene: Scene, saved: list[Saved], parts: list[tuple[Logged, ...]], at_us: int) -> list[Change]:
    """Records of the facts that no event is among, then of `parts` at one instant each, then of a day."""
    standing = Standing(Index(), scene.world.zone, at_us - _HOUR_US)
    for one in saved:
        standing.save(one, (), standing.clock_us)
    # Nobody merges: unification gives no events of a contact that another one took in before.
    told = tuple(line for line in scene.world.log if not isinstance(line, Happened | Merge | Erasure))
    found: list[Change] = []
    for number, part in enumerate((told, *parts), 1):
        found += standing.apply(replace(batch(part, number), recorded_at_us=at_us))
    found += standing.advance(at_us + 24 * _HOUR_US)
    for one in saved:
        members = evaluate(one.bound, standing.publish().root, standing.clock_us, {}, knowledge=standing.knowledge)
        assert standing.members(one.name) == members.members, f"seed {scene.seed}: {brief(one.bound.rule)}"
    return found


#: Conditions that are mostly kept as numbers that events add to.
_ADDED_UP = frozenset(("EventCount", "EventAggregate", "MessageCount", "AttributeCondition"))


@pytest.mark.parametrize("seed", range(8))
def test_an_entry_of_many_events_of_few_contacts_records_what_they_record_one_by_one(seed: int) -> None:
    check(make_scene(seed, questions=20))


@pytest.mark.parametrize("seed", range(100, 112))
def test_the_same_of_rules_whose_numbers_are_added_up(seed: int) -> None:
    scene = make_scene(seed, questions=40, only=_ADDED_UP)
    tracked = [one for one in rules(scene) if formula_of(one, {}) is not None]
    assert tracked, f"seed {seed}"
    check(scene)


def check(scene: Scene) -> None:
    seed = scene.seed
    random = Random(seed)
    happened = tuple(line for line in scene.world.log if isinstance(line, Happened))
    few = random.sample(range(20), 4)
    # Contacts are independent of each other: giving most events to a few makes long chains of steps.
    events = tuple(replace(line, contact=random.choice(few)) if random.random() < 0.7 else line for line in happened)
    at_us = scene.world.moments.evaluation()
    saved = rules(scene)
    single = records(scene, saved, [(line,) for line in events], at_us)
    cuts = [0, *sorted(random.sample(range(len(events)), 3)), len(events)]
    some = records(scene, saved, [events[a:b] for a, b in pairwise(cuts)], at_us)
    whole = records(scene, saved, [events], at_us)
    assert _members(some) == _members(single), f"seed {seed}"
    assert _members(whole) == _members(single), f"seed {seed}"


def _members(changes: list[Change]) -> list[MembershipChange]:
    return [change for change in changes if isinstance(change, MembershipChange)]
