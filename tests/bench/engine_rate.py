"""Events a second through `Standing` with 100 live segments of mixed kinds, on the loaded index."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

from core.events.facts import FactBatch
from core.index.index import Index
from core.query.binding.bind import bind
from core.query.text.parse import parse
from core.segments.saved import Saved
from core.segments.standing import Standing
from core.segments.vocabulary import names_of
from tests.bench.memory import resident_bytes
from tests.bench.ours_load import event_columns
from tests.bench.workload import DAY_US, DAYS, END_US, Workload

#: Each stands five times with other numbers: {n} counts 1 to 5.
KINDS: tuple[str, ...] = (
    'gender = "female" and age < {n}5',
    'country in ("C0{n}", "C1{n}")',
    'city = "city 01{n}" and device = "phone"',
    "did product_viewed in last {n} hours",
    "did product_viewed at least {n} times in last 30 days",
    'did product_viewed (category = "category 00{n}") in last 7 days and did not order_completed in last 7 days',
    "did product_viewed (price between {n}0 and {n}9) in last 21 days",
    "did order_completed in last {n}0 days",
    "did order_completed at least {n} times in last 90 days",
    "sum(order_completed.total) in last 365 days > {n}00",
    "avg(order_completed.total) in last 180 days > {n}0",
    "max(product_viewed.price) in last 14 days > {n}00",
    "did cart_updated in last {n} days and did not order_completed in last {n} days",
    'did wishlist_added (category = "category 00{n}") in last 60 days',
    "did message_opened in last {n}0 days",
    "did not message_opened in last {n}0 days",
    "did message_clicked at least {n} times in last 28 days and age >= {n}0",
    "at least {n} of (did product_viewed in last 3 days, did cart_updated in last 9 days, did order_completed in"
    ' last 27 days, did wishlist_added in last 81 days, device = "app")',
    'did product_viewed in last {n} days or (language = "l0{n}" and did message_clicked in last {n} days)',
    "sum(cart_updated.price) in last {n}0 days > 300",
)
_VARIANTS = (1, 2, 3, 4, 5)
_BUDGET_S = 15.0
_BATCH = 10_000
_FIRST_BATCH = 100
_MOST_BATCHES = 30
#: 50,000 events a second.
_LIVE_SPACING_US = 20


def live_segments(index: Index) -> list[Saved]:
    """The 100 segments, bound to what the index has seen."""
    names = names_of(index.root(), {}, "UTC")
    texts = [kind.format(n=n) for kind in KINDS for n in _VARIANTS]
    return [Saved.make(f"live {number}", 1, bind(parse(text), names)) for number, text in enumerate(texts)]


def measure_engine(index: Index, workload: Workload) -> dict[str, object]:
    """Two rates: events at the spacing of the history (much time passes between them, and with it windows end), and
    events that come at 50,000 a second. The index has them from then on; it must hold none after END_US before."""
    saved = live_segments(index)
    standing = Standing(index, "UTC", END_US)
    before = resident_bytes()
    started_s = time.perf_counter()
    standing.restore(saved)
    restored_s = time.perf_counter() - started_s
    started_s = time.perf_counter()
    standing.publish()
    publish_ms = (time.perf_counter() - started_s) * 1e3
    live_sets = resident_bytes() - before
    span_us = DAYS * DAY_US * _BATCH // workload.events
    # This order: a burst leaves its hourly windows all at once, later.
    spaced = _rate(standing, index, _batches(standing.clock_us, span_us))
    live = _rate(standing, index, _batches(standing.clock_us, _BATCH * _LIVE_SPACING_US))
    return {
        "live_segments": len(saved),
        "restore_s": round(restored_s, 2),
        "publish_ms": round(publish_ms, 2),
        "live_sets_and_what_they_made_mb": live_sets >> 20,
        "live": live,
        "at_the_spacing_of_history": spaced,
        "goal_events_per_s": 50_000,
    }


def _batches(from_us: int, span_us: int) -> Iterator[tuple[int, int, int]]:
    """(events, from, span) of batches; `span_us` is that of a batch of full size."""
    at_us = from_us
    for n in _sizes():
        one_us = span_us * n // _BATCH
        yield n, at_us, one_us
        at_us += one_us


def _sizes() -> Iterator[int]:
    """Growing batches, so that a slow engine is measured as well."""
    n = _FIRST_BATCH
    while True:
        yield n
        n = min(2 * n, _BATCH)


def _rate(standing: Standing, index: Index, plan: Iterator[tuple[int, int, int]]) -> dict[str, object]:
    workload = Workload(max(index.root().contact_count, 1), 1, 5)
    taken: list[tuple[int, float, int]] = []
    spent_s = 0.0
    for n, from_us, span_us in plan:
        later = workload.draw_later(n, span_us, len(taken))
        later.at_us[:] += from_us - END_US
        batch = FactBatch(index.position + 1, from_us + span_us, event_columns(later), ())
        started_s = time.perf_counter()
        changes = standing.apply(batch)
        standing.publish()
        one_s = time.perf_counter() - started_s
        spent_s += one_s
        taken.append((n, one_s, len(changes)))
        if spent_s + 2 * one_s > _BUDGET_S or len(taken) >= _MOST_BATCHES:
            break
    largest = taken[-1][0]
    whole = [(n, one_s) for n, one_s, _ in taken if n == largest]
    return {
        "events_per_s": round(sum(n for n, _ in whole) / sum(one_s for _, one_s in whole)),
        "batch": largest,
        "batch_median_ms": round(statistics.median(one_s for _, one_s in whole) * 1e3, 1),
        "events": sum(n for n, _, _ in taken),
        "changes": sum(changes for _, _, changes in taken),
    }
