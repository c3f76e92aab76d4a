"""Computed attributes: what a rule means where it names one.

A definition stands in the place of its name, so its value is always the one of the evaluation's own facts and instant.
Where an aggregate or a count says the same, it is bound to that, which is kept current as any other such condition is.
"""

from __future__ import annotations

from core.query.ast import (
    AggregateMeasure,
    AttributeMeasure,
    Compare,
    Comparison,
    Condition,
    CountMeasure,
    EventAggregate,
    EventCount,
    EventTime,
    Function,
    Literal,
    Measure,
    MeasureCondition,
    Span,
)
from core.query.binding.bind_fields import Fields
from core.query.binding.bind_filters import FilterBinder
from core.query.binding.bind_population import PopulationBinder
from core.query.binding.shape_conditions import check_measure
from core.query.binding.shape_values import RELATION_SET
from core.query.names import Names
from core.query.problems import CYCLE, UNSUPPORTED, problem
from core.schema import Kind

_PLAIN = RELATION_SET | {Compare.BETWEEN}
_PICKING = (Function.FIRST, Function.LAST, Function.MOST_FREQUENT)
#: What an aggregate that may be a text can be compared by.
_OF_PICKED = _PLAIN | {
    *(Compare.MISSING, Compare.PRESENT, Compare.IN, Compare.NOT_IN, Compare.CONTAINS, Compare.NOT_CONTAINS),
    *(Compare.STARTS, Compare.ENDS, Compare.MATCHES),
}
_OF_NUMBERS = _PLAIN | {Compare.MISSING, Compare.PRESENT}


class ComputedBinder:
    """The computed attributes of `names`, bound once each."""

    def __init__(self, names: Names, filters: FilterBinder, measures: PopulationBinder) -> None:
        self._names = names
        self._filters = filters
        self._measures = measures
        self._bound: dict[str, tuple[Measure, Kind]] = {}
        self._open: list[str] = []

    def of(self, name: str, where: str) -> tuple[Measure, Kind] | None:
        """What the attribute is and of which kind; None where nothing computes it. Raises RULE_CYCLE where it is
        computed of itself, and whatever its definition is refused for."""
        written = self._names.computed.get(name)
        if written is None:
            return None
        found = self._bound.get(name)
        if found is None:
            if name in self._open:
                way = " -> ".join(f'"{one}"' for one in (*self._open[self._open.index(name) :], name))
                raise problem(CYCLE, where, f"an attribute cannot be computed of itself: {way}.")
            self._open.append(name)
            inside = f'attribute "{name}"'
            if isinstance(written, AttributeMeasure):
                raise problem(UNSUPPORTED, inside, "an attribute is computed of events, not another name of one.")
            check_measure(written, inside)
            found = self._bound[name] = self._measures.measure(written, inside)
            self._open.pop()
        return found

    def condition(self, test: Comparison, where: str, span: Span) -> Condition | None:
        """What a comparison of an attribute asks; None where it is no computed one."""
        found = self.of(test.name, where)
        if found is None:
            return None
        measure, kind = found
        # The instant of an event has edges in time, one that an event only mentions has none.
        fields = Fields("attribute", {test.name: kind}, of_contact=isinstance(measure, EventTime))
        bound = self._filters.comparison(test, fields, where)
        self._filters.used.pop(test.name, None)
        return _aggregated(measure, bound, span) or MeasureCondition(measure, bound, span)

    def refuse(self, name: str, where: str, words: str) -> None:
        """Raises RULE_UNSUPPORTED for a computed attribute where its past would be asked."""
        if name in self._names.computed:
            text = f'"{name}" is computed, so {words} is not kept.'
            raise problem(UNSUPPORTED, where, text, "Ask about the events that it is computed of.")


def _aggregated(measure: Measure, test: Comparison, span: Span) -> Condition | None:
    """The same as a condition on events; None where there is none that says it."""
    if test.ignoring_case or test.relation is not None:
        return None
    compare, operands = test.compare, test.operands
    match measure:
        case CountMeasure(events) if compare in _PLAIN and all(map(_may_be_counted, operands)):
            return EventCount(events, compare, operands, span=span)
        case AggregateMeasure(function, path, events):
            if compare in (_OF_PICKED if function in _PICKING else _OF_NUMBERS):
                return EventAggregate(function, path, events, compare, operands, span)
    return None


def _may_be_counted(operand: object) -> bool:
    """Whether a count may be compared with it."""
    if not isinstance(operand, Literal):
        return True
    return isinstance(operand.value, int) and not isinstance(operand.value, bool) and operand.value >= 0
