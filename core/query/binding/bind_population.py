"""Conditions on populations checked against the names of a workspace."""

from __future__ import annotations

from dataclasses import replace

from core.query.ast import (
    AggregateMeasure,
    AttributeMeasure,
    CountMeasure,
    EventTime,
    Interest,
    Limit,
    Literal,
    Measure,
    MeasureCondition,
    Parameter,
    Population,
    PopulationCondition,
    RfmInCell,
    RfmMoved,
    Standard,
)
from core.query.binding.bind_events import EventBinder
from core.query.binding.bind_fields import Fields
from core.query.binding.bind_filters import FilterBinder
from core.query.binding.bind_parameters import ParameterKinds
from core.query.binding.bind_values import NUMERIC, coerce, kind_words
from core.query.names import Names
from core.query.problems import TYPE, UNKNOWN_NAME, problem
from core.query.rfm_model import NONE, OTHER
from core.query.text.suggest import did_you_mean
from core.schema import Kind

_ORDERED = NUMERIC | {Kind.INSTANT, Kind.DATE}
_MEANS = (Standard.AVERAGE, Standard.EVENT_AVERAGE)


class PopulationBinder:
    """Binds measures and what compares them with those of `population`, the contacts that the rule is about."""

    def __init__(
        self,
        names: Names,
        attributes: Fields,
        filters: FilterBinder,
        events: EventBinder,
        population: Population,
        parameters: ParameterKinds,
    ) -> None:
        self._names = names
        self._parameters = parameters
        self._attributes = attributes
        self._filters = filters
        self._events = events
        self._population = population

    def condition(self, condition: PopulationCondition, where: str) -> PopulationCondition:
        """A measure against a mean, a percentile or a share of the best."""
        measure, kind = self._measure(condition.measure, where)
        if condition.standard in _MEANS and kind not in NUMERIC:
            raise problem(TYPE, where, f"only numbers have an average; this is {kind_words(kind)}.")
        if condition.standard is Standard.EVENT_AVERAGE and isinstance(measure, AggregateMeasure):
            # The average is of the values themselves, whatever the function makes of them.
            of_events = self._events.path_kind(measure.path, measure.events, where)
            if of_events not in NUMERIC:
                text = f'"{measure.path}" is {kind_words(of_events)}; only numbers have an average.'
                raise problem(TYPE, where, text)
        return replace(condition, measure=measure, population=self._population)

    def limit(self, limit: Limit | None, where: str) -> Limit | None:
        """The limit of the rule."""
        if limit is None or limit.by is None:
            return limit
        return replace(limit, by=self._measure(limit.by, where)[0])

    def in_cell(self, condition: RfmInCell, where: str) -> RfmInCell:
        """A cell of a model."""
        self._check_cells(condition.model, condition.cells, where)
        return replace(condition, population=self._population)

    def moved(self, condition: RfmMoved, where: str) -> RfmMoved:
        """A move between cells of a model."""
        self._check_cells(condition.model, (*condition.before, *condition.after), where)
        return replace(condition, population=self._population)

    def interest(self, condition: MeasureCondition, where: str) -> MeasureCondition:
        """A score, or the best of them, compared with a value."""
        measure, kind = self.measure(condition.measure, where)
        fields = Fields("interest", {condition.test.name: kind})
        return replace(condition, measure=measure, test=self._filters.comparison(condition.test, fields, where))

    def _measure(self, measure: Measure, where: str) -> tuple[Measure, Kind]:
        bound, kind = self.measure(measure, where)
        if kind not in _ORDERED:
            raise problem(TYPE, where, f"contacts are not ranked by {kind_words(kind)}.")
        return bound, kind

    def measure(self, measure: Measure, where: str) -> tuple[Measure, Kind]:
        """A measure of whatever kind; of a computed attribute, what it is computed of."""
        match measure:
            case AttributeMeasure(name):
                computed = self._filters.computed(name, where)
                if computed is not None:
                    return computed
                kind = self._attributes.kind_of(name, where)
                self._filters.used[name] = kind
                bound: Measure = measure
            case CountMeasure(events):
                kind = Kind.INTEGER
                bound = replace(measure, events=self._events.selection(events, where))
            case AggregateMeasure(function, path, events):
                kind = self._events.aggregate_kind(function, path, events, where)
                bound = replace(measure, events=self._events.selection(events, where))
            case EventTime(events):
                kind = Kind.INSTANT
                bound = replace(measure, events=self._events.selection(events, where))
            case Interest(value=value):
                kind = Kind.TEXT if value is None else Kind.DECIMAL
                bound = self._interest(measure, where)
        return bound, kind

    def _interest(self, measure: Interest, where: str) -> Interest:
        known = self._names.setting.interests
        model = known.get(measure.model)
        if model is None:
            hint = did_you_mean(measure.model, known)
            raise problem(UNKNOWN_NAME, where, f'unknown interest "{measure.model}".', hint)
        value = measure.value
        if isinstance(value, Parameter):
            value = self._parameters.use(value, Kind.TEXT, where)
        elif isinstance(value, Literal):
            value = Literal(coerce(value.value, Kind.TEXT, f"interest in {measure.model}", where))
        return replace(measure, value=value, of=model)

    def _check_cells(self, name: str, cells: tuple[str, ...], where: str) -> None:
        model = self._names.setting.rfm.get(name)
        if model is None:
            hint = did_you_mean(name, self._names.setting.rfm)
            raise problem(UNKNOWN_NAME, where, f'unknown RFM model "{name}".', hint)
        known = {*(cell.name for cell in model.cells), NONE, OTHER}
        for cell in cells:
            if cell not in known:
                raise problem(UNKNOWN_NAME, where, f'"{name}" has no cell "{cell}".', did_you_mean(cell, known))
