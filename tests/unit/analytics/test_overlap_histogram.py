"""Overlaps and histograms, by exact counting."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest

from core.analytics.histogram import number_histogram, text_histogram
from core.analytics.overlap import overlap, overlap_csv
from core.errors import CdpError
from core.index.contact_set import ContactSet
from core.query.ast import AttributeMeasure
from core.query.execute_context import Context
from core.schema import DecimalUnits, Kind
from tests.unit.index.small_world import SmallWorld


@pytest.mark.parametrize("seed", range(10))
def test_overlaps(seed: int) -> None:
    print(f"seed {seed}")
    draw = random.Random(seed)
    plain = [set(draw.sample(range(100_000), draw.choice((0, 1, 50, 3000)))) for _ in range(draw.randint(1, 8))]
    found = overlap([ContactSet.from_numbers(np.array(sorted(one), np.uint32)) for one in plain], 100_000)
    for i, a in enumerate(plain):
        for j, b in enumerate(plain):
            assert found.shared[i, j] == len(a & b)
            assert found.jaccard(i, j) == (Fraction(len(a & b), len(a | b)) if a | b else None)
            assert found.lift(i, j) == (Fraction(len(a & b) * 100_000, len(a) * len(b)) if a and b else None)


def test_overlap_as_csv_and_its_limit() -> None:
    sets = [ContactSet.from_numbers(np.array(one, np.uint32)) for one in ([1, 2, 3], [3, 4])]
    assert overlap_csv(overlap(sets, 10), ['a "quoted"', "b"]).splitlines()[1] == '"a ""quoted""","b",3,2,1,1/4,5/3'
    with pytest.raises(CdpError, match="1 to 50"):
        overlap(sets * 26, 10)


def numbers_world(values: list[int | None], *, decimal: bool = False) -> tuple[Context, ContactSet]:
    world = SmallWorld().contacts(*range(len(values)))
    for contact, value in enumerate(values):
        if value is not None:
            world.attribute(contact, "x", DecimalUnits(value) if decimal else value)
    return Context(world.root(), 1, "UTC"), ContactSet.from_mask(np.ones(len(values), np.bool_))


def test_bins_of_equal_width_have_exact_edges() -> None:
    context, everyone = numbers_world([0, 1, 3, 4, 6, 7, 10, None, None])
    found = number_histogram(AttributeMeasure("x"), everyone, 3, context)
    assert found.edges == (Fraction(0), Fraction(10, 3), Fraction(20, 3), Fraction(10))
    assert (found.counts, found.missing, found.total, found.kind) == ((3, 2, 2), 2, 31, Kind.INTEGER)


def test_bins_over_all_of_64_bits() -> None:
    context, everyone = numbers_world([-(2**63), -1, 0, 2**63 - 1])
    found = number_histogram(AttributeMeasure("x"), everyone, 2, context)
    assert (found.counts, found.total) == ((2, 2), -2)


def test_quantiles_never_part_equal_values() -> None:
    context, everyone = numbers_world([1, 1, 1, 1, 1, 2, 3, 9], decimal=True)
    found = number_histogram(AttributeMeasure("x"), everyone, 4, context, quantiles=True)
    assert list(found.edges) == [1, 1, 2, 9]
    assert found.counts == (5, 1, 2)
    assert found.kind is Kind.DECIMAL


def test_one_value_and_none() -> None:
    context, everyone = numbers_world([5, 5, None])
    one = number_histogram(AttributeMeasure("x"), everyone, 10, context)
    assert list(one.edges) == [5, 5]
    assert (one.counts, one.missing) == ((2,), 1)
    none = number_histogram(AttributeMeasure("y"), everyone, 10, context)
    assert (none.edges, none.counts, none.missing) == ((), (), 3)


def test_texts_by_frequency() -> None:
    world = SmallWorld().contacts(*range(9))
    for contact, city in enumerate(("Oslo", "Rome", "Rome", "Bern", "Oslo", "Ähtäri")):
        world.attribute(contact, "city", city)
    context = Context(world.root(), 1, "UTC")
    members = ContactSet.from_numbers(np.array([0, 1, 2, 3, 4, 5, 8], np.uint32))
    found = text_histogram("city", members, 3, context)
    assert (found.values, found.other, found.missing) == ((("Oslo", 2), ("Rome", 2), ("Bern", 1)), 1, 1)


def test_lists_count_each_element_once_and_booleans_have_names() -> None:
    world = SmallWorld().contacts(*range(4))
    world.attribute(0, "tags", ("a", "b", "a")).attribute(1, "tags", ("b", "c")).attribute(2, "tags", ())
    world.attribute(0, "vip", True).attribute(1, "vip", False).attribute(2, "vip", True)
    context = Context(world.root(), 1, "UTC")
    members = ContactSet.from_mask(np.ones(4, np.bool_))
    tags = text_histogram("tags", members, 1, context)
    assert (tags.values, tags.other, tags.missing) == ((("b", 2),), 0, 1)
    assert text_histogram("tags", members, 2, context).values == (("b", 2), ("a", 1))
    assert text_histogram("vip", members, 5, context).values == (("true", 2), ("false", 1))


def test_what_is_no_text_is_refused() -> None:
    context, everyone = numbers_world([1, None])
    with pytest.raises(CdpError, match="not counted one by one"):
        text_histogram("x", everyone, 5, context)
    with pytest.raises(CdpError, match="1 to 1000"):
        number_histogram(AttributeMeasure("x"), everyone, 0, context)
