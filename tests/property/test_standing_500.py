"""500 live segments of all classes, kept current as facts come and time passes, equal evaluation from scratch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from random import Random

import pytest

from core.clock import DAY_US, SECOND_US
from core.events.facts import FactBatch
from core.index.index import Index
from core.query.ast import Branch, Rule, SegmentReference
from core.query.binding.bind import bind
from core.query.execute import LeafCache, evaluate
from core.query.knowledge import Knowledge
from core.query.names import BoundRule
from core.segments.changes import BulkChange, Change
from core.segments.saved import Saved
from core.segments.standing import Standing
from tests.generators.rules import WEIGHTS, RuleMaker
from tests.generators.scene import Scene, make_scene
from tests.generators.world import batch
from tests.property.brief import brief

SEGMENTS = 500
WAVES = 5
#: Facts of the world that take part.
LINES = 130
#: Conditions that a standing segment may not have yet, by the names of their classes.
NOT_YET: frozenset[str] = frozenset()


def saved_segments(scene: Scene) -> list[Saved]:
    """The scene's own segments, to which others refer, and random ones; a condition of each class in turn."""
    found = [
        Saved.make(name, 1, bind(rule, scene.names, as_name=name))
        for name, rule in scene.names.segments.items()
        if name != "by section" and not NOT_YET & classes(rule)
    ]
    return [*found, *islice(random_segments(scene), SEGMENTS - len(found))]


def random_segments(scene: Scene) -> Iterator[Saved]:
    random, moments = scene.random, scene.world.moments
    live = [name for name in WEIGHTS if name not in NOT_YET]
    number = 0
    while True:
        only = frozenset((live[number % len(live)], random.choice(live)))
        maker = RuleMaker(random, moments, scene.names, parameters=False, only=only)
        bound = bind(maker.rule(random.choice((0, 0, 1, 2))), scene.names)
        if not bound.parameters:
            yield Saved.make(f"s{number}", 1, bound)
        number += 1


def classes(rule: Rule) -> set[str]:
    """The conditions that a rule has."""
    return {type(node).__name__ for node in rule.nodes if not isinstance(node, Branch)}


def waves(random: Random, scene: Scene) -> list[FactBatch]:
    """The beginning of the log in parts, at instants some days apart that never run back."""
    log = scene.world.log[:LINES]
    cuts = sorted(random.sample(range(1, len(log)), WAVES - 1))
    middle_us = scene.world.moments.as_of_us
    instants = sorted(middle_us + random.choice((-1, 0, 1)) + random.randrange(-2, 3) * DAY_US for _ in range(WAVES))
    parts = zip([0, *cuts], [*cuts, len(log)], instants, strict=True)
    return [
        replace(batch(log[first:end], number), recorded_at_us=at_us)
        for number, (first, end, at_us) in enumerate(parts, 1)
    ]


class Members:
    """Who is in each segment, by the records alone."""

    def __init__(self) -> None:
        self.of: dict[str, set[int]] = {}

    def follow(self, changes: Iterable[Change]) -> None:
        for change in changes:
            members = self.of.setdefault(change.segment, set())
            if isinstance(change, BulkChange):
                members |= set(change.entered.numbers().tolist())
                members -= set(change.left.numbers().tolist())
            else:
                assert (change.contact in members) is not change.entered, change
                (members.add if change.entered else members.remove)(change.contact)


def decided_together(bound: BoundRule) -> bool:
    """Whether a limit decides, which is settled at publications only."""
    return any(one.rule.limit is not None for one in (bound, *bound.segments.values()))


def check(standing: Standing, saved: list[Saved], recorded: Members, seed: int, *, settled: bool = False) -> int:
    """Every segment equals its evaluation from scratch, against the published numbers or, once all is `settled`,
    against its own; returns how many have members but not everybody."""
    published = standing.publish()
    known = standing.knowledge
    knowledge = Knowledge(histories=known.histories) if settled else known
    cache: LeafCache = {}
    separating = 0
    for one in saved:
        members = set(published.segments[one.name].members.numbers().tolist())
        what = f"seed {seed}, {one.name} as of {standing.clock_us}: {brief(one.bound.rule)}"
        assert recorded.of.get(one.name, set()) == members, f"records: {what}"
        if settled or not decided_together(one.bound):
            fresh = evaluate(one.bound, published.root, standing.clock_us, {}, cache=cache, knowledge=knowledge)
            wanted = set(fresh.members.numbers().tolist())
            assert members == wanted, f"{what}: missing {sorted(wanted - members)}, too many {sorted(members - wanted)}"
        separating += 0 < len(members) < published.root.contact_count
    return separating


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 3, 6])
def test_500_live_segments_equal_from_scratch(seed: int) -> None:
    scene = make_scene(seed, questions=0)
    random = scene.random
    saved = saved_segments(scene)
    assert len(saved) == SEGMENTS
    wanted = set(WEIGHTS) - NOT_YET - {SegmentReference.__name__}
    assert wanted <= set().union(*(classes(one.bound.rule) for one in saved))
    parts = waves(random, scene)
    standing, recorded = Standing(Index(), scene.world.zone, parts[0].recorded_at_us - 1), Members()
    for one in saved:
        recorded.follow(standing.save(one, (), standing.clock_us))
    separating = 0
    for part in parts:
        recorded.follow(standing.advance(standing.clock_us + (part.recorded_at_us - standing.clock_us) // 2))
        recorded.follow(standing.apply(part))
        separating = check(standing, saved, recorded, seed)
    assert separating > SEGMENTS // 4
    for passed_us in (SECOND_US, 2 * DAY_US, 2 * SECOND_US, 2 * SECOND_US):
        recorded.follow(standing.advance(standing.clock_us + passed_us))
        check(standing, saved, recorded, seed)
    check(standing, saved, recorded, seed, settled=True)
