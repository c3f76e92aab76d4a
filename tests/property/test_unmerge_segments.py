"""Merges taken back at random places: the index, and segments kept current, are as in a world without those merges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest

from core.events.facts import Unmerge
from core.index.index import Index
from core.index.root import Root
from core.index.snapshot import decode, encode
from core.query.binding.bind import bind
from core.query.execute import evaluate
from core.segments.changes import BulkChange, Cause, Change
from core.segments.saved import Saved
from core.segments.standing import Standing
from tests.generators.scene import Scene, make_scene
from tests.generators.unmerges import entries, parted
from tests.generators.world import Logged
from tests.oracle import Oracle
from tests.property.agreement import oracle_of
from tests.property.brief import brief
from tests.property.test_standing_oracle import Follower, expected, one_item, standing_rules

SEEDS = range(8)


def shown(root: Root) -> dict[str, object]:
    """The facts of a root by contact, whatever their numbering inside."""
    everyone = root.exists(2**62).numbers()
    events = {
        (
            int(run.contacts[row]),
            name,
            int(run.occurred_at_us[row]),
            run.event_id(row),
            bool(run.by_machine(slice(row, row + 1))[0]),
        )
        for name, runs in root.events.items()
        for run in runs
        for row in range(len(run))
    }
    writes: dict[str, list[tuple[int, ...]]] = {}
    for name, view in root.attributes.items():
        run = view.all_writes()
        columns = (run.contacts, run.at_us, run.kinds)  # in the order of the log where instants are equal
        writes[name] = list(zip(*(column.tolist() for column in columns), strict=True))
    instants = sorted({us for view in root.lists.values() for us in view.all_writes().at_us.tolist()})
    return {
        "contacts": list(zip(everyone.tolist(), root.keys_of(everyone), strict=True)),
        "earliest": root.contacts.earliest_of(everyone).tolist(),
        "reachable": root.contacts.reachable_of(everyone).tolist(),
        "known": root.known(everyone).numbers().tolist(),
        "events": events,
        "writes": {name: rows for name, rows in writes.items() if rows},
        "lists": {
            (name, us): members
            for name in root.lists
            for us in instants
            if (members := root.on_list(name, us).numbers().tolist())
        },
    }


@pytest.mark.parametrize("seed", range(40))
def test_the_index_is_as_if_never_merged(seed: int) -> None:
    scene, random = make_scene(seed, questions=8), Random(seed)
    worlds = parted(random, scene.world.log)
    assert any(isinstance(line, Unmerge) for line in worlds.log)
    roots = []
    for log in (worlds.log, worlds.never):
        index = Index()
        for part in entries(random, log):
            index.apply(part.events, part.facts, part.position)
            match random.randrange(12):
                case 0:
                    index = decode(encode(index.root()))
                case 1 | 2:
                    for runs in index.root().events.values():
                        for run in runs:
                            run.contact_order()
                case 3:
                    index.compact()
        roots.append(index.root())
    assert shown(roots[0]) == shown(roots[1]), f"seed {seed}"
    for question in scene.questions:  # statistics, RFM and limits among them
        bound = bind(question.rule, scene.names)
        arguments = scene.arguments(bound.parameters)
        one, other = (evaluate(bound, root, question.as_of_us, arguments) for root in roots)
        found = [[node.numbers().tolist() for node in (*said.nodes, said.members)] for said in (one, other)]
        assert found[0] == found[1], f"seed {seed}: {brief(question.rule)}"


def agree(published: Standing, follower: Follower, oracle: Oracle, saved: Sequence[Saved], what: str) -> None:
    """Members, and what the records lead to, are what the oracle says."""
    views = published.publish().segments
    for one in saved:
        wanted = expected(oracle, one, published.clock_us)
        assert set(views[one.name].members.numbers().tolist()) == wanted, f"{what}: {brief(one.bound.rule)}"
        assert follower.members.get(one.name, set()) == wanted, f"records, {what}: {brief(one.bound.rule)}"


def unmerges_are_one_step(changes: Sequence[Change], log: Sequence[Logged]) -> None:
    """By an unmerge nobody but its two contacts changes, and each at most once in a segment."""
    both = {contact for line in log if isinstance(line, Unmerge) for contact in (line.survivor, line.restored)}
    by_unmerge = [c for c in changes if not isinstance(c, BulkChange) and c.cause is Cause.UNMERGE]
    assert {change.contact for change in by_unmerge} <= both
    count = sum(isinstance(line, Unmerge) for line in log)
    for contact, segment in {(c.contact, c.segment) for c in by_unmerge}:
        assert sum((c.contact, c.segment) == (contact, segment) for c in by_unmerge) <= count


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_records_of_unmerges_do_not_depend_on_batching(seed: int) -> None:
    scene = make_scene(seed)
    saved, log = standing_rules(scene), parted(Random(seed), scene.world.log).log
    found: list[list[Change]] = []
    for batching in (Random(seed), Random(seed + 1000)):
        standing = Standing(Index(), scene.world.zone, scene.world.moments.as_of_us)
        for one in saved:
            standing.save(one, (), standing.clock_us)
        records: list[Change] = []
        for part in entries(batching, log, one_item):
            records += standing.apply(replace(part, recorded_at_us=standing.clock_us))
        found.append(records)
    assert found[0] == found[1], f"seed {seed}"


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_segments_follow_unmerges_and_end_as_if_never_merged(seed: int) -> None:
    scene: Scene = make_scene(seed)
    random = scene.random
    worlds = parted(random, scene.world.log)
    saved = standing_rules(scene)
    plain = [one for one in saved if not one.touches.histories]
    parts = entries(random, worlds.log)
    instants = sorted(scene.world.moments.evaluation() for _ in parts)
    standing = Standing(Index(), scene.world.zone, instants[0] - 1)
    follower = Follower()
    for one in saved:
        follower.follow(standing.save(one, (), standing.clock_us))
    lines = 0
    for part, instant in zip(parts, instants, strict=True):
        follower.follow(standing.advance(standing.clock_us + max(0, instant - standing.clock_us) // 2))
        changes = standing.apply(replace(part, recorded_at_us=instant))
        follower.follow(changes)
        told = worlds.log[lines : lines + len(part.events) + len(part.facts)]
        lines += len(told)
        unmerged = any(isinstance(line, Unmerge) for line in told)
        unmerges_are_one_step(changes, told)
        if len(parts) < 20 or random.random() < (0.5 if unmerged else 0.05):
            oracle = oracle_of(worlds.log[:lines], scene.names)
            agree(standing, follower, oracle, saved, f"seed {seed}, {lines} facts, as of {standing.clock_us}")
    never = oracle_of(worlds.never, scene.names)
    agree(standing, follower, never, plain, f"seed {seed}, never merged, as of {standing.clock_us}")
    follower.follow(standing.advance(standing.clock_us + 400 * 86_400_000_000))
    agree(standing, follower, never, plain, f"seed {seed}, later, as of {standing.clock_us}")
