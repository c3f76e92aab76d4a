"""AnalyticsService as a client sees it: matrices, overlaps, histograms and templates; and the plan of an evaluation."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path
from xml.etree import ElementTree

import grpc
import pytest

from cdp.facts.v1 import facts_pb2
from cdp.segment.v1 import analytics_pb2 as pb
from cdp.segment.v1 import rule_pb2, segment_pb2
from core.clock import DAY_US, HOUR_US
from core.query.text.parse import parse
from core.segments.templates import TEMPLATES
from tests.flow.bad_input import of
from tests.flow.shop import BOUGHT, BUYERS, PEOPLE, START_US, Shop, opened

pytestmark = pytest.mark.slow


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with opened(tmp_path) as shop:
        yield shop


async def test_the_grid_its_cells_and_the_moves(shop: Shop) -> None:
    since_us = START_US - 9 * DAY_US  # u4 bought for the first time 8 days ago
    found = await shop.rfm(model="purchases", since_us=since_us)
    assert [(one.recency, one.frequency, one.monetary, one.contacts) for one in found.grid] == [
        (score, score, score, 1) for score in range(1, 6)
    ]
    figures = {one.name: (one.contacts, one.value) for one in found.cells}
    assert figures == {
        "VIP": (2, "4100"),
        "newcomers": (0, "0"),
        "regulars": (1, "900"),
        "at risk": (0, "0"),
        "sleeping": (1, "400"),
        "lost": (1, "100"),
        "other": (0, "0"),
        "none": (3, "0"),
    }
    assert list(figures) == [row["cell"] for row in csv.DictReader(io.StringIO(found.csv))]
    moves = {(getattr(one, "from"), one.to): (one.contacts, one.of) for one in found.moves}
    assert moves == {
        ("none", "none"): (3, 4),
        ("none", "VIP"): (1, 4),
        ("lost", "lost"): (1, 1),
        ("sleeping", "sleeping"): (1, 1),
        ("regulars", "regulars"): (1, 1),
        ("VIP", "VIP"): (1, 1),
    }
    assert found.freshness.as_of_us >= START_US
    nobody = await shop.rfm(model="purchases", population={"base": "VIP club"})
    assert not nobody.grid
    assert sum(one.contacts for one in nobody.cells) == 0
    past = await shop.rfm(model="purchases", as_of_us=START_US - 45 * DAY_US)
    assert not past.grid
    assert past.freshness.as_of_us == START_US - 45 * DAY_US


async def test_what_a_matrix_of_rfm_refuses(shop: Shop) -> None:
    assert await shop.refused(pb.RfmMatrixRequest(model="nobody")) == (
        grpc.StatusCode.NOT_FOUND, "NO_SUCH_RFM_MODEL",
    )  # fmt: skip
    later = pb.RfmMatrixRequest(model="purchases", since_us=START_US + DAY_US)
    assert await shop.refused(later) == (grpc.StatusCode.INVALID_ARGUMENT, "RFM_SINCE")
    future = pb.RfmMatrixRequest(model="purchases", as_of_us=START_US + DAY_US)
    assert await shop.refused(future) == (grpc.StatusCode.INVALID_ARGUMENT, "AS_OF_IN_FUTURE")


async def test_cohorts_by_the_calendar(shop: Shop) -> None:
    # First orders: u0 23 September, u1 1 October, u2 9 October, u3 17 October, u4 25 October (at 10:00 UTC).
    found = await shop.cohorts(cohort=BOUGHT, periods=3, picture=True)
    assert [(one.start, one.contacts, list(one.returned), one.unfinished) for one in found.cohorts] == [
        ("2026-09-01", 1, [0, 0, 0], True),
        ("2026-10-01", 4, [4, 1], True),
        ("2026-11-01", 0, [0], True),
    ]
    rows = list(csv.reader(io.StringIO(found.csv)))
    assert rows[2][:4] == ["2026-10-01", "4", "4", "100.00"]
    assert ElementTree.fromstring(found.svg).tag == "{http://www.w3.org/2000/svg}svg"
    weeks = await shop.cohorts(cohort=BOUGHT, period=rule_pb2.PERIOD_WEEK)
    assert len(weeks.cohorts) == 12
    assert weeks.svg == ""
    assert sum(one.contacts for one in weeks.cohorts) == BUYERS
    added = await shop.cohorts(returns=BOUGHT, periods=2)
    assert sum(one.contacts for one in added.cohorts) == PEOPLE - 1, "u0 was first heard of in September"
    past = await shop.cohorts(cohort=BOUGHT, periods=2, as_of_us=START_US - 20 * DAY_US)
    assert [one.start for one in past.cohorts] == ["2026-09-01", "2026-10-01"]


async def test_what_a_matrix_of_cohorts_refuses(shop: Shop) -> None:
    window = {**BOUGHT, "window": {"in_last_us": DAY_US}}
    for reason, asked in (
        ("COHORT_RETURNS", {}),
        ("COHORT_EVENTS", {"cohort": {}}),
        ("COHORT_EVENTS", {"cohort": window}),
        ("COHORT_EVENTS", {"cohort": BOUGHT, "returns": window}),
        ("RULE_UNKNOWN_NAME", {"cohort": {"names": ["order_complete"]}}),
        ("COHORT_PERIODS", {"cohort": BOUGHT, "periods": 1_001}),
        ("COHORT_ZONE", {"cohort": BOUGHT, "zone": rule_pb2.ZONE_CONTACT}),
        ("RULE_TREE", {"cohort": BOUGHT, "period": 99}),
        ("AS_OF_IN_FUTURE", {"cohort": BOUGHT, "as_of_us": START_US + DAY_US}),
    ):
        refused = await shop.refused(of(pb.CohortMatrixRequest, **asked))
        assert refused == (grpc.StatusCode.INVALID_ARGUMENT, reason), asked


async def test_the_overlap_of_segments(shop: Shop) -> None:
    await shop.save("Buyers", "did order_completed")
    await shop.save("Women", 'gender = "female"')
    await shop.save("Nobody", "age > 99")
    await shop.save("At least", "age >= :least")
    found = await shop.ok(pb.OverlapRequest(names=["Buyers", "Women", "Nobody"]))
    assert isinstance(found, pb.OverlapResponse)
    assert (list(found.sizes), found.everyone) == ([5, 4, 0], PEOPLE)
    assert [(one.left, one.right, one.both, one.either) for one in found.pairs] == [
        (0, 1, 2, 7), (0, 2, 0, 5), (1, 2, 0, 4),
    ]  # fmt: skip
    assert [one.lift for one in found.pairs] == [2 * 8 / (5 * 4), 0.0, 0.0]
    for reason, names in (
        ("OVERLAP_SETS", ["Buyers"]),
        ("OVERLAP_SETS", ["Buyers"] * 51),
        ("SEGMENT_HAS_PARAMETERS", ["Buyers", "At least"]),
    ):
        assert await shop.refused(pb.OverlapRequest(names=names)) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert await shop.refused(pb.OverlapRequest(names=["Buyers", "Buyer"])) == (
        grpc.StatusCode.NOT_FOUND, "NO_SUCH_SEGMENT",
    )  # fmt: skip


def ranges(histogram: pb.HistogramResponse) -> list[tuple[object, object, int]]:
    """(from, to, contacts) of each bin of numbers, whatever the kind."""
    found = []
    for one in histogram.bins:
        start, end = getattr(one.between, "from"), one.between.to
        found.append((getattr(start, kind_of(start)), getattr(end, kind_of(end)), one.contacts))
    return found


def kind_of(value: facts_pb2.Value) -> str:
    kind = value.WhichOneof("kind")
    assert kind is not None
    return str(kind)


async def test_histograms_of_attributes_and_of_events(shop: Shop) -> None:
    await shop.save("Buyers", "did order_completed")
    everyone = {"text": "everyone"}
    genders = await shop.histogram(rule=everyone, attribute="gender")
    assert [(one.value.text, one.contacts) for one in genders.bins] == [("female", 4), ("male", 4)]
    first = await shop.histogram(name="Buyers", attribute="gender", bins=1)
    assert [(one.value.text, one.contacts) for one in first.bins] == [("male", 3)]
    assert (first.other, first.missing) == (2, 0)
    ages = await shop.histogram(rule=everyone, attribute="age", bins=2)
    assert ranges(ages) == [(20, 24, 4), (24, 27, 4)], "an edge at 23.5 is told as 24, of whole years"
    spent = await shop.histogram(rule=everyone, measure_text="sum(order_completed.total) in last 365 days", bins=2)
    assert ranges(spent) == [(1_000_000, 13_000_000, 3), (13_000_000, 25_000_000, 2)]
    assert spent.missing == 3
    often = await shop.histogram(name="Buyers", measure_text="number of order_completed", bins=5, quantiles=True)
    assert ranges(often) == [(1, 1, 1), (1, 2, 1), (2, 3, 1), (3, 4, 1), (4, 5, 1)]
    latest = await shop.histogram(name="Buyers", measure_text="number of order_completed in last 30 days",
                                  as_of_us=START_US - 60 * DAY_US)  # fmt: skip
    assert (len(latest.bins), latest.missing) == (0, 0), "nobody had bought then"


async def test_what_a_histogram_refuses(shop: Shop) -> None:
    await shop.save("At least", "age >= :least")
    everyone = {"text": "everyone"}
    for reason, asked in (
        ("NO_RULE", {"attribute": "age"}),
        ("HISTOGRAM_MEASURE", {"rule": everyone}),
        ("SEGMENT_HAS_PARAMETERS", {"name": "At least", "attribute": "age"}),
        ("HISTOGRAM_BINS", {"rule": everyone, "attribute": "age", "bins": 1_001}),
        ("HISTOGRAM_BINS", {"rule": everyone, "attribute": "gender", "bins": 1_001}),
        ("HISTOGRAM_KIND", {"rule": everyone, "attribute": "children"}),
        ("RULE_UNKNOWN_NAME", {"rule": everyone, "attribute": "gendr"}),
        ("RULE_UNKNOWN_NAME", {"rule": everyone, "measure_text": "sum(order_completed.totl)"}),
        ("RULE_SYNTAX", {"rule": everyone, "measure_text": "sum(order_completed.total) > 5"}),
        ("RULE_TYPE", {"rule": everyone, "measure_text": "last(order_completed.order_id)"}),
        ("RULE_PARAMETER", {"rule": everyone, "measure_text": "number of order_completed (total > :least)"}),
    ):
        refused = await shop.refused(of(pb.HistogramRequest, **asked))
        assert refused == (grpc.StatusCode.INVALID_ARGUMENT, reason), asked
    absent = of(pb.HistogramRequest, name="nobody", attribute="age")
    assert await shop.refused(absent) == (grpc.StatusCode.NOT_FOUND, "NO_SUCH_SEGMENT")


async def test_templates_are_there_to_be_taken(shop: Shop) -> None:
    listed = await shop.ok(pb.ListTemplatesRequest())
    assert isinstance(listed, pb.ListTemplatesResponse)
    assert [(one.name, one.group, one.about, one.text) for one in listed.templates] == [
        (one.name, one.group, one.about, one.text) for one in TEMPLATES
    ]
    for one in listed.templates:
        saved = await shop.save(one.name, one.text)
        assert parse(saved.segment.text) == parse(one.text)


async def test_a_plan_says_how_it_was_done(shop: Shop) -> None:
    text = 'gender = "female" and did order_completed and not did order_completed >= 4 times'
    planned = await shop.evaluate(text, plan=True)
    counted = await shop.evaluate(text, every_node=True)
    assert planned.count == counted.count
    assert planned.count.total == 1
    assert len(planned.plan) == 3
    actual = {one.node: one.count.total for one in counted.nodes}
    texts = {one.node: one.text for one in counted.nodes}
    for step in planned.plan:
        assert step.text == texts[step.node]
        assert step.expected <= step.most
        assert step.ms >= 0
        if step.asked:
            assert step.actual <= min(step.asked, actual[step.node]), "asked about those whom the steps before left"
        else:
            assert step.actual == actual[step.node]
    assert planned.plan[0].asked == 0, "the first one is asked about everyone"
    assert [step.negated for step in planned.plan].count(True) == 1
    some = await shop.evaluate(text, plan=True, contacts=[0, 1, 2, 3])
    assert all(step.asked <= 4 for step in some.plan)
    assert await shop.refused(of(segment_pb2.EvaluateRequest, rule={"text": text}, plan=True, every_node=True)) == (
        grpc.StatusCode.INVALID_ARGUMENT, "PLAN_OR_NODES",
    )  # fmt: skip


async def test_without_an_instant_the_published_one_is_meant(shop: Shop) -> None:
    await shop.save("Lately", "did order_completed in last 1 hours")
    shop.platform.clock.advance(HOUR_US)
    counted = await shop.ok(segment_pb2.CountRequest(name="Lately"))
    assert isinstance(counted, segment_pb2.CountResponse)
    evaluated = await shop.evaluate("did order_completed in last 1 hours")
    assert counted.freshness.as_of_us <= evaluated.freshness.as_of_us <= shop.platform.clock.now_us()
    past = await shop.evaluate("did order_completed", as_of_us=START_US - 35 * DAY_US)
    assert (past.count.total, past.freshness.as_of_us) == (1, START_US - 35 * DAY_US)
