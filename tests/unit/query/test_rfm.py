"""RFM scores, cells and moves, by exact counting."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from core.analytics.rfm import rfm_csv, rfm_matrix
from core.query.ast import EventSelection, Population, RfmInCell, RfmMoved, Scope
from core.query.execute import evaluate
from core.query.knowledge import Knowledge, RfmKey
from core.query.leaves.published import inputs_of, rfm_keys
from core.query.leaves.rfm_scores import cell_names, cell_table, thresholds
from core.query.leaves.rfm_values import general_rfm_values, rfm_values
from core.query.rfm_model import PURCHASES, Axis, NamedCell, RfmModel
from tests.unit.index.small_world import SmallWorld, members
from tests.unit.query.population_world import KNOWN, Plain, context, random_world, rule_of, setting

_ANY = (1, 5)
CELLS = (
    NamedCell("best", (3, 5), (2, 5), (3, 5)),
    NamedCell("new", (2, 5), (1, 2), _ANY),
    NamedCell("best", (1, 1), (4, 5), _ANY),  # a second rectangle of the same name
    NamedCell("poor", (1, 2), (1, 3), (1, 2)),
)
RANKED = RfmModel("m", EventSelection(("bought",)), "total", CELLS)
MODELS = (
    RANKED,
    replace(RANKED, period_us=150),
    replace(RANKED, value_path=None, recency=Axis(3), frequency=Axis(2), monetary=Axis(4)),
    replace(RANKED, recency=Axis(3, (50, 200)), frequency=Axis(3, (2, 4)), monetary=Axis(3, (0, 20_000))),
    replace(RANKED, recency=Axis(1), frequency=Axis(5, (1, 2, 3, 4))),
)
POPULATIONS = (KNOWN, Population(Scope.ALL, "east"), Population(Scope.ALL))


def cells_then(model: RfmModel, plain: Plain, population: Population, at_us: int) -> dict[int, str]:
    """The cell of everyone of the population, and "none" of everyone else without an event."""
    after_us = -1 if model.period_us is None else at_us - model.period_us
    found: dict[int, tuple[int, int, int]] = {}
    cells: dict[int, str] = {}
    inside = plain.population(population)
    for contact in range(len(plain.known)):
        events = plain.until(contact, after_us, at_us)
        if not events:
            cells[contact] = "none"
        elif contact in inside:
            value = sum(one.units or 0 for one in events) if model.value_path else 0
            found[contact] = (max(one.at_us for one in events), len(events), value)
    n = len(found)
    for contact, mine in found.items():
        scores = []
        for axis, place in ((model.recency, 0), (model.frequency, 1), (model.monetary, 2)):
            if axis.bounds is None:
                scores.append(1 + axis.bins * sum(other[place] < mine[place] for other in found.values()) // n)
            elif place == 0:
                scores.append(1 + sum(at_us - mine[0] <= bound for bound in axis.bounds))
            else:
                scores.append(1 + sum(mine[place] >= bound for bound in axis.bounds))
        cells[contact] = "other"
        for cell in model.cells:
            ranges = (cell.recency, cell.frequency, cell.monetary)
            if all(low <= score <= high for score, (low, high) in zip(scores, ranges, strict=True)):
                cells[contact] = cell.name
                break
    return cells


@pytest.mark.parametrize("seed", range(60))
def test_cells_and_moves_as_counted_by_hand(seed: int) -> None:
    root, plain = random_world(seed, sparse=seed % 2 == 0, large=seed % 5 == 0)
    draw = random.Random(seed)
    for _ in range(4):
        model, population = draw.choice(MODELS), draw.choice(POPULATIONS)
        as_of_us, age_us = draw.choice((90, 250, 400)), draw.choice((1, 60, 200))
        now, inside = cells_then(model, plain, population, as_of_us), set(plain.population(population))
        names = ("best", "new", "poor", "other", "none")
        wanted = tuple(name for name in names if draw.random() < 0.5) or ("other",)
        rule = rule_of(RfmInCell("m", wanted, population), population, (model,))
        assert members(root, rule, as_of_us) == {c for c in inside if now[c] in wanted}

        then = cells_then(model, plain, population, as_of_us - age_us)
        before = tuple(name for name in names if draw.random() < 0.4)
        after = tuple(name for name in names if draw.random() < 0.4)
        expected = {
            c
            for c in inside
            if c in then and then[c] != now[c] and (not before or then[c] in before) and (not after or now[c] in after)
        }
        rule = rule_of(RfmMoved("m", before, after, age_us, population), population, (model,))
        assert members(root, rule, as_of_us) == expected


@pytest.mark.parametrize("seed", range(20))
def test_the_matrix_adds_up(seed: int) -> None:
    root, plain = random_world(seed, sparse=seed % 2 == 0)
    draw = random.Random(seed)
    model, population = draw.choice(MODELS), draw.choice(POPULATIONS)
    as_of_us, since_us = 400, draw.choice((100, 300))
    now, then = (cells_then(model, plain, population, at) for at in (as_of_us, since_us))
    inside = plain.population(population)
    found = rfm_matrix(model, population, context(root, as_of_us, (model,)), since_us=since_us)
    assert [cell.name for cell in found.cells] == ["best", "new", "poor", "other", "none"]
    for cell in found.cells:
        mine = [c for c in inside if now[c] == cell.name]
        after_us = -1 if model.period_us is None else as_of_us - model.period_us
        money = [one.units or 0 for c in mine for one in plain.until(c, after_us, as_of_us)]
        assert (cell.contacts, cell.value_units) == (len(mine), sum(money) if model.value_path else 0)
    assert sum(cell.share for cell in found.cells) == (1 if inside else 0)
    assert int(found.grid.sum()) == sum(cell.contacts for cell in found.cells[:-1])
    assert found.moves is not None
    names = cell_names(model)
    for i, before in enumerate(names):
        for j, after in enumerate(names):
            assert found.moves[i, j] == sum(then.get(c) == before and now[c] == after for c in inside)
    lines = rfm_csv(found).splitlines()
    assert lines[0] == "cell,contacts,share %,value,mean,from best,from new,from poor,from other,from none"
    assert len(lines) == 6


@pytest.mark.parametrize("seed", range(20))
def test_folding_equals_picking(seed: int) -> None:
    root, _ = random_world(seed, sparse=seed % 2 == 0, large=seed % 3 == 0)
    for model in MODELS:
        here = context(root, 300, (model,))
        folded, picked = rfm_values(model, here), general_rfm_values(model, here)
        for name in ("contacts", "recency", "frequency", "monetary"):
            assert np.array_equal(getattr(folded, name), getattr(picked, name)), name


def test_equal_values_share_a_score() -> None:
    world = SmallWorld().contacts(*range(10))
    for contact in range(10):
        world.event(contact, "bought", 5 if contact < 9 else 6, {"total": 1})
    found = rfm_matrix(RANKED, KNOWN, context(world.root(), 10))
    # Recency: nine share the least score, the tenth is better than 9 of 10: 1 + floor(5 * 9 / 10) = 5.
    assert {tuple(place): int(found.grid[tuple(place)]) for place in np.argwhere(found.grid).tolist()} == {
        (0, 0, 0): 9,
        (4, 0, 0): 1,
    }


def test_a_published_grid_decides() -> None:
    world = SmallWorld().contacts(0, 1).event(0, "bought", 5, {"total": 1}).event(1, "bought", 9, {"total": 3})
    root = world.root()
    rule = rule_of(RfmInCell("m", ("new",), KNOWN), KNOWN, (RANKED,))
    assert rfm_keys(rule) == {RfmKey("m", KNOWN)}
    assert rfm_keys(rule_of(RfmMoved("m", (), (), 7, KNOWN))) == {RfmKey("m", KNOWN), RfmKey("m", KNOWN, 7)}
    assert inputs_of(RfmKey("m", KNOWN), setting((RANKED,))).event_names == {"bought"}
    assert set(evaluate(rule, root, 10, {}).members) == {1}
    published = replace(thresholds(RANKED, KNOWN, context(root, 10, (RANKED,))), recency=(1, 1, 1, 1))
    known = Knowledge(rfm={RfmKey("m", KNOWN): published})
    assert set(evaluate(rule, root, 10, {}, knowledge=known).members) == {0, 1}


def test_the_first_rectangle_wins() -> None:
    names = cell_names(PURCHASES)
    table = cell_table(PURCHASES)
    assert names[table[4, 4, 4]] == "VIP"
    assert names[table[4, 4, 0]] == "regulars"
    assert names[table[0, 4, 4]] == "lost"
    assert names[-2:] == ("other", "none")
