"""The leaves of a rule checked against the names of a workspace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from core.events.facts import CHANNELS
from core.query.ast import (
    AttributeCondition,
    Changed,
    Comparison,
    Condition,
    EventAggregate,
    EventCount,
    Everyone,
    FirstTime,
    Group,
    HasBeen,
    HasBeenIn,
    InCohort,
    InList,
    Limit,
    Literal,
    Measure,
    MeasureCondition,
    MessageCount,
    Operand,
    Parameter,
    PickedEvent,
    Population,
    PopulationCondition,
    RandomBucket,
    Reachable,
    Regularly,
    Restarted,
    RfmInCell,
    RfmMoved,
    SegmentReference,
    Sequence,
    Stopped,
    Trend,
    WasIn,
)
from core.query.binding.bind_computed import ComputedBinder
from core.query.binding.bind_events import SCALARS, EventBinder
from core.query.binding.bind_fields import attribute_fields
from core.query.binding.bind_filters import FilterBinder
from core.query.binding.bind_parameters import ParameterKinds
from core.query.binding.bind_population import PopulationBinder
from core.query.binding.bind_values import coerce, kind_words
from core.query.names import BoundRule, Names
from core.query.problems import PARAMETER, TYPE, UNKNOWN_NAME, UNSUPPORTED, problem
from core.query.text.suggest import did_you_mean
from core.schema import Kind, kind_of


class ConditionBinder:
    """Binds leaves; `segments` are the bound targets of references."""

    def __init__(
        self, names: Names, segments: Mapping[str, BoundRule], parameters: ParameterKinds, population: Population
    ) -> None:
        self._names = names
        self._segments = segments
        self._parameters = parameters
        self._attributes = attribute_fields(names)
        self._filters = FilterBinder(self._attributes, parameters)
        self._events = EventBinder(names, self._filters, parameters)
        self._population = PopulationBinder(
            names, self._attributes, self._filters, self._events, population, parameters
        )
        self._computed = ComputedBinder(names, self._filters, self._population)
        self._filters.computed = self._computed.of

    @property
    def attributes(self) -> dict[str, Kind]:
        """Every attribute that the conditions bound so far name, sorted by name."""
        return dict(sorted(self._filters.used.items()))

    def bind(self, condition: Condition, where: str) -> Condition:
        """The condition with names checked and literals of the right kinds."""
        match condition:
            case Everyone():
                return condition
            case AttributeCondition(Comparison() as test) if (
                computed := self._computed.condition(test, where, condition.span)
            ) is not None:
                return computed
            case AttributeCondition(test):
                return replace(condition, test=self._filters.test(test, self._attributes, where))
            case InList(name):
                if name not in self._names.lists:
                    hint = did_you_mean(name, self._names.lists)
                    raise problem(UNKNOWN_NAME, where, f'unknown list "{name}".', hint)
                return condition
            case SegmentReference():
                return self._reference(condition, where)
            case EventCount():
                return self._events.count(condition, where)
            case MessageCount():
                return self._events.messages(condition, where)
            case EventAggregate():
                return self._events.aggregate(condition, where)
            case FirstTime():
                return self._events.first_time(condition, where)
            case PickedEvent():
                return self._events.picked(condition, where)
            case Stopped() | Restarted() | Regularly() | Trend():
                return replace(condition, events=self._events.selection(condition.events, where))
            case Sequence():
                return self._events.sequence(condition, where)
            case MeasureCondition():
                return self._population.interest(condition, where)
            case PopulationCondition():
                return self._population.condition(condition, where)
            case RfmInCell():
                return self._population.in_cell(condition, where)
            case RfmMoved():
                return self._population.moved(condition, where)
            case InCohort():
                return self._events.cohort(condition, where)
            case HasBeen():
                return self._has_been(condition, where)
            case Changed():
                return self._changed(condition, where)
            case WasIn():
                return self._was_in(condition, where)
            case HasBeenIn(group, name):
                self._group(group, name, where)
                return condition
            case Reachable():
                return self._reachable(condition, where)
            case RandomBucket():
                return condition

    def limit(self, limit: Limit | None, where: str) -> Limit | None:
        """The limit of the rule."""
        return self._population.limit(limit, where)

    def measure(self, measure: Measure, where: str) -> tuple[Measure, Kind]:
        """A measure that stands alone, and its kind."""
        return self._population.measure(measure, where)

    def _has_been(self, condition: HasBeen, where: str) -> HasBeen:
        self._computed.refuse(condition.test.name, where, "since when it is so")
        test = self._filters.comparison(condition.test, self._attributes, where)
        if any(not isinstance(operand, Literal | Parameter) for operand in test.operands):
            raise problem(UNSUPPORTED, where, '"has been" compares with a value, not with another attribute.')
        return replace(condition, test=test)

    def _changed(self, condition: Changed, where: str) -> Changed:
        self._computed.refuse(condition.name, where, "when it changed")
        kind = self._attributes.kind_of(condition.name, where)
        self._filters.used[condition.name] = kind
        if kind not in SCALARS and (condition.before or condition.after):
            raise problem(TYPE, where, f'"{condition.name}" is {kind_words(kind)}; name no values that it changed to.')

        def values(operands: tuple[Operand, ...] | None) -> tuple[Operand, ...] | None:
            if operands is None:
                return None
            return self._filters.operands(operands, kind, condition.name, where, cross=False)

        window = condition.window
        if window is not None:
            window = self._events.window(window, where)
        return replace(condition, before=values(condition.before), after=values(condition.after), window=window)

    def _group(self, group: Group, name: str, where: str) -> None:
        """Raises RULE_UNKNOWN_NAME for a list that is not known, RULE_TYPE for a segment that has no history."""
        if group is Group.LIST and name not in self._names.lists:
            raise problem(UNKNOWN_NAME, where, f'unknown list "{name}".', did_you_mean(name, self._names.lists))
        if group is Group.SEGMENT and self._segments[name].parameters:
            raise problem(TYPE, where, f'segment "{name}" has parameters, so it has no members over time.')

    def _was_in(self, condition: WasIn, where: str) -> WasIn:
        self._group(condition.group, condition.name, where)
        return replace(condition, window=self._events.window(condition.window, where))

    def _reachable(self, condition: Reachable, where: str) -> Reachable:
        for channel in condition.channels:
            if channel not in CHANNELS:
                raise problem(UNKNOWN_NAME, where, f'unknown channel "{channel}".', did_you_mean(channel, CHANNELS))
        return condition

    def _reference(self, reference: SegmentReference, where: str) -> SegmentReference:
        needed = self._segments[reference.name].parameters
        bound: list[tuple[str, Operand]] = []
        for name, operand in reference.arguments:
            kind = needed.get(name)
            if kind is None:
                hint = did_you_mean(name, needed)
                raise problem(PARAMETER, where, f'segment "{reference.name}" has no parameter "{name}".', hint)
            bound.append((name, self._argument(name, operand, kind, where)))
        given = {name for name, _ in bound}
        for name, kind in needed.items():
            if name not in given:
                self._parameters.use(Parameter(name), kind, where, exact=True)
        return replace(reference, arguments=tuple(bound))

    def _argument(self, name: str, operand: Operand, kind: Kind, where: str) -> Operand:
        match operand:
            case Parameter():
                return self._parameters.use(operand, kind, where, exact=True)
            case Literal(value):
                coerced = coerce(value, kind, name, where)
                if kind_of(coerced) is not kind:
                    raise problem(PARAMETER, where, f'"{name}" takes a whole number.')
                return Literal(coerced)
            case _:
                raise problem(UNSUPPORTED, where, "an argument is a value or a parameter.")
