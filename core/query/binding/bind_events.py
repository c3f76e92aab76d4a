"""Conditions on events checked against the names of a workspace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from core.query.ast import (
    AttributeOperand,
    Compare,
    EventAggregate,
    EventCount,
    EventSelection,
    FirstTime,
    Function,
    InCohort,
    Literal,
    MessageCount,
    Operand,
    Parameter,
    PickedEvent,
    Sequence,
    SinceLast,
    Step,
    UntilFirst,
    Window,
)
from core.query.binding.bind_fields import ITEMS, Fields, event_fields, message_fields
from core.query.binding.bind_filters import FITS, FilterBinder, check_between, check_pattern
from core.query.binding.bind_parameters import ParameterKinds
from core.query.binding.bind_values import NUMERIC, coerce, kind_words
from core.query.binding.bind_windows import bind_event_window
from core.query.names import Names
from core.query.problems import TYPE, UNKNOWN_NAME, VALUE, problem
from core.schema import Kind

SCALARS = frozenset((Kind.TEXT, Kind.INTEGER, Kind.DECIMAL, Kind.BOOLEAN, Kind.INSTANT, Kind.DATE))
_DATED = frozenset((Kind.INSTANT, Kind.DATE))
_AGGREGATED: Mapping[Function, frozenset[Kind]] = {
    Function.SUM: NUMERIC,
    Function.AVG: NUMERIC,
    Function.MIN: NUMERIC | _DATED,
    Function.MAX: NUMERIC | _DATED,
    Function.DISTINCT: SCALARS,
    Function.FIRST: SCALARS,
    Function.LAST: SCALARS,
    Function.MOST_FREQUENT: SCALARS,
}


class EventBinder:
    """Binds selections of events and the conditions that count, sum or order them."""

    def __init__(self, names: Names, filters: FilterBinder, parameters: ParameterKinds) -> None:
        self._names = names
        self._filters = filters
        self._parameters = parameters

    def selection(self, events: EventSelection, where: str) -> EventSelection:
        """A selection: its names known, its filter and window fitting them."""
        return self._selection(events, event_fields(events.names, self._names, where), where)

    def window(self, window: Window | None, where: str) -> Window | None:
        """A window of events, with the events that bound it."""
        if isinstance(window, SinceLast | UntilFirst):
            return replace(window, events=self.selection(window.events, where))
        return bind_event_window(window, self._parameters, where)

    def count(self, condition: EventCount, where: str) -> EventCount:
        """`did E ...`, `for the same p` included."""
        fields = event_fields(condition.events.names, self._names, where)
        return replace(
            condition,
            events=self._selection(condition.events, fields, where),
            counts=self.counts(condition.compare, condition.counts, where),
            same=None if condition.same is None else self._same(condition.same, fields, where),
        )

    def messages(self, condition: MessageCount, where: str) -> MessageCount:
        """`opened message ...`."""
        fields = message_fields(condition.verb, self._names)
        return replace(
            condition,
            filter=self._filters.filter(condition.filter, fields, where),
            window=self.window(condition.window, where),
            counts=self.counts(condition.compare, condition.counts, where),
        )

    def aggregate(self, condition: EventAggregate, where: str) -> EventAggregate:
        """`sum(E.p) ... > v`."""
        kind = self.aggregate_kind(condition.function, condition.path, condition.events, where)
        if kind not in FITS[condition.compare]:
            text = f'"{condition.function.value}" of "{condition.path}" is {kind_words(kind)}'
            raise problem(TYPE, where, f'{text}; "{condition.compare.value}" does not fit it.')
        label = f"{condition.function.value} of {condition.path}"
        cross = condition.compare in (Compare.BETWEEN, *_RELATIONS)
        operands = self._filters.operands(condition.operands, kind, label, where, cross=cross)
        if condition.compare is Compare.BETWEEN:
            check_between(operands, where)
        if condition.compare is Compare.MATCHES:
            check_pattern(operands[0], where)
        return replace(condition, events=self.selection(condition.events, where), operands=operands)

    def aggregate_kind(self, function: Function, path: str, events: EventSelection, where: str) -> Kind:
        """The kind of an aggregate's result. Raises RULE_TYPE where the parameter has none."""
        kind = self.path_kind(path, events, where)
        if kind not in _AGGREGATED[function]:
            raise problem(TYPE, where, f'"{path}" is {kind_words(kind)}; "{function.value}" does not fit it.')
        return {Function.AVG: Kind.DECIMAL, Function.DISTINCT: Kind.INTEGER}.get(function, kind)

    def path_kind(self, path: str, events: EventSelection, where: str) -> Kind:
        """The kind of the parameter of these events, or of the field of their lines."""
        return self._path_kind(path, event_fields(events.names, self._names, where), where, bare_items=False)

    def first_time(self, condition: FirstTime, where: str) -> FirstTime:
        """`first time did E ...`."""
        window = self.window(condition.window, where)
        assert window is not None, "its shape has a window"
        return replace(condition, events=self.selection(condition.events, where), window=window)

    def cohort(self, condition: InCohort, where: str) -> InCohort:
        """`cohort of first E in ...`."""
        window = self.window(condition.window, where)
        assert window is not None, "its shape has a window"
        events = None if condition.events is None else self.selection(condition.events, where)
        return replace(condition, events=events, window=window)

    def picked(self, condition: PickedEvent, where: str) -> PickedEvent:
        """`last E had (...)`."""
        fields = event_fields(condition.events.names, self._names, where)
        conditions = self._filters.filter(condition.conditions, fields, where)
        return replace(condition, events=self._selection(condition.events, fields, where), conditions=conditions)

    def sequence(self, condition: Sequence, where: str) -> Sequence:
        """`sequence: a then b ...`; each step sees the names of the steps before it."""
        steps: list[Step] = []
        self._filters.steps = {}
        for step in condition.steps:
            fields = event_fields(step.events.names, self._names, where)
            if condition.same is not None:
                self._same(condition.same, fields, where)
            steps.append(replace(step, events=self._selection(step.events, fields, where)))
            if step.name is not None:
                self._filters.steps[step.name] = fields
        self._filters.steps = {}
        return replace(condition, steps=tuple(steps), window=self.window(condition.window, where))

    def counts(self, compare: Compare, counts: tuple[Operand, ...], where: str) -> tuple[Operand, ...]:
        """Numbers that a count is compared with."""
        bound: list[Operand] = []
        for count in counts:
            match count:
                case Parameter():
                    bound.append(self._parameters.use(count, Kind.INTEGER, where, exact=True))
                case Literal(value):
                    number = coerce(value, Kind.INTEGER, "the count", where)
                    if not isinstance(number, int) or number < 0:
                        raise problem(VALUE, where, "a count is a whole number, not negative.")
                    bound.append(Literal(number))
                case AttributeOperand():
                    bound += self._filters.operands((count,), Kind.INTEGER, "the count", where, cross=True)
                case _:
                    raise problem(TYPE, where, "a count is compared with a number, a parameter or an attribute.")
        if compare is Compare.BETWEEN:
            check_between(tuple(bound), where)
        return tuple(bound)

    def _selection(self, events: EventSelection, fields: Fields, where: str) -> EventSelection:
        return replace(
            events,
            filter=self._filters.filter(events.filter, fields, where),
            window=self.window(events.window, where),
        )

    def _same(self, path: str, fields: Fields, where: str) -> str:
        """The path of `for the same p`; a field of the lines may be written bare, and says from here on what it is."""
        kind = self._path_kind(path, fields, where, bare_items=True)
        if kind not in SCALARS:
            raise problem(TYPE, where, f'"{path}" is {kind_words(kind)}; "the same" needs one value.')
        return path if path in fields.kinds or path.startswith(f"{ITEMS}.") else f"{ITEMS}.{path}"

    def _path_kind(self, path: str, fields: Fields, where: str, *, bare_items: bool) -> Kind:
        """The kind of a parameter, or of a field of the lines; `bare_items`: a field may stand without `items.`."""
        if path in fields.kinds or path in fields.clashes:
            return fields.kind_of(path, where)
        prefix, _, part = path.partition(".")
        if prefix == ITEMS and part:
            return Fields("field", self._names.items, of=" of the lines").kind_of(part, where)
        if path not in self._names.items:
            raise fields.unknown(path, where)
        if not bare_items:
            hint = f'The lines have it: write "{ITEMS}.{path}".'
            raise problem(UNKNOWN_NAME, where, f'unknown {fields.what} "{path}"{fields.of}.', hint)
        return self._names.items[path]


_RELATIONS = (Compare.EQ, Compare.NE, Compare.LT, Compare.LE, Compare.GT, Compare.GE)
