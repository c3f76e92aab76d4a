"""Limits and bases of rules."""

from __future__ import annotations

import random
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest

from core.query.ast import (
    AggregateMeasure,
    AttributeMeasure,
    Branch,
    CountMeasure,
    EventSelection,
    Everyone,
    Function,
    Limit,
    Op,
    Rule,
    Scope,
    SegmentReference,
)
from core.query.execute import evaluate
from core.query.leaves.hashes import hashes, hashes_of
from core.query.names import BoundRule
from tests.unit.index.small_world import SmallWorld, members
from tests.unit.query.population_world import random_world, rule_of

BOUGHT = EventSelection(("bought",))


def hash_of(salt: str, key: str) -> int:
    return int.from_bytes(sha256(f"shop\0{salt}\0{key}".encode()).digest()[:8], "big")


def limited(limit: Limit) -> BoundRule:
    rule = rule_of(Everyone())
    return replace(rule, rule=replace(rule.rule, limit=limit))


@pytest.mark.parametrize("seed", range(30))
def test_the_best_with_ties_by_hash(seed: int) -> None:
    root, plain = random_world(seed, large=seed % 5 == 0)
    draw = random.Random(seed)
    known = [contact for contact in range(len(plain.known)) if plain.known[contact]]
    spent = {c: sum(one.units or 0 for one in plain.until(c, 0, 400)) for c in known if plain.until(c, 0, 400)}
    number = {c: len(plain.until(c, 0, 400)) for c in known if plain.until(c, 0, 400)}
    score = {c: plain.score[c] for c in known if plain.score[c] is not None}
    for _ in range(5):
        by, values = draw.choice(
            (
                (AttributeMeasure("score"), score),
                (CountMeasure(BOUGHT), number),
                (AggregateMeasure(Function.SUM, "total", BOUGHT), spent),
                (None, dict.fromkeys(known, 0)),
            )
        )
        limit = Limit(draw.randint(0, 12), by, draw.random() < 0.5, draw.choice(("", "a")))
        sign = 1 if limit.smallest else -1
        order = sorted(values, key=lambda c: (sign * (values[c] or 0), hash_of(limit.salt, f"key-{c}"), f"key-{c}"))
        assert members(root, limited(limit), 400) == set(order[: limit.count]), limit


def test_a_limit_in_a_segment_that_is_referred_to() -> None:
    world = SmallWorld().contacts(0, 1, 2, 3)
    for contact, score in enumerate((5, 9, 7, 9)):
        world.attribute(contact, "score", score)
    root = world.on_list(1, "out", True).root()
    best = limited(Limit(2, AttributeMeasure("score")))
    assert members(root, best, 1) == {1, 3}
    reference = SegmentReference("best")
    outside = BoundRule(Rule((reference, Branch(Op.NOT, (0,)))), {}, {"best": best}, "UTC", setting=best.setting)
    assert members(root, outside, 1) == {0, 2}
    alone = evaluate(outside, root, 1, {}, np.array([2, 3], np.uint32))
    assert set(alone.members) == {2}
    assert [set(node) for node in alone.nodes] == [{3}, {2}]


def test_nodes_are_not_cut() -> None:
    root = SmallWorld().contacts(0, 1, 2).root()
    found = evaluate(limited(Limit(1)), root, 1, {})
    assert (len(found.members), len(found.nodes[-1])) == (1, 3)


def test_a_base_narrows_every_node() -> None:
    world = SmallWorld().contacts(0, 1, 2).contacts(3, known=False)
    for contact in (0, 2, 3):
        world.attribute(contact, "bases", ("east", "north"))
    root = world.root()
    rule = BoundRule(Rule((Everyone(), Branch(Op.NOT, (0,))), Scope.KNOWN, "east"), {}, {}, "UTC")
    assert [set(node) for node in evaluate(rule, root, 1, {}).nodes] == [{0, 2}, set()]
    assert members(root, replace(rule, rule=Rule((Everyone(),), Scope.ALL, "north")), 1) == {0, 2, 3}
    assert members(root, replace(rule, rule=Rule((Everyone(),), Scope.ALL, "west")), 1) == set()


def test_hashes_of_texts_of_every_length() -> None:
    keys = ["", "a", "é" * 30, *("x" * length for length in range(40, 200))]
    found = hashes_of("shop", "salt", keys)
    assert found.dtype == np.uint64
    assert found.tolist() == [hash_of("salt", key) for key in keys]


def test_hashes_are_remembered_per_salt_and_never_for_ids_that_were_not_told() -> None:
    world = SmallWorld().contacts(*range(70)).event(70, "bought", 5)
    index = world.index()
    numbers = np.array([69, 3, 70, 0], np.uint32)
    root = index.root()
    expected = [hash_of("s", key) for key in ("key-69", "key-3", "", "key-0")]
    for _ in range(2):
        assert hashes(root, "shop", "s", numbers).tolist() == expected
    assert hashes(root, "shop", "t", numbers[:1]).tolist() == [hash_of("t", "key-69")]
    later = SmallWorld().contacts(70).log
    from tests.unit.index.small_world import apply

    apply(index, later, index.position + 1)
    assert hashes(index.root(), "shop", "s", numbers).tolist()[2] == hash_of("s", "key-70")
