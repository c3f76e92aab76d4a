"""Sweeps over neighbouring steps answer as the pass over sorted events does."""

from __future__ import annotations

import random

import numpy as np
import pytest

from core.clock import SECOND_US
from core.index.root import Root
from core.query.ast import Compare, Comparison, EventSelection, InLast, Literal, Sequence, Step
from core.query.execute_context import Context
from core.query.leaves import sequence_chain
from core.query.leaves.leaf_sequence import sequence_leaf
from core.query.leaves.sequence_chain import chain_members, is_chain
from core.query.leaves.sequence_events import are_few, possible_events
from tests.unit.index.small_world import SmallWorld

SEED = 97
S = SECOND_US
NOW = 60 * S
CONTACTS = 40


def world(rng: random.Random) -> Root:
    """Events in many runs, some of which overlap in time, with equal instants."""
    made = SmallWorld().contacts(*range(CONTACTS))
    for number in range(900):
        at = number // 20 * S if rng.random() < 0.8 else rng.randrange(70) * S
        contact = int(CONTACTS * rng.random() ** 2)
        made.event(contact, rng.choice(("view", "view", "cart", "order")), at, {"n": rng.randrange(3)})
    return made.root(60, root_each=True)


def draw_step(rng: random.Random, *, negative: bool, first: bool) -> Step:
    tree = (Comparison("n", Compare.EQ, (Literal(rng.randrange(3)),)),) if rng.random() < 0.4 else ()
    names = rng.choice((("view",), ("cart",), ("order",), ("view", "cart"), ("never",) if negative else ("cart",)))
    within_us = None if first or rng.random() < 0.3 else rng.choice((0, 1, 2, 5, 12, 50)) * S
    from_first = within_us is not None and rng.random() < 0.05
    return Step(EventSelection(names, tree, None), negative, None, within_us, from_first)


def draw_sequence(rng: random.Random) -> Sequence:
    positive = rng.randrange(1, 4)
    signs = [False] * positive + [True] * rng.randrange(0 if positive > 1 else 1, 3)
    steps = tuple(draw_step(rng, negative=sign, first=place == 0) for place, sign in enumerate(signs))
    return Sequence(steps, rng.choice((None, InLast(30 * S), InLast(8 * S))))


@pytest.mark.parametrize("threads", (1, 2))
def test_chains_hold_for_whom_the_pass_finds(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    monkeypatch.setattr(sequence_chain, "_LEAST_PART", 1 if threads == 2 else 10**9)
    chains = holding = 0
    for _ in range(6):
        root = world(rng)
        for _ in range(120):
            monkeypatch.setattr(sequence_chain, "_ROWS_A_WORD", rng.choice((0.5, 10.0)))
            monkeypatch.setattr(sequence_chain, "_LIMITS", rng.choice((0, 4)))
            condition = draw_sequence(rng)
            some = np.flatnonzero(np.array([rng.random() < 0.7 for _ in range(CONTACTS)])).astype(np.uint32)
            context = Context(root, NOW - rng.randrange(3) * S, "UTC", rng.choice((None, some)))
            picks = possible_events(condition, context, bare=False)
            assert are_few(picks), "the other side of the comparison is the pass"
            if not picks[0] or not is_chain(condition, picks):
                continue
            found = chain_members(condition, picks, context.as_of_us, root.contact_count)
            assert found == sequence_leaf(condition, context).found, f"{condition} at {context.as_of_us}"
            chains += 1
            holding += len(found) > 0
    assert chains > 300
    assert holding > 100


def test_what_is_no_chain() -> None:
    root = world(random.Random(SEED))
    context = Context(root, NOW, "UTC")

    def step(name: str, *, negative: bool = False, from_first: bool = False) -> Step:
        return Step(EventSelection((name,), (), None), negative, None, S if from_first else None, from_first)

    def is_one(*steps: Step) -> bool:
        condition = Sequence(steps, None)
        return is_chain(condition, possible_events(condition, context, bare=False))

    assert is_one(step("view"), step("cart"), step("order", negative=True))
    assert is_one(step("view"), step("view"), step("view"))
    assert not is_one(step("view"), step("order", negative=True), step("cart")), "forbidden between two steps"
    assert not is_one(step("view"), step("cart"), step("cart", negative=True)), "an event does not forbid itself"
    assert not is_one(step("view"), step("cart"), step("order", from_first=True)), "measured from the first"
