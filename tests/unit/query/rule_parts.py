"""Strategies for the parts of rules: everything that shape allows, whether or not it means anything."""

from __future__ import annotations

import unicodedata
from datetime import date
from typing import TypeVar

from hypothesis import strategies as st

from core.clock import MAX_INSTANT_US, MIN_INSTANT_US, SECOND_US
from core.query.ast import (
    Absolute,
    AttributeAtEvent,
    AttributeOperand,
    BetweenAgo,
    Branch,
    Calendar,
    Circle,
    Compare,
    Comparison,
    ElementMatch,
    EventSelection,
    InLast,
    InNext,
    Literal,
    Moments,
    MoreThanAgo,
    OnDay,
    Op,
    Operand,
    Parameter,
    Period,
    ProductCondition,
    SinceLast,
    StepOperand,
    Stock,
    UntilFirst,
    Window,
    Zone,
)
from core.query.limits import MAX_DURATION_DAYS, MAX_DURATION_US
from core.schema import MAX_DECIMAL_UNITS, MAX_INTEGER, MIN_INTEGER, DecimalUnits, Instant

LeafT = TypeVar("LeafT")

#: Words of the language, which as names must be quoted where they could be read as what they say.
WORDS = (
    *("and", "or", "not", "at", "in", "last", "first", "of", "any", "did", "never", "opened", "message"),
    *("sum", "length", "age", "child", "element", "between", "attribute", "exclude", "times", "every", "all"),
    *("on", "hours", "since", "until", "from", "through", "today", "exactly", "within", "above", "below"),
    *("average", "median", "percentile", "top", "the", "number", "rising", "falling", "changed", "has"),
    *("been", "had", "missing", "present", "anything", "to", "product", "was", "now", "price", "sequence"),
    *("then", "as", "including", "machines", "sent", "regularly", "stopped", "restarted", "rfm", "cell"),
    *("moved", "cohort", "contacts", "added", "random", "bucket", "reachable", "by", "limit", "largest"),
    *("smallest", "for", "same", "most", "frequent", "segment", "list", "scenario", "true", "false"),
    *("everyone", "where", "ignoring", "case", "equal", "time", "is", "calendar", "month", "days"),
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).map(lambda s: unicodedata.normalize("NFC", s))
names = st.one_of(
    st.sampled_from(("gender", "order_completed", "a.b", "a.", ".", "été", "x*", "*", "2x", "x y", "08:00")),
    st.sampled_from(WORDS),
    texts.filter(bool),
)
instants = st.integers(MIN_INSTANT_US, MAX_INSTANT_US - 1).map(Instant)
literals = st.one_of(
    texts,
    st.booleans(),
    st.integers(MIN_INTEGER, MAX_INTEGER),
    st.integers(-MAX_DECIMAL_UNITS, MAX_DECIMAL_UNITS).map(DecimalUnits),
    instants,
    st.dates(date.min, date.max),
).map(Literal)
operands: st.SearchStrategy[Operand] = st.one_of(
    literals,
    st.builds(Parameter, names),
    st.builds(AttributeOperand, names),
    st.builds(AttributeAtEvent, names),
    st.builds(StepOperand, names, names),
)
ends = st.one_of(
    instants.map(Literal),
    st.dates().map(Literal),
    st.builds(Parameter, names),
    texts.map(Literal),
)


def durations(least: int = 0) -> st.SearchStrategy[int]:
    """Microseconds, whole seconds, at least `least` of them; often round ones."""
    any_seconds = st.integers(least, MAX_DURATION_US // SECOND_US)
    round_seconds = st.sampled_from((least, 1, 60, 3_600, 86_400, 7 * 86_400, 30 * 86_400))
    return (any_seconds | round_seconds).map(lambda seconds: seconds * SECOND_US)


zones = st.sampled_from(Zone)
calendars = st.one_of(
    st.builds(Calendar, st.sampled_from(Period), st.just(0), st.just(1), zones),
    st.builds(Calendar, st.sampled_from(Period), st.sampled_from((-1, 1)), st.integers(1, 100), zones),
)
absolutes = st.one_of(
    st.builds(Absolute, ends, st.none(), st.just(False), zones),
    st.builds(Absolute, st.none() | ends, ends, st.booleans(), zones),
)
rolling: st.SearchStrategy[Window] = st.one_of(
    st.builds(InLast, durations()),
    st.builds(InNext, durations()),
    st.builds(MoreThanAgo, durations()),
    st.builds(BetweenAgo, durations(), durations()),
    st.builds(OnDay, st.sampled_from((-1, 0, 1)) | st.integers(-MAX_DURATION_DAYS, MAX_DURATION_DAYS)),
)
past_windows: st.SearchStrategy[Window] = st.one_of(
    st.builds(InLast, durations()), st.builds(MoreThanAgo, durations()), calendars, absolutes
)
windows: st.SearchStrategy[Window] = rolling | calendars | absolutes
seconds_of_day = st.integers(0, 86_399) | st.integers(0, 23).map(lambda hour: hour * 3_600)
hours = st.tuples(seconds_of_day, seconds_of_day | st.just(86_400)).filter(lambda pair: pair[0] != pair[1])
weekdays = st.sets(st.integers(1, 7), min_size=1).map(lambda days: tuple(sorted(days)))
moments = st.builds(Moments, weekdays, st.none() | hours, zones) | st.builds(Moments, st.just(()), hours, zones)
circles = st.builds(
    Circle,
    st.integers(-90 * 10**7, 90 * 10**7) | st.integers(-90, 90).map(lambda degrees: degrees * 10**7),
    st.integers(-180 * 10**7, 180 * 10**7),
    st.integers(0, 20_100_000_000) | st.integers(0, 20_100).map(lambda km: km * 1_000_000),
)
RELATIONS = (Compare.EQ, Compare.NE, Compare.LT, Compare.LE, Compare.GT, Compare.GE)
TEXTUAL = (Compare.CONTAINS, Compare.NOT_CONTAINS, Compare.STARTS, Compare.ENDS, Compare.MATCHES)
LISTED = (Compare.IN, Compare.NOT_IN, Compare.HAS_ANY, Compare.HAS_ALL, Compare.HAS_NONE)
one = operands.map(lambda operand: (operand,))
two = st.tuples(operands, operands)
many = st.lists(operands, min_size=1, max_size=3).map(tuple)


def _related(compare: Compare, of_zones: st.SearchStrategy[Zone]) -> st.SearchStrategy[Comparison]:
    return st.one_of(
        st.builds(Comparison, names, st.just(compare), one, relation=st.sampled_from(RELATIONS), zone=of_zones),
        st.builds(Comparison, names, st.just(compare), two, relation=st.just(Compare.BETWEEN), zone=of_zones),
    )


#: Comparisons that do not move with time.
standing = st.one_of(
    st.builds(Comparison, names, st.sampled_from((*RELATIONS, *TEXTUAL)), one, st.booleans()),
    st.builds(Comparison, names, st.just(Compare.BETWEEN), two, st.booleans()),
    st.builds(Comparison, names, st.sampled_from(LISTED), many, st.booleans()),
    st.builds(Comparison, names, st.sampled_from((Compare.MISSING, Compare.PRESENT)), ignoring_case=st.booleans()),
    _related(Compare.LENGTH, st.just(Zone.WORKSPACE)),
    st.builds(Comparison, names, st.just(Compare.AT), moments=moments),
    st.builds(Comparison, names, st.just(Compare.DISTANCE), circle=circles),
)
_windowed = st.sampled_from((Compare.WITHIN, Compare.ANNIVERSARY))
comparisons = st.one_of(
    standing,
    _related(Compare.AGE, zones),
    st.builds(Comparison, names, _windowed, window=rolling, zone=zones),
    st.builds(Comparison, names, _windowed, window=calendars | absolutes),
)


@st.composite
def trees(draw: st.DrawFn, leaves: st.SearchStrategy[LeafT], most: int = 6) -> tuple[Branch | LeafT, ...]:
    """A random tree in post-order: grown by joining the last few roots."""
    nodes: list[Branch | LeafT] = []
    roots: list[int] = []
    for _ in range(draw(st.integers(1, most))):
        nodes.append(draw(leaves))
        roots.append(len(nodes) - 1)
        while draw(st.booleans()):
            _join(draw, nodes, roots, draw(st.integers(1, len(roots))))
    while len(roots) > 1:
        _join(draw, nodes, roots, draw(st.integers(2, len(roots))))
    return tuple(nodes)


def _join(draw: st.DrawFn, nodes: list[Branch | LeafT], roots: list[int], count: int) -> None:
    ops = [Op.AT_LEAST, Op.EXCEPT, *([Op.NOT] if count == 1 else [Op.AND, Op.OR])]
    op = draw(st.sampled_from(ops))
    lowest = {Op.AT_LEAST: 1, Op.EXCEPT: 0}.get(op)
    k = 0 if lowest is None else draw(st.integers(lowest, count))
    children = tuple(roots[-count:])
    del roots[-count:]
    nodes.append(Branch(op, children, k))
    roots.append(len(nodes) - 1)


elements = st.builds(
    ElementMatch, st.sampled_from(("children", "items")) | names, trees(comparisons, 2), every=st.booleans()
)
filters = st.just(()) | trees(comparisons | elements, 3)
percents = st.integers(1, 100 * 10_000).map(DecimalUnits) | st.sampled_from((5, 50, 90, 100)).map(
    lambda percent: DecimalUnits(percent * 10_000)
)
products = st.lists(
    st.builds(ProductCondition, st.sampled_from(Stock), st.booleans())
    | st.builds(ProductCondition, price_drop=percents),
    max_size=2,
).map(tuple)
event_names = st.lists(names, min_size=1, max_size=3).map(tuple)


def selections(of_windows: st.SearchStrategy[Window | None]) -> st.SearchStrategy[EventSelection]:
    """Selections with windows of that strategy."""
    return st.builds(
        EventSelection, event_names, filters, of_windows, st.none() | moments, products, st.sampled_from((False, True))
    )


timeless = selections(st.none())
event_windows: st.SearchStrategy[Window] = st.one_of(
    windows, windows, windows, st.builds(SinceLast, timeless), st.builds(UntilFirst, timeless)
)
