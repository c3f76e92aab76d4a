"""Strategies for rules: every class of condition, whatever shape allows in it."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from core.query.ast import (
    AggregateMeasure,
    AttributeCondition,
    AttributeMeasure,
    Changed,
    Compare,
    Comparison,
    Condition,
    CountMeasure,
    Daypart,
    EventAggregate,
    EventCount,
    EventTime,
    Everyone,
    FirstTime,
    Function,
    Group,
    HasBeen,
    HasBeenIn,
    InCohort,
    InList,
    Interest,
    Limit,
    Literal,
    Measure,
    MeasureCondition,
    MessageCount,
    MessageVerb,
    Parameter,
    PickedEvent,
    PopulationCondition,
    RandomBucket,
    Reachable,
    Regularly,
    Restarted,
    RfmInCell,
    RfmMoved,
    Rule,
    Scope,
    SegmentReference,
    Sequence,
    Standard,
    Step,
    Stopped,
    Trend,
    WasIn,
)
from core.query.ast_values import Period
from core.query.text.parse_interest import SCORE, TOP
from core.schema import DecimalUnits
from tests.unit.query.rule_parts import (
    RELATIONS,
    TEXTUAL,
    comparisons,
    durations,
    elements,
    event_windows,
    filters,
    many,
    names,
    one,
    operands,
    past_windows,
    percents,
    selections,
    standing,
    texts,
    timeless,
    trees,
    two,
    windows,
    zones,
)

_counts = st.one_of(
    st.tuples(st.sampled_from(RELATIONS), one),
    st.tuples(st.just(Compare.BETWEEN), two),
    st.sampled_from([(Compare.EQ, (Literal(0),)), (Compare.GE, (Literal(1),)), (Compare.EQ, (Literal(1),))]),
)
_compared = _counts | st.tuples(st.sampled_from((Compare.MISSING, Compare.PRESENT)), st.just(()))
_compared_texts = st.one_of(
    _compared,
    st.tuples(st.sampled_from(TEXTUAL), one),
    st.tuples(st.sampled_from((Compare.IN, Compare.NOT_IN)), many),
)
_CHOSEN = (Function.FIRST, Function.LAST, Function.MOST_FREQUENT)
_windowed = selections(st.none() | event_windows)
_measured = selections(st.none() | windows)
_aggregate_measures = st.builds(AggregateMeasure, st.sampled_from(Function), names, _measured)
_interests = st.builds(Interest, names, st.none() | texts.map(Literal) | st.builds(Parameter, names))
measures: st.SearchStrategy[Measure] = st.one_of(
    st.builds(AttributeMeasure, names),
    st.builds(CountMeasure, _measured),
    _aggregate_measures,
    st.builds(EventTime, _measured, st.booleans()),
    _interests,
)
_standards = st.one_of(
    st.builds(
        PopulationCondition, measures, st.sampled_from((Standard.TOP, Standard.BOTTOM)), st.just(Compare.GE), percents
    ),
    st.builds(PopulationCondition, measures, st.just(Standard.PERCENTILE), st.sampled_from(RELATIONS), percents),
    st.builds(PopulationCondition, measures, st.just(Standard.AVERAGE), st.sampled_from(RELATIONS)),
    st.builds(PopulationCondition, _aggregate_measures, st.just(Standard.EVENT_AVERAGE), st.sampled_from(RELATIONS)),
)
_cells = st.lists(names, max_size=3).map(tuple)


@st.composite
def _sequences(draw: st.DrawFn) -> Sequence:
    steps = [Step(draw(timeless), name=draw(st.none() | st.just("v") | names))]
    for number in range(draw(st.integers(1, 3))):
        within_us = draw(st.none() | durations())
        negative = draw(st.booleans())
        steps.append(
            Step(
                draw(timeless),
                negative,
                None if negative else draw(st.none() | st.just(f"step {number}")),
                within_us,
                within_us is not None and draw(st.booleans()),
            )
        )
    return Sequence(tuple(steps), draw(st.none() | event_windows), draw(st.none() | names))


_values = st.none() | st.just(()) | many
_buckets = st.lists(st.integers(0, 9_999), min_size=2, max_size=2).map(sorted)
_rhythms = st.lists(st.integers(1, 100), min_size=2, max_size=2).map(sorted)
_of_events: st.SearchStrategy[Condition] = st.one_of(
    st.tuples(_windowed, _counts, st.none() | names).map(lambda t: EventCount(t[0], t[1][0], t[1][1], t[2])),
    st.tuples(
        st.sampled_from(MessageVerb),
        filters,
        st.none() | event_windows,
        _counts,
        st.none() | st.sampled_from(Daypart),
        st.booleans(),
    ).map(lambda t: MessageCount(t[0], t[1], t[2], t[3][0], t[3][1], t[4], t[5])),
    st.tuples(st.sampled_from(Function), names, _windowed, _compared).map(
        lambda t: EventAggregate(t[0], t[1], t[2], *t[3])
    ),
    st.tuples(st.sampled_from(_CHOSEN), names, _windowed, _compared_texts).map(
        lambda t: EventAggregate(t[0], t[1], t[2], *t[3])
    ),
    st.builds(FirstTime, timeless, windows),
    st.builds(PickedEvent, _windowed, trees(comparisons | elements, 3), st.booleans()),
    st.builds(Stopped, timeless, durations(1), durations(1)),
    st.builds(Restarted, timeless, durations(1), durations(1)),
    st.tuples(timeless, st.integers(1, 1_000_000), _rhythms, st.sampled_from(Period), zones).map(
        lambda t: Regularly(t[0], t[1], t[2][0], t[2][1], t[3], t[4])
    ),
    st.builds(Trend, timeless, st.booleans(), percents, durations(1)),
    st.builds(Trend, timeless, st.just(True), st.integers(1, 10_000 * 10_000).map(DecimalUnits), durations(1)),
    _sequences(),
)


def _interested(interest: Interest, test: Comparison) -> MeasureCondition:
    return MeasureCondition(interest, replace(test, name=TOP if interest.value is None else SCORE))


_of_others: st.SearchStrategy[Condition] = st.one_of(
    _standards,
    st.builds(_interested, _interests, comparisons.filter(lambda test: test.relation is None)),
    st.builds(RfmInCell, names, st.lists(names, min_size=1, max_size=3).map(tuple)),
    st.builds(RfmMoved, names, _cells, _cells, durations(1)),
    st.builds(InCohort, st.none() | timeless, past_windows),
    _buckets.flatmap(lambda pair: st.builds(RandomBucket, st.just(pair[0]), st.just(pair[1]), names)),
)
_of_attributes: st.SearchStrategy[Condition] = st.one_of(
    st.just(Everyone()),
    st.builds(AttributeCondition, comparisons | elements),
    st.builds(InList, names),
    st.builds(
        SegmentReference,
        names,
        st.dictionaries(names, operands, max_size=3).map(lambda arguments: tuple(sorted(arguments.items()))),
    ),
    st.builds(HasBeen, standing, durations(1)),
    st.builds(Changed, names, _values, _values, st.none() | windows),
    st.builds(WasIn, st.sampled_from(Group), names, st.none() | windows),
    st.builds(HasBeenIn, st.sampled_from(Group), names, durations(1)),
    st.builds(Reachable, st.lists(names, max_size=3).map(tuple)),
)
conditions: st.SearchStrategy[Condition] = _of_events | _of_others | _of_attributes
_limits = st.one_of(
    st.builds(Limit, st.integers(1, 2**32 - 1), salt=texts),
    st.builds(Limit, st.integers(1, 2**32 - 1), measures, st.booleans(), texts),
)
rules = st.builds(Rule, trees(conditions), st.sampled_from(Scope), st.none() | names, st.none() | _limits)
single_rules = st.builds(Rule, conditions.map(lambda condition: (condition,)))
