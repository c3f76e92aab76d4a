"""The leaves of a rule checked against the names of a workspace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from core.query.ast import (
    AttributeCondition,
    AttributeOperand,
    Compare,
    Condition,
    EventAggregate,
    EventCount,
    EventSelection,
    Everyone,
    Function,
    InList,
    Literal,
    MessageCount,
    Operand,
    Parameter,
    SegmentReference,
)
from core.query.bind_fields import ITEMS, Fields, attribute_fields, event_fields, message_fields
from core.query.bind_filters import FilterBinder, check_between
from core.query.bind_parameters import ParameterKinds
from core.query.bind_values import NUMERIC, coerce, kind_words
from core.query.bind_windows import bind_event_window
from core.query.names import BoundRule, Names
from core.query.problems import PARAMETER, TYPE, UNKNOWN_NAME, UNSUPPORTED, VALUE, problem
from core.query.suggest import did_you_mean
from core.schema import Kind, kind_of

_SCALARS = frozenset((Kind.TEXT, Kind.INTEGER, Kind.DECIMAL, Kind.BOOLEAN, Kind.INSTANT, Kind.DATE))
_AGGREGATED: Mapping[Function, frozenset[Kind]] = {
    Function.SUM: NUMERIC,
    Function.AVG: NUMERIC,
    Function.MIN: NUMERIC | {Kind.INSTANT, Kind.DATE},
    Function.MAX: NUMERIC | {Kind.INSTANT, Kind.DATE},
    Function.DISTINCT: _SCALARS,
}


class ConditionBinder:
    """Binds leaves; `segments` are the bound targets of references."""

    def __init__(self, names: Names, segments: Mapping[str, BoundRule], parameters: ParameterKinds) -> None:
        self._names = names
        self._segments = segments
        self._parameters = parameters
        self._attributes = attribute_fields(names)
        self._filters = FilterBinder(self._attributes, parameters)

    @property
    def attributes(self) -> dict[str, Kind]:
        """Every attribute that the conditions bound so far name, sorted by name."""
        return dict(sorted(self._filters.used.items()))

    def bind(self, condition: Condition, where: str) -> Condition:
        """The condition with names checked and literals of the right kinds."""
        match condition:
            case Everyone():
                return condition
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
                return self._event(condition, where)
            case MessageCount():
                fields = message_fields(condition.verb, self._names)
                return replace(
                    condition,
                    filter=self._filters.filter(condition.filter, fields, where),
                    window=bind_event_window(condition.window, self._parameters, where),
                    counts=self._counts(condition.compare, condition.counts, where),
                )
            case EventAggregate():
                return self._aggregate(condition, where)

    def _event(self, condition: EventCount, where: str) -> EventCount:
        events = condition.events
        fields = event_fields(events.names, self._names, where)
        if condition.same is not None:
            kind = self._path_kind(condition.same, fields, where, bare_items=True)
            if kind not in _SCALARS:
                raise problem(TYPE, where, f'"{condition.same}" is {kind_words(kind)}; "for the same" needs one value.')
            if not (condition.same in fields.kinds or condition.same.startswith(f"{ITEMS}.")):
                # A field of the lines may be written bare; from here on it says what it is.
                condition = replace(condition, same=f"{ITEMS}.{condition.same}")
        return replace(
            condition,
            events=self._selection(events, fields, where),
            counts=self._counts(condition.compare, condition.counts, where),
        )

    def _aggregate(self, condition: EventAggregate, where: str) -> EventAggregate:
        events, function = condition.events, condition.function
        fields = event_fields(events.names, self._names, where)
        kind = self._path_kind(condition.path, fields, where, bare_items=False)
        if kind not in _AGGREGATED[function]:
            raise problem(TYPE, where, f'"{condition.path}" is {kind_words(kind)}; "{function.value}" does not fit it.')
        result = {Function.AVG: Kind.DECIMAL, Function.DISTINCT: Kind.INTEGER}.get(function, kind)
        label = f"{function.value} of {condition.path}"
        operands = self._filters.operands(condition.operands, result, label, where, cross=True)
        if condition.compare is Compare.BETWEEN:
            check_between(operands, where)
        return replace(
            condition,
            events=self._selection(events, fields, where),
            operands=operands,
        )

    def _selection(self, events: EventSelection, fields: Fields, where: str) -> EventSelection:
        return replace(
            events,
            filter=self._filters.filter(events.filter, fields, where),
            window=bind_event_window(events.window, self._parameters, where),
        )

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

    def _counts(self, compare: Compare, counts: tuple[Operand, ...], where: str) -> tuple[Operand, ...]:
        bound: list[Operand] = []
        for count in counts:
            match count:
                case Parameter():
                    bound.append(self._parameters.use(count, Kind.INTEGER, where, exact=True))
                case AttributeOperand():
                    raise problem(UNSUPPORTED, where, "an attribute as count is not supported yet.")
                case Literal(value):
                    number = coerce(value, Kind.INTEGER, "the count", where)
                    if not isinstance(number, int) or number < 0:
                        raise problem(VALUE, where, "a count is a whole number, not negative.")
                    bound.append(Literal(number))
        if compare is Compare.BETWEEN:
            check_between(tuple(bound), where)
        return tuple(bound)

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
            case AttributeOperand():
                raise problem(UNSUPPORTED, where, "an attribute as argument is not supported yet.")
            case Literal(value):
                coerced = coerce(value, kind, name, where)
                if kind_of(coerced) is not kind:
                    raise problem(PARAMETER, where, f'"{name}" takes a whole number.')
                return Literal(coerced)
