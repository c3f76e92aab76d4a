"""One pass over columns answers as the general way does, which is the one of candidates."""

from __future__ import annotations

import random

import numpy as np
import pytest

from core.events.columns import MACHINE
from core.index.root import Root
from core.query.ast import (
    Branch,
    Compare,
    Comparison,
    EventAggregate,
    EventCount,
    EventSelection,
    FilterTree,
    Function,
    InLast,
    Literal,
    Node,
    Op,
    Operand,
    Scope,
)
from core.query.execute import evaluate
from core.query.execute_context import Context
from core.query.rows import event_fold, event_pass
from core.query.rows.event_fold import fold_of
from core.query.rows.event_pass import passes
from core.schema import DecimalUnits, Instant, Scalar
from tests.unit.index.small_world import SmallWorld, bound, operands

SEED = 61
NOW = 1000
LEAST, GREATEST = -(2**63), 2**63 - 1
CONTACTS = 400
RELATIONS = (Compare.EQ, Compare.NE, Compare.LT, Compare.LE, Compare.GT, Compare.GE)


@pytest.fixture(autouse=True, params=(1, 10**9), ids=("parted", "whole"))
def in_parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once with every pass shared by two threads, once by one alone."""
    for module in (event_pass, event_fold):
        monkeypatch.setattr(module, "_LEAST_PART", request.param)


def world(seed: int, *, extreme: bool) -> Root:
    """Bought: every event has whole `n`, decimal `price`, text `shop`, instant `at`; viewed: only some have them."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    made = SmallWorld().contacts(*range(CONTACTS))
    numbers = (LEAST, GREATEST, 0, 1) if extreme else (0, 1, 2, 5, -3, 300)
    for _ in range(1500):
        params: dict[str, Scalar] = {
            "n": rng.choice(numbers),
            "price": DecimalUnits(rng.randrange(-3, 40) * 2_500),
            "shop": rng.choice(("a", "b", "c")),
            "at": Instant(rng.randrange(NOW)),
        }
        kind = rng.choice(("bought", "bought", "viewed"))
        if kind == "viewed":
            params = {name: value for name, value in params.items() if rng.random() < 0.8}
            if rng.random() < 0.2:
                params["n"] = DecimalUnits(15_000)
        contact = int(CONTACTS * rng.random() ** 3)
        flags = MACHINE if rng.random() < 0.05 and kind == "viewed" else 0
        made.event(contact, kind, rng.randrange(NOW + 30), params, flags=flags)
    return made.root(300, root_each=True)


def filters(rng: random.Random) -> FilterTree:
    """None, one comparison, several joined by and, or something that is no range."""

    def literals(name: str, compare: Compare) -> tuple[Operand, ...]:
        count = 2 if compare is Compare.BETWEEN else 1
        texts = ("a", "b", "nowhere")
        value: Scalar = rng.choice(texts) if name == "shop" else rng.choice((0, 1, 3, GREATEST, DecimalUnits(12_345)))
        return tuple(Literal(value if k == 0 or name == "shop" else 4) for k in range(count))

    def one() -> Comparison:
        name = rng.choice(("n", "price", "shop", "missing"))
        plain = (Compare.EQ,) if name == "shop" else (*RELATIONS, Compare.BETWEEN)
        compare = rng.choice(plain)
        return Comparison(name, compare, literals(name, compare), ignoring_case=name == "shop" and rng.random() < 0.2)

    match rng.randrange(5):
        case 0:
            return ()
        case 1 | 2:
            return (one(),)
        case 3:
            return (one(), one(), Branch(Op.AND, (0, 1)))
        case _:
            return (one(), one(), Branch(Op.OR, (0, 1)))


def agree(root: Root, node: Node, as_of_us: int) -> None:
    everyone = np.arange(root.contact_count, dtype=np.uint32)
    asked = bound(node, scope=Scope.ALL)
    whole = evaluate(asked, root, as_of_us, {}).members
    general = evaluate(asked, root, as_of_us, {}, everyone).members
    assert whole == general, f"{node} at {as_of_us}"
    assert whole.numbers().max(initial=0) < CONTACTS


@pytest.mark.parametrize("extreme", (False, True))
def test_counts(extreme: bool) -> None:
    root = world(SEED, extreme=extreme)
    rng = random.Random(SEED)
    for _ in range(250):
        names = rng.choice((("bought",), ("viewed",), ("bought", "viewed"), ("never",)))
        window = rng.choice((None, InLast(200), InLast(900), InLast(5)))
        selection = EventSelection(names, filters(rng), window)
        compare = rng.choice((*RELATIONS, Compare.BETWEEN))
        limits = (0, 1, 2, 3, 20, 254, 255, 256, 300, -1, 2**32 - 1, 2**40)
        counts = operands(*(rng.choice(limits) for _ in range(2 if compare is Compare.BETWEEN else 1)))
        agree(root, EventCount(selection, compare, counts), rng.choice((NOW, NOW + 50, 500, 0, -1)))


@pytest.mark.parametrize("extreme", (False, True))
def test_aggregates(extreme: bool) -> None:
    root = world(SEED + 1, extreme=extreme)
    rng = random.Random(SEED)
    for _ in range(250):
        function = rng.choice((Function.SUM, Function.AVG, Function.MIN, Function.MAX))
        path = rng.choice(("n", "price", "price", "missing"))
        names = rng.choice((("bought",), ("viewed",), ("bought", "viewed")))
        selection = EventSelection(names, filters(rng), rng.choice((None, InLast(200), InLast(900), InLast(2))))
        compare = rng.choice((*RELATIONS, Compare.BETWEEN, Compare.PRESENT, Compare.MISSING))
        if function is Function.SUM and compare in (Compare.PRESENT, Compare.MISSING):
            compare = Compare.GT
        values: tuple[Scalar, ...] = (0, 1, -3, 40, DecimalUnits(21_667), DecimalUnits(-1), GREATEST, LEAST, 2**64)
        needed = {Compare.BETWEEN: 2, Compare.PRESENT: 0, Compare.MISSING: 0}.get(compare, 1)
        chosen = operands(*(rng.choice(values) for _ in range(needed)))
        agree(root, EventAggregate(function, path, selection, compare, chosen), rng.choice((NOW, NOW + 50, 500)))


def test_instants_have_extremes() -> None:
    root = world(SEED + 2, extreme=False)
    for function in (Function.MIN, Function.MAX):
        for compare in RELATIONS:
            condition = EventAggregate(function, "at", EventSelection(("bought",)), compare, operands(Instant(700)))
            agree(root, condition, NOW)


def test_what_goes_which_way() -> None:
    root = world(SEED + 3, extreme=False)
    context = Context(root, NOW, "UTC")
    cheap = (Comparison("price", Compare.LT, operands(2)),)
    ranges = passes(EventSelection(("bought",), cheap), context)
    assert ranges is not None
    assert all(len(one.ranges) == 1 and one.mask is None for one in ranges)
    sparse = passes(EventSelection(("viewed",), cheap), context)
    assert sparse is not None
    assert all(one.mask is not None for one in sparse)
    assert passes(EventSelection(("bought",)), Context(root, NOW, "UTC", np.array([1], np.uint32))) is None

    def folded(root: Root, path: str, name: str) -> bool:
        condition = EventAggregate(Function.SUM, path, EventSelection((name,)), Compare.GT, operands(1))
        return fold_of(condition, Context(root, NOW, "UTC")) is not None

    assert folded(root, "price", "bought")
    assert folded(root, "n", "bought")
    assert not folded(root, "shop", "bought")
    assert not folded(root, "price", "viewed"), "some events have no price"
    assert not folded(world(SEED + 4, extreme=True), "n", "bought"), "a sum could leave int64"
