"""Sequences against every assignment of a contact's events, tried one after the other."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from core.clock import SECOND_US
from core.query.ast import (
    Branch,
    Compare,
    Comparison,
    ElementMatch,
    EventSelection,
    FilterTree,
    InLast,
    Literal,
    Op,
    Sequence,
    Step,
    StepOperand,
)
from core.query.execute import leaf
from core.query.execute_context import Context
from core.query.leaves.leaf_sequence import sequence_witness, step_events
from core.query.leaves.sequence_join import assignments
from tests.unit.index.small_world import SmallWorld

SEED = 77
S = SECOND_US
NOW = 30 * S


@dataclass(frozen=True)
class Row:
    type: str
    at_us: int
    params: Mapping[str, Any]
    items: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Shared:
    """What all steps hold: the path and the value."""

    same: str
    value: Any


Bound = Mapping[str, Row]
Test = Callable[[Row, Bound, Shared | None], bool]


@dataclass(frozen=True)
class Filter:
    """A filter as text for the engine, and what it says of a row, the steps bound so far and the shared value."""

    tree: FilterTree
    holds: Test


def always() -> Filter:
    return Filter((), lambda row, bound, shared: True)


def lines_of(row: Row, shared: Shared | None) -> list[Mapping[str, Any]]:
    """The lines that a filter sees: those that hold the shared value, where it belongs to lines."""
    if shared is None or (shared.same == "p" and "p" in row.params):
        return list(row.items)
    return [line for line in row.items if line.get("p") == shared.value]


def own(compare: Compare, value: int) -> Filter:
    tree = (Comparison("q", compare, (Literal(value),)),)

    def holds(row: Row, bound: Bound, shared: Shared | None) -> bool:
        q = row.params.get("q")
        return q is not None and bool(q >= value if compare is Compare.GE else q == value)

    return Filter(tree, holds)


def like_step(step: str, negated: bool) -> Filter:
    tree = (Comparison("p", Compare.NE if negated else Compare.EQ, (StepOperand(step, "p"),)),)

    def holds(row: Row, bound: Bound, shared: Shared | None) -> bool:
        mine, theirs = row.params.get("p"), bound[step].params.get("p")
        return (mine is not None and mine == theirs) != negated

    return Filter(tree, holds)


def at_least_step(step: str) -> Filter:
    tree = (Comparison("q", Compare.GE, (StepOperand(step, "q"),)),)

    def holds(row: Row, bound: Bound, shared: Shared | None) -> bool:
        mine, theirs = row.params.get("q"), bound[step].params.get("q")
        return mine is not None and theirs is not None and bool(mine >= theirs)

    return Filter(tree, holds)


def line_like_step(step: str, least: int) -> Filter:
    inside: FilterTree = (
        Comparison("p", Compare.EQ, (StepOperand(step, "p"),)),
        Comparison("q", Compare.GE, (Literal(least),)),
        Branch(Op.AND, (0, 1)),
    )

    def holds(row: Row, bound: Bound, shared: Shared | None) -> bool:
        wanted = bound[step].params.get("p")
        return any(
            line.get("p") is not None and line.get("p") == wanted and line.get("q", -1) >= least
            for line in lines_of(row, shared)
        )

    return Filter((ElementMatch("items", inside),), holds)


def both(one: Filter, other: Filter, op: Op) -> Filter:
    """The two joined; nodes of the second are moved behind those of the first."""
    if not one.tree or not other.tree:
        return one if one.tree else other
    size = len(one.tree)
    moved = tuple(
        replace(node, children=tuple(child + size for child in node.children)) if isinstance(node, Branch) else node
        for node in other.tree
    )
    tree = (*one.tree, *moved, Branch(op, (size - 1, size + len(moved) - 1)))
    join = all if op is Op.AND else any
    return Filter(tree, lambda r, b, s: join((one.holds(r, b, s), other.holds(r, b, s))))


@dataclass(frozen=True)
class Asked:
    condition: Sequence
    tests: tuple[Test, ...]
    window_us: int | None


def shared_values(row: Row, same: str | None) -> set[Any]:
    if same is None:
        return {None}
    if same == "p" and "p" in row.params:
        return {row.params["p"]}
    return {line["p"] for line in row.items if "p" in line}


def sequence_holds(asked: Asked, rows: list[Row]) -> bool:
    rows = [row for row in rows if row.at_us <= NOW]
    steps = asked.condition.steps
    same = asked.condition.same
    values = {value for row in rows for value in shared_values(row, same)}
    return any(True for value in values for _ in _assignments(asked, steps, rows, same, value))


def _assignments(
    asked: Asked, steps: tuple[Step, ...], rows: list[Row], same: str | None, value: Any
) -> Iterator[tuple[Row, ...]]:
    def may_be(number: int, row: Row, chosen: tuple[Row, ...]) -> bool:
        if row.type not in steps[number].events.names or value not in shared_values(row, same):
            return False
        names = [step.name for step in steps if not step.negative]
        bound = {name: at for name, at in zip(names, chosen, strict=False) if name}
        return asked.tests[number](row, bound, Shared(same, value) if same else None)

    def extend(number: int, chosen: tuple[Row, ...], waiting: tuple[int, ...]) -> Iterator[tuple[Row, ...]]:
        if number == len(steps):
            if all(_spared(n, chosen, None) for n in waiting):
                yield chosen
            return
        step = steps[number]
        if step.negative:
            yield from extend(number + 1, chosen, (*waiting, number))
            return
        for row in rows:
            if not may_be(number, row, chosen) or any(row is one for one in chosen):
                continue
            if not chosen:
                if asked.window_us is not None and not NOW - asked.window_us < row.at_us <= NOW:
                    continue
            else:
                since = chosen[0] if step.from_first else chosen[-1]
                if row.at_us <= chosen[-1].at_us:
                    continue
                if step.within_us is not None and row.at_us > since.at_us + step.within_us:
                    continue
                if not all(_spared(n, chosen, row) for n in waiting):
                    continue
            yield from extend(number + 1, (*chosen, row), ())

    def _spared(number: int, chosen: tuple[Row, ...], following: Row | None) -> bool:
        step, last = steps[number], chosen[-1]
        since = chosen[0].at_us if step.from_first else last.at_us
        matched = chosen if following is None else (*chosen, following)
        if following is None:
            end = NOW if step.within_us is None else since + step.within_us
            if end > NOW:
                return False
            inside = [row for row in rows if last.at_us <= row.at_us <= end]
        else:
            end = following.at_us if step.within_us is None else min(since + step.within_us, following.at_us)
            inside = [row for row in rows if last.at_us <= row.at_us < end]
        return not any(may_be(number, row, chosen) for row in inside if not any(row is one for one in matched))

    yield from extend(0, (), ())


def random_rows(rng: random.Random) -> list[Row]:
    rows = []
    for _ in range(rng.randrange(1, 8)):
        params: dict[str, Any] = {}
        if rng.random() < 0.7:
            params["p"] = rng.choice("xyz")
        if rng.random() < 0.7:
            params["q"] = rng.randrange(3)
        items: list[dict[str, Any]] = []
        for _ in range(rng.choice((0, 0, 1, 2))):
            line: dict[str, Any] = {"q": rng.randrange(3)}
            if rng.random() < 0.8:
                line["p"] = rng.choice("xyz")
            items.append(line)
        rows.append(Row(rng.choice("abc"), rng.randrange(1, 33) * S, params, tuple(items)))
    return rows


def random_asked(rng: random.Random, *, crossing: bool) -> Asked:
    count = rng.randrange(2, 5)
    same = rng.choice((None, None, "p", "items.p"))
    steps: list[Step] = []
    tests: list[Test] = []
    names: list[str] = []
    for number in range(count):
        negative = number > 0 and rng.random() < 0.4
        chosen = always()
        if rng.random() < 0.4:
            chosen = own(rng.choice((Compare.GE, Compare.EQ)), rng.randrange(3))
        if names and crossing and rng.random() < 0.8:
            step = rng.choice(names)
            kind = rng.randrange(10)
            if kind < 5:
                like = like_step(step, rng.random() < 0.3)
            else:
                like = at_least_step(step) if kind < 7 else line_like_step(step, rng.randrange(2))
            chosen = both(chosen, like, rng.choice((Op.AND, Op.AND, Op.OR)))
        name = f"s{number}" if not negative and rng.random() < 0.7 else None
        within = rng.choice((None, None, 0, 3, 8, 15)) if number else None
        events = EventSelection(tuple(rng.sample("abc", rng.choice((1, 1, 2)))), chosen.tree)
        from_first = within is not None and rng.random() < 0.25
        steps.append(Step(events, negative, name, None if within is None else within * S, from_first))
        tests.append(chosen.holds)
        if name:
            names.append(name)
    window_us = rng.choice((None, 20 * S))
    window = None if window_us is None else InLast(window_us)
    return Asked(Sequence(tuple(steps), window, same), tuple(tests), window_us)


def world_of(rows_of: list[list[Row]]) -> SmallWorld:
    world = SmallWorld().contacts(*range(len(rows_of)))
    for contact, rows in enumerate(rows_of):
        for row in rows:
            world.event(contact, row.type, row.at_us, row.params, row.items)
    return world


@pytest.mark.parametrize("crossing", [False, True])
def test_sequences_are_what_trying_every_assignment_says(crossing: bool) -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED + crossing)
    both_ways = 0
    for _ in range(30):
        rows_of = [random_rows(rng) for _ in range(25)]
        root = world_of(rows_of).root(entry_facts=rng.choice((7, 10**9)), root_each=True)
        context = Context(root, NOW, "UTC")
        for _ in range(8):
            asked = random_asked(rng, crossing=crossing)
            expected = {contact for contact, rows in enumerate(rows_of) if sequence_holds(asked, rows)}
            found = set(leaf(asked.condition, context).within(root.exists(NOW)))
            assert found == expected, asked.condition
            both_ways += 0 < len(expected) < len(rows_of)
            few = np.array(sorted(rng.sample(range(25), 3)), np.uint32)
            some = Context(root, NOW, "UTC", few)
            assert set(leaf(asked.condition, some).within(root.exists(NOW, few))) == expected & set(few.tolist())
            joined = step_events(asked.condition, context)
            places = assignments(joined, context)[0]
            assert set((joined[0].keys[places] >> np.uint64(32)).tolist()) == expected
            contact = rng.randrange(25)
            assert bool(sequence_witness(asked.condition, context, contact)) == (contact in expected)
    assert both_ways > 80


def after(*steps: Step, window: InLast | None = None, same: str | None = None) -> Sequence:
    return Sequence(tuple(steps), window, same)


def step(*names: str, **how: Any) -> Step:
    return Step(EventSelection(names), **how)


def holders(world: SmallWorld, condition: Sequence, now_us: int = NOW) -> set[int]:
    root = world.root()
    return set(leaf(condition, Context(root, now_us, "UTC")).within(root.exists(now_us)))


def events_of(*contacts: str) -> SmallWorld:
    """A world of events at the instants of their letters: "a.b" has a at 1, nothing at 2, b at 3."""
    world = SmallWorld().contacts(*range(len(contacts)))
    for contact, letters in enumerate(contacts):
        for at_us, group in enumerate(letters.split(" ") if " " in letters else letters, 1):
            for letter in group.strip("."):
                world.event(contact, letter, at_us)
    return world


def test_limits_are_inclusive_and_steps_strictly_later() -> None:
    world = events_of("ab", "a.b", "ba", "ab a", "a a b")
    assert holders(world, after(step("a"), step("b"))) == {0, 1, 4}
    assert holders(world, after(step("a"), step("b", within_us=1))) == {0, 4}
    assert holders(world, after(step("a"), step("a"))) == {3, 4}
    assert holders(world, after(step("a"), step("b")), 2) == {0}


def test_the_matched_event_does_not_forbid_itself_but_its_twin_does() -> None:
    world = events_of("a", "aa a", "a.b", "ab", "aa ")
    silence = after(step("a"), step("a", "b", negative=True, within_us=2))
    assert holders(world, silence, 10) == {0, 1}
    assert holders(world, silence, 3) == {0}
    assert holders(world, silence, 2) == set()


def test_negative_steps_between_two_positive_ones() -> None:
    world = events_of("a.b", "axb", "a x b", "a b x", "a ax b", "x a b")
    assert holders(world, after(step("a"), step("x", negative=True), step("b"))) == {0, 3, 5}
    limited = after(step("a"), step("x", negative=True, within_us=2), step("b"))
    assert holders(events_of("a.xb", "axb", "a x b", "a ax b", "a  ax b"), limited) == {0, 4}
    both = after(step("a"), step("x", negative=True), step("y", negative=True, within_us=2), step("b"))
    assert holders(events_of("a.b", "ayb", "a.yb", "axb"), both) == {0, 2}


def test_never_greedy() -> None:
    # The first b is too early for c, and the latest a is behind it.
    assert holders(events_of("abb....c"), after(step("a"), step("b"), step("c", within_us=5))) == {0}
    # The nearest a spoils b for "of the first", an earlier one does not.
    first = after(step("a"), step("b"), step("c", within_us=3, from_first=True))
    assert holders(events_of("ab.c", "a.abc", "ab..c"), first) == {0, 1}


def test_the_window_restricts_the_first_step_only() -> None:
    world = events_of("a.......b", "....a...b")
    assert holders(world, after(step("a"), step("b"), window=InLast(5)), 9) == {1}


def test_contacts_and_events_that_no_assignment_can_use_are_left_out_first() -> None:
    """So many events that sets and calendars narrow them, against the same question about one contact at a time."""
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    world = SmallWorld().contacts(*range(300))
    for _ in range(6_000):
        world.event(rng.randrange(300) * rng.randrange(2), rng.choice("aaabbc"), rng.randrange(10_000) * S)
    root = world.root(1_000, root_each=True)
    now_us = 9_000 * S
    sizes = set()
    for condition in (
        after(step("a"), step("b", within_us=100 * S), step("c", negative=True, within_us=2_000 * S)),
        after(step("c"), step("a", within_us=300 * S), step("b"), window=InLast(5_000 * S)),
        after(step("a"), step("b"), step("c", within_us=500 * S, from_first=True)),
        after(step("a", "b"), step("c", negative=True), step("a", "c", within_us=90 * S)),
    ):
        found = set(leaf(condition, Context(root, now_us, "UTC")).within(root.exists(now_us)))
        alone = {
            contact
            for contact in range(300)
            if len(leaf(condition, Context(root, now_us, "UTC", np.array([contact], np.uint32))).found)
        }
        assert found == alone
        sizes.add(len(found))
    assert 0 < min(sizes) < max(sizes) < 300


def test_a_witness_names_the_events() -> None:
    world = SmallWorld().contacts(0).event(0, "a", 1, event_id="one").event(0, "b", 2, event_id="two")
    world.event(0, "b", 5, event_id="three").event(0, "x", 3, event_id="between")
    context = Context(world.root(), NOW, "UTC")
    condition = after(step("a"), step("x", negative=True), step("b"))
    found = [(one.type_name, one.run.event_id(one.row)) for one in sequence_witness(condition, context, 0)]
    assert found == [("a", "one"), ("b", "two")]
    assert sequence_witness(after(step("b"), step("a")), context, 0) == ()
