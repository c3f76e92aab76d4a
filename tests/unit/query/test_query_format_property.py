"""Any well-formed rule has a text, and the text says the same rule."""

from __future__ import annotations

import unicodedata
from datetime import date
from typing import TypeVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.clock import MAX_INSTANT_US, MIN_INSTANT_US, SECOND_US
from core.errors import CdpError
from core.query.ast import (
    Absolute,
    AttributeCondition,
    AttributeOperand,
    BetweenAgo,
    Branch,
    Calendar,
    Compare,
    Comparison,
    ElementMatch,
    EventAggregate,
    EventCount,
    EventSelection,
    Everyone,
    Function,
    InLast,
    InList,
    InNext,
    Literal,
    MessageCount,
    MessageVerb,
    MoreThanAgo,
    Op,
    Operand,
    Parameter,
    Period,
    Rule,
    Scope,
    SegmentReference,
    Window,
    Zone,
)
from core.query.format import format_rule
from core.query.limits import MAX_DURATION_US
from core.query.parse import parse
from core.schema import MAX_DECIMAL_UNITS, MAX_INTEGER, MIN_INTEGER, DecimalUnits, Instant

LeafT = TypeVar("LeafT")

WORDS = "and or not at in last of any did never opened message sum length child element between attribute exclude times"
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).map(lambda s: unicodedata.normalize("NFC", s))
names = st.one_of(
    st.sampled_from(("gender", "order_completed", "a.b", "a.", ".", "été", "x*", "*", "2x", "x y", *WORDS.split())),
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
    literals, st.builds(Parameter, names), st.builds(AttributeOperand, names)
)
ends = st.one_of(
    instants.map(Literal),
    st.dates().map(Literal),
    st.builds(Parameter, names),
    texts.map(Literal),
)
durations = st.integers(0, MAX_DURATION_US // SECOND_US).map(lambda s: s * SECOND_US)
round_durations = st.sampled_from((0, 1, 7, 30)).map(lambda days: days * 86_400 * SECOND_US)
any_duration = durations | round_durations
zones = st.sampled_from(Zone)
calendars = st.one_of(
    st.builds(Calendar, st.sampled_from(Period), st.just(0), st.just(1), zones),
    st.builds(Calendar, st.sampled_from(Period), st.sampled_from((-1, 1)), st.integers(1, 100), zones),
)
absolutes = st.one_of(
    st.builds(Absolute, ends, st.none(), st.just(False), zones),
    st.builds(Absolute, st.none() | ends, ends, st.booleans(), zones),
)
windows: st.SearchStrategy[Window] = st.one_of(
    st.builds(InLast, any_duration),
    st.builds(InNext, any_duration),
    st.builds(MoreThanAgo, any_duration),
    st.builds(BetweenAgo, any_duration, any_duration),
    calendars,
    absolutes,
)
RELATIONS = (Compare.EQ, Compare.NE, Compare.LT, Compare.LE, Compare.GT, Compare.GE)
TEXTUAL = (Compare.CONTAINS, Compare.NOT_CONTAINS, Compare.STARTS, Compare.ENDS, Compare.MATCHES)
LISTED = (Compare.IN, Compare.NOT_IN, Compare.HAS_ANY, Compare.HAS_ALL, Compare.HAS_NONE)
one = operands.map(lambda operand: (operand,))
two = st.tuples(operands, operands)
many = st.lists(operands, min_size=1, max_size=3).map(tuple)
comparisons = st.one_of(
    st.builds(Comparison, names, st.sampled_from((*RELATIONS, *TEXTUAL)), one, st.booleans()),
    st.builds(Comparison, names, st.just(Compare.BETWEEN), two, st.booleans()),
    st.builds(Comparison, names, st.sampled_from(LISTED), many, st.booleans()),
    st.builds(Comparison, names, st.sampled_from((Compare.MISSING, Compare.PRESENT))),
    st.builds(Comparison, names, st.just(Compare.LENGTH), one, relation=st.sampled_from(RELATIONS)),
    st.builds(Comparison, names, st.just(Compare.WITHIN), window=windows),
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


elements = st.builds(ElementMatch, st.sampled_from(("children", "items")) | names, trees(comparisons, 2))
filters = st.just(()) | trees(comparisons | elements, 3)
selections = st.builds(EventSelection, st.lists(names, min_size=1, max_size=3).map(tuple), filters, st.none() | windows)
counts = st.one_of(
    st.tuples(st.sampled_from(RELATIONS), one),
    st.tuples(st.just(Compare.BETWEEN), two),
    st.sampled_from([(Compare.EQ, (Literal(0),)), (Compare.GE, (Literal(1),)), (Compare.EQ, (Literal(1),))]),
)
compared = counts | st.tuples(st.sampled_from((Compare.MISSING, Compare.PRESENT)), st.just(()))
conditions = st.one_of(
    st.just(Everyone()),
    st.builds(AttributeCondition, comparisons | elements),
    st.builds(InList, names),
    st.builds(
        SegmentReference,
        names,
        st.dictionaries(names, operands, max_size=3).map(lambda arguments: tuple(sorted(arguments.items()))),
    ),
    st.tuples(selections, counts, st.none() | names).map(lambda t: EventCount(t[0], t[1][0], t[1][1], t[2])),
    st.tuples(st.sampled_from(MessageVerb), filters, st.none() | windows, counts).map(
        lambda t: MessageCount(t[0], t[1], t[2], *t[3])
    ),
    st.tuples(st.sampled_from(Function), names, selections, compared).map(
        lambda t: EventAggregate(t[0], t[1], t[2], *t[3])
    ),
)
rules = st.builds(Rule, trees(conditions), st.sampled_from(Scope))


@given(rules)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
def test_the_text_of_a_rule_says_the_same_rule(rule: Rule) -> None:
    text = format_rule(rule)
    again = parse(text)
    assert again == rule
    assert format_rule(again) == text


@given(st.text(max_size=60) | st.lists(st.sampled_from([*WORDS.split(), "(", ")", '"a"', "1", "=", ","])).map(" ".join))
@settings(max_examples=300, deadline=None, print_blob=True)
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    try:
        format_rule(parse(text))
    except CdpError as error:
        assert error.reason.startswith("RULE_")
        assert error.violations
