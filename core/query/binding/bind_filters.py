"""Comparisons checked against the kinds of their fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from core.errors import CdpError
from core.query.ast import (
    AttributeAtEvent,
    AttributeOperand,
    BetweenAgo,
    Branch,
    Compare,
    Comparison,
    ElementMatch,
    FilterNode,
    FilterTree,
    InLast,
    InNext,
    Literal,
    Measure,
    MoreThanAgo,
    Operand,
    Parameter,
    StepOperand,
    Zone,
)
from core.query.binding.bind_fields import Fields
from core.query.binding.bind_parameters import ParameterKinds
from core.query.binding.bind_values import NUMERIC, coerce, kind_words
from core.query.binding.bind_windows import bind_day_window, bind_window
from core.query.binding.shape_values import RELATION_SET
from core.query.problems import PATTERN, TYPE, UNKNOWN_NAME, UNSUPPORTED, VALUE, WINDOW, place, problem
from core.query.rows.patterns import compile_pattern
from core.query.text.suggest import did_you_mean
from core.schema import DECIMAL_SCALE, DecimalUnits, Kind, Scalar

_ORDERED = frozenset((Kind.TEXT, Kind.INTEGER, Kind.DECIMAL, Kind.INSTANT, Kind.DATE))
_EQUAL = _ORDERED | {Kind.BOOLEAN}
_TEXT = frozenset((Kind.TEXT,))
_TEXT_LIST = frozenset((Kind.TEXT_LIST,))
_OF_TIME = (Compare.WITHIN, Compare.ANNIVERSARY, Compare.AGE, Compare.AT)
#: The kinds of field that each comparison fits.
FITS: Mapping[Compare, frozenset[Kind]] = {
    **dict.fromkeys((Compare.EQ, Compare.NE, Compare.IN, Compare.NOT_IN), _EQUAL),
    **dict.fromkeys((Compare.LT, Compare.LE, Compare.GT, Compare.GE, Compare.BETWEEN), _ORDERED),
    **dict.fromkeys((Compare.CONTAINS, Compare.NOT_CONTAINS, Compare.STARTS, Compare.ENDS, Compare.MATCHES), _TEXT),
    **dict.fromkeys((Compare.HAS_ANY, Compare.HAS_ALL, Compare.HAS_NONE), _TEXT_LIST),
    **dict.fromkeys((Compare.MISSING, Compare.PRESENT), frozenset(Kind)),
    Compare.LENGTH: frozenset((Kind.TEXT_LIST, Kind.OBJECT_LIST)),
    **dict.fromkeys(
        (Compare.WITHIN, Compare.ANNIVERSARY, Compare.AGE, Compare.AT), frozenset((Kind.INSTANT, Kind.DATE))
    ),
    Compare.DISTANCE: frozenset((Kind.LOCATION,)),
}
_FOLDED = frozenset(
    (
        *(Compare.EQ, Compare.NE, Compare.IN, Compare.NOT_IN, Compare.CONTAINS, Compare.NOT_CONTAINS),
        *(Compare.STARTS, Compare.ENDS, Compare.HAS_ANY, Compare.HAS_ALL, Compare.HAS_NONE),
    )
)
_OF = {Compare.LENGTH: "length", Compare.AGE: "age"}
_CROSS = RELATION_SET | {Compare.BETWEEN}
_USE_INSTEAD = {
    Kind.TEXT: "Texts are compared by =, in (...), contains, starts with, ends with, matches.",
    Kind.BOOLEAN: "Write = true or = false.",
    Kind.TEXT_LIST: 'Write has any (...), has all (...), has none (...) or "length of".',
    Kind.OBJECT_LIST: 'Write "any element of name (...)", or "length of".',
    Kind.LOCATION: "Write within 5 km of (50.45, 30.52), is present or is missing.",
}


class FilterBinder:
    """Binds comparisons, elements and filters; `attributes` are those that operands may name."""

    def __init__(self, attributes: Fields, parameters: ParameterKinds) -> None:
        self._attributes = attributes
        self._parameters = parameters
        #: Every attribute named so far.
        self.used: dict[str, Kind] = {}
        #: What a computed attribute is, by name and place; None for other attributes.
        self.computed: Callable[[str, str], tuple[Measure, Kind] | None] = _nothing_computed
        #: The events of earlier steps of the sequence that is being bound, by the names of the steps.
        self.steps: dict[str, Fields] = {}

    def filter(self, nodes: FilterTree, fields: Fields, where: str) -> FilterTree:
        """The filter, its literals of the kinds of `fields`."""
        return tuple(self._node(node, fields, place(node.span, f"{where} filter[{i}]")) for i, node in enumerate(nodes))

    def _node(self, node: FilterNode, fields: Fields, where: str) -> FilterNode:
        if isinstance(node, Branch):
            return node
        return self.test(node, fields, where)

    def test(self, test: Comparison | ElementMatch, fields: Fields, where: str) -> Comparison | ElementMatch:
        """One comparison or element match on `fields`."""
        if isinstance(test, Comparison):
            return self.comparison(test, fields, where)
        inside = fields.elements.get(test.name)
        if inside is None:
            kind = fields.kinds.get(test.name)
            if kind is not None:
                raise problem(TYPE, where, f'"{test.name}" is {kind_words(kind)}, not a list of objects.')
            hint = did_you_mean(test.name, fields.elements)
            raise problem(UNKNOWN_NAME, where, f'unknown list "{test.name}".', hint)
        if fields.of_contact:
            self.used[test.name] = Kind.OBJECT_LIST
        of_elements = Fields("field", inside, of=f' of "{test.name}"', of_event=fields.of_event)
        return replace(test, filter=self.filter(test.filter, of_elements, where))

    def comparison(self, test: Comparison, fields: Fields, where: str) -> Comparison:
        """One comparison on `fields`."""
        kind = fields.kind_of(test.name, where)
        if fields.of_contact:
            self.used[test.name] = kind
        if kind not in FITS[test.compare]:
            raise _misfit(test, kind, where)
        if test.ignoring_case and not (test.compare in _FOLDED and kind in (Kind.TEXT, Kind.TEXT_LIST)):
            hint = 'In a regular expression write "(?i)" first.' if test.compare is Compare.MATCHES else ""
            raise problem(TYPE, where, f'"ignoring case" does not fit "{test.compare.value}" on "{test.name}".', hint)
        if test.compare is Compare.ANNIVERSARY:
            return replace(test, window=bind_day_window(test.window, test.name, where))
        if test.window is not None:
            if not fields.of_contact and kind is Kind.INSTANT and _is_moving(test):
                raise problem(UNSUPPORTED, where, f'a moving window on "{test.name}" is not supported yet.')
            if kind is Kind.INSTANT and test.zone is not Zone.WORKSPACE:
                raise problem(WINDOW, where, f'"{test.name}" is an instant; the window is the same in every zone.')
            return replace(test, window=bind_window(test.window, kind, test.name, self._parameters, where))
        if test.compare is Compare.AT and kind is Kind.DATE and test.moments and test.moments.hours is not None:
            raise problem(TYPE, where, f'"{test.name}" is a date; it has no hours.', "Name weekdays only.")
        if test.compare in (Compare.LENGTH, Compare.AGE):
            kind = Kind.INTEGER
        elif kind is Kind.TEXT_LIST:
            kind = Kind.TEXT
        label = f"{_OF[test.compare]} of {test.name}" if test.compare in _OF else test.name
        cross = (test.relation or test.compare) in _CROSS
        bound = self.operands(test.operands, kind, label, where, cross=cross, fields=fields)
        if (test.relation or test.compare) is Compare.BETWEEN:
            check_between(bound, where)
        if test.compare is Compare.MATCHES:
            check_pattern(bound[0], where)
        return replace(test, operands=bound)

    def operands(
        self,
        operands: tuple[Operand, ...],
        kind: Kind,
        name: str,
        where: str,
        *,
        cross: bool,
        fields: Fields | None = None,
    ) -> tuple[Operand, ...]:
        """Operands that a field `name` of `kind` is compared with; `cross`: attributes of the contact, and values of
        earlier steps, may be used. `fields`: what `name` is one of, None for a computed value."""
        of_event = fields is not None and fields.of_event
        return tuple(self._operand(one, kind, name, where, cross=cross, of_event=of_event) for one in operands)

    def _operand(self, operand: Operand, kind: Kind, name: str, where: str, *, cross: bool, of_event: bool) -> Operand:
        match operand:
            case Literal(value):
                return Literal(coerce(value, kind, name, where))
            case Parameter():
                return self._parameters.use(operand, kind, where)
            case AttributeAtEvent() if not of_event:
                raise problem(TYPE, where, '"at the event" fits only in the filter of an event.')
            case StepOperand(step, path) if not of_event or step not in self.steps:
                hint = did_you_mean(step, self.steps)
                raise problem(UNKNOWN_NAME, where, f'"{step}.{path}": no earlier step is named "{step}".', hint)
            case _:
                pass
        if not cross:
            raise problem(UNSUPPORTED, where, "only a value or a parameter fits this comparison.")
        if isinstance(operand, StepOperand):
            other, what = self.steps[operand.step].kind_of(operand.path, where), f"{operand.step}.{operand.path}"
        else:
            what = f'attribute "{operand.name}"'
            computed = self.computed(operand.name, where)
            if computed is None:
                other = self._attributes.kind_of(operand.name, where)
                self.used[operand.name] = other
            else:
                operand, other = _of_measure(operand, computed[0], where), computed[1]
        if other is not kind and not (other in NUMERIC and kind in NUMERIC):
            text = f'"{name}" is {kind_words(kind)} and {what} is {kind_words(other)}'
            raise problem(TYPE, where, f"{text}; they cannot be compared.")
        return operand


def _nothing_computed(_name: str, _where: str) -> tuple[Measure, Kind] | None:
    return None


def _of_measure(operand: Operand, measure: Measure, where: str) -> Operand:
    if not isinstance(operand, AttributeOperand):
        text = f'"{getattr(operand, "name", "")}" is computed, so its value at the event is not kept.'
        raise problem(UNSUPPORTED, where, text, "Ask about its value now.")
    return replace(operand, measure=measure)


def check_between(operands: tuple[Operand, ...], where: str) -> None:
    """Raises RULE_VALUE for two literals of which the first is the larger: nothing lies between them."""
    low, high = operands
    if isinstance(low, Literal) and isinstance(high, Literal) and _key(low.value) > _key(high.value):
        raise problem(VALUE, where, "nothing lies between the two values.", "Write the smaller one first.")


def _key(value: Scalar) -> tuple[int, bytes]:
    """An order within one kind; whole numbers and decimals meet in units."""
    if isinstance(value, str):
        return 0, value.encode()
    if isinstance(value, DecimalUnits):
        return value.units, b""
    if isinstance(value, int):
        return value * DECIMAL_SCALE, b""
    return (value.toordinal() if not hasattr(value, "us") else value.us), b""


def _is_moving(test: Comparison) -> bool:
    return isinstance(test.window, InLast | InNext | BetweenAgo | MoreThanAgo)


def _misfit(test: Comparison, kind: Kind, where: str) -> CdpError:
    if test.compare in (Compare.WITHIN, Compare.ANNIVERSARY, Compare.AGE, Compare.AT):
        return problem(
            TYPE, where, f'"{test.name}" is {kind_words(kind)}; "{test.compare.value}" needs a date or an instant.'
        )
    text = f'"{test.name}" is {kind_words(kind)}; "{test.compare.value}" does not fit it.'
    return problem(TYPE, where, text, _USE_INSTEAD.get(kind, ""))


def check_pattern(operand: Operand, where: str) -> None:
    """Raises RULE_PATTERN for what RE2 refuses."""
    if not isinstance(operand, Literal) or not isinstance(operand.value, str):
        raise problem(UNSUPPORTED, where, "a parameter as regular expression is not supported yet.")
    try:
        compile_pattern(operand.value)
    except ValueError as error:
        raise problem(PATTERN, where, f"the regular expression is refused: {error}.") from error
