"""Segments kept current agree with the oracle after every entry and every passing of time; records are exact.

Nothing is approximate about a record of time: at its instant the oracle agrees with it, and one microsecond before it
the oracle still says the opposite. How facts were batched never shows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from random import Random

import pytest

from core.events.facts import AttributeWrite, ContactState, FactBatch, ListChange, Merge, ProductState, Unmerge
from core.index.index import Index
from core.query.binding.bind import bind
from core.segments.changes import BulkChange, Cause, Change, MembershipChange
from core.segments.saved import Saved
from core.segments.standing import Standing
from tests.generators.plain import plain_rule
from tests.generators.scene import Scene, make_scene
from tests.generators.world import Logged, batches
from tests.oracle import Oracle
from tests.property.agreement import alone, oracle_of
from tests.property.brief import brief

SEEDS = range(10)


def standing_rules(scene: Scene) -> list[Saved]:
    """The scene's rules without parameters, as saved segments; those whose numbers are published now and then are not
    comparable with the oracle at every instant (see test_standing_500.py)."""
    bound = [bind(question.rule, scene.names) for question in scene.questions]
    return [Saved.make(f"s{number}", 1, one) for number, one in enumerate(bound) if not one.parameters and alone(one)]


def timed(random: Random, scene: Scene, parts: list[FactBatch]) -> list[FactBatch]:
    """The batches at instants that never run back, on and beside the world's boundaries."""
    instants = sorted(scene.world.moments.evaluation() for _ in parts)
    return [replace(part, recorded_at_us=instant) for part, instant in zip(parts, instants, strict=True)]


class Follower:
    """Rebuilds memberships from records alone, and checks that they alternate and never run back."""

    def __init__(self) -> None:
        self.members: dict[str, set[int]] = {}
        self.last_us = -(2**63)

    def follow(self, changes: Iterable[Change]) -> None:
        for change in changes:
            assert change.recorded_at_us >= self.last_us, change
            self.last_us = change.recorded_at_us
            members = self.members.setdefault(change.segment, set())
            if isinstance(change, BulkChange):
                members |= set(change.entered.numbers().tolist())
                members -= set(change.left.numbers().tolist())
            elif change.entered:
                assert change.contact not in members, change
                members.add(change.contact)
            else:
                assert change.contact in members, change
                members.remove(change.contact)


def expected(oracle: Oracle, saved: Saved, as_of_us: int) -> set[int]:
    return set(oracle.members(plain_rule(saved.bound.rule), as_of_us, {}))


def check_now(standing: Standing, follower: Follower, scene: Scene, saved: list[Saved], lines: int) -> None:
    oracle = oracle_of(scene.world.log[:lines], scene.names)
    published = standing.publish()
    for one in saved:
        wanted = expected(oracle, one, standing.clock_us)
        what = f"seed {scene.seed}, {lines} facts, as of {standing.clock_us}: {brief(one.bound.rule)}"
        assert set(published.segments[one.name].members.numbers().tolist()) == wanted, what
        assert follower.members.get(one.name, set()) == wanted, f"records: {what}"


def check_time_records(changes: Iterable[Change], scene: Scene, saved: list[Saved], lines: int) -> None:
    oracle = oracle_of(scene.world.log[:lines], scene.names)
    by_name = {one.name: one for one in saved}
    for change in list(changes)[:20]:
        assert isinstance(change, MembershipChange)
        assert change.cause is Cause.TIME
        one = by_name[change.segment]
        what = f"seed {scene.seed}: {change} of {brief(one.bound.rule)}"
        assert (change.contact in expected(oracle, one, change.effective_at_us)) is change.entered, what
        assert (change.contact in expected(oracle, one, change.effective_at_us - 1)) is not change.entered, what


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_standing_segments_agree_with_the_oracle_and_records_of_time_are_exact(seed: int) -> None:
    scene = make_scene(seed)
    random = scene.random
    parts = timed(random, scene, batches(random, scene.world.log))
    saved = standing_rules(scene)
    standing = Standing(Index(), scene.world.zone, parts[0].recorded_at_us - 1)
    follower = Follower()
    for one in saved:
        follower.follow(standing.save(one, (), standing.clock_us))
    lines = 0
    for part in parts:
        until_us = standing.clock_us + max(0, part.recorded_at_us - standing.clock_us) // random.choice((1, 2, 3))
        passed = standing.advance(until_us)
        follower.follow(passed)
        check_time_records(passed, scene, saved, lines)
        follower.follow(standing.apply(part))
        lines += len(part.events) + len(part.facts)
        if len(parts) < 20 or random.random() < 0.1:
            check_now(standing, follower, scene, saved, lines)
    check_now(standing, follower, scene, saved, lines)
    last = standing.advance(standing.clock_us + 400 * 86_400_000_000)
    follower.follow(last)
    check_time_records(random.sample(last, min(20, len(last))), scene, saved, lines)
    check_now(standing, follower, scene, saved, lines)


def entries(random: Random, log: tuple[Logged, ...]) -> list[FactBatch]:
    """The log cut at random places, but never within what one accepted item said: unification does not either."""
    found: list[FactBatch] = []
    start = 0
    for end in range(1, len(log) + 1):
        whole = end == len(log) or not one_item(log[end - 1], log[end])
        if whole and (end == len(log) or random.random() < 0.3):
            found += batches(random, log[start:end], cuts=False)
            start = end
    return found


def one_item(before: Logged, after: Logged) -> bool:
    """Whether two neighbours in the log may have come of one item: see core/segments/waves.py."""
    if isinstance(before, Merge):
        contact = before.survivor
    elif isinstance(before, ContactState | AttributeWrite | ListChange):
        contact = before.contact
    else:
        return False
    return not isinstance(after, Merge | Unmerge | ProductState) and after.contact == contact


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_records_do_not_depend_on_batching(seed: int) -> None:
    scene = make_scene(seed)
    saved = standing_rules(scene)
    instants = sorted(scene.world.moments.evaluation() for _ in range(8))
    log = scene.world.log
    cuts = sorted(Random(seed).sample(range(len(log) + 1), 7))
    chunks = [log[a:b] for a, b in zip([0, *cuts], [*cuts, len(log)], strict=True)]

    def records(batching: Random) -> list[Change]:
        standing = Standing(Index(), scene.world.zone, instants[0] - 1)
        found: list[Change] = []
        for one in saved:
            found += standing.save(one, (), standing.clock_us)
        position = 0
        for instant, chunk in zip(instants, chunks, strict=True):
            for part in entries(batching, chunk):
                position += 1
                found += standing.apply(replace(part, position=position, recorded_at_us=instant))
        return found

    first, second = records(Random(seed)), records(Random(seed + 1000))
    assert [c for c in first if isinstance(c, MembershipChange)] == [
        c for c in second if isinstance(c, MembershipChange)
    ], f"seed {seed}"
