"""Comparisons checked against the kinds of their fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from core.errors import CdpError
from core.query.ast import (
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
    MoreThanAgo,
    Operand,
)
from core.query.bind_fields import Fields
from core.query.bind_parameters import ParameterKinds
from core.query.bind_values import NUMERIC, coerce, kind_words
from core.query.bind_windows import bind_window
from core.query.patterns import compile_pattern
from core.query.problems import PATTERN, TYPE, UNKNOWN_NAME, UNSUPPORTED, VALUE, place, problem
from core.query.shape_values import RELATION_SET
from core.query.suggest import did_you_mean
from core.schema import DECIMAL_SCALE, DecimalUnits, Kind, Scalar

_ORDERED = frozenset((Kind.TEXT, Kind.INTEGER, Kind.DECIMAL, Kind.INSTANT, Kind.DATE))
_EQUAL = _ORDERED | {Kind.BOOLEAN}
_TEXT = frozenset((Kind.TEXT,))
_TEXT_LIST = frozenset((Kind.TEXT_LIST,))
_FITS: Mapping[Compare, frozenset[Kind]] = {
    **dict.fromkeys((Compare.EQ, Compare.NE, Compare.IN, Compare.NOT_IN), _EQUAL),
    **dict.fromkeys((Compare.LT, Compare.LE, Compare.GT, Compare.GE, Compare.BETWEEN), _ORDERED),
    **dict.fromkeys((Compare.CONTAINS, Compare.NOT_CONTAINS, Compare.STARTS, Compare.ENDS, Compare.MATCHES), _TEXT),
    **dict.fromkeys((Compare.HAS_ANY, Compare.HAS_ALL, Compare.HAS_NONE), _TEXT_LIST),
    **dict.fromkeys((Compare.MISSING, Compare.PRESENT), frozenset(Kind)),
    Compare.LENGTH: frozenset((Kind.TEXT_LIST, Kind.OBJECT_LIST)),
    Compare.WITHIN: frozenset((Kind.INSTANT, Kind.DATE)),
}
_FOLDED = frozenset(
    (
        *(Compare.EQ, Compare.NE, Compare.IN, Compare.NOT_IN, Compare.CONTAINS, Compare.NOT_CONTAINS),
        *(Compare.STARTS, Compare.ENDS, Compare.HAS_ANY, Compare.HAS_ALL, Compare.HAS_NONE),
    )
)
_CROSS = RELATION_SET | {Compare.BETWEEN}
_USE_INSTEAD = {
    Kind.TEXT: "Texts are compared by =, in (...), contains, starts with, ends with, matches.",
    Kind.BOOLEAN: "Write = true or = false.",
    Kind.TEXT_LIST: 'Write has any (...), has all (...), has none (...) or "length of".',
    Kind.OBJECT_LIST: 'Write "any element of name (...)", or "length of".',
    Kind.LOCATION: "Write is present or is missing.",
}


class FilterBinder:
    """Binds comparisons, elements and filters; `attributes` are those that operands may name."""

    def __init__(self, attributes: Fields, parameters: ParameterKinds) -> None:
        self._attributes = attributes
        self._parameters = parameters
        #: Every attribute named so far.
        self.used: dict[str, Kind] = {}

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
        return replace(test, filter=self.filter(test.filter, Fields("field", inside, of=f' of "{test.name}"'), where))

    def comparison(self, test: Comparison, fields: Fields, where: str) -> Comparison:
        """One comparison on `fields`."""
        kind = fields.kind_of(test.name, where)
        if fields.of_contact:
            self.used[test.name] = kind
        if kind not in _FITS[test.compare]:
            raise _misfit(test, kind, where)
        if test.ignoring_case and not (test.compare in _FOLDED and kind in (Kind.TEXT, Kind.TEXT_LIST)):
            hint = 'In a regular expression write "(?i)" first.' if test.compare is Compare.MATCHES else ""
            raise problem(TYPE, where, f'"ignoring case" does not fit "{test.compare.value}" on "{test.name}".', hint)
        if test.window is not None:
            if not fields.of_contact and kind is Kind.INSTANT and _is_moving(test):
                raise problem(UNSUPPORTED, where, f'a moving window on "{test.name}" is not supported yet.')
            return replace(test, window=bind_window(test.window, kind, test.name, self._parameters, where))
        if test.compare is Compare.LENGTH:
            kind = Kind.INTEGER
        elif kind is Kind.TEXT_LIST:
            kind = Kind.TEXT
        label = f"length of {test.name}" if test.compare is Compare.LENGTH else test.name
        bound = self.operands(test.operands, kind, label, where, cross=test.compare in _CROSS)
        if test.compare is Compare.BETWEEN:
            check_between(bound, where)
        if test.compare is Compare.MATCHES:
            _check_pattern(bound[0], where)
        return replace(test, operands=bound)

    def operands(
        self, operands: tuple[Operand, ...], kind: Kind, name: str, where: str, *, cross: bool
    ) -> tuple[Operand, ...]:
        """Operands that a field `name` of `kind` is compared with; `cross`: attributes of the contact may be used."""
        return tuple(self._operand(operand, kind, name, where, cross=cross) for operand in operands)

    def _operand(self, operand: Operand, kind: Kind, name: str, where: str, *, cross: bool) -> Operand:
        if isinstance(operand, Literal):
            return Literal(coerce(operand.value, kind, name, where))
        if not isinstance(operand, AttributeOperand):
            return self._parameters.use(operand, kind, where)
        if not cross:
            raise problem(UNSUPPORTED, where, "an attribute as value is not supported yet with this comparison.")
        other = self._attributes.kind_of(operand.name, where)
        self.used[operand.name] = other
        if other is not kind and not (other in NUMERIC and kind in NUMERIC):
            text = f'"{name}" is {kind_words(kind)} and attribute "{operand.name}" is {kind_words(other)}'
            raise problem(TYPE, where, f"{text}; they cannot be compared.")
        return operand


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
    if test.compare is Compare.WITHIN:
        return problem(TYPE, where, f'"{test.name}" is {kind_words(kind)}; a window needs a date or an instant.')
    text = f'"{test.name}" is {kind_words(kind)}; "{test.compare.value}" does not fit it.'
    return problem(TYPE, where, text, _USE_INSTEAD.get(kind, ""))


def _check_pattern(operand: Operand, where: str) -> None:
    if not isinstance(operand, Literal) or not isinstance(operand.value, str):
        raise problem(UNSUPPORTED, where, "a parameter as regular expression is not supported yet.")
    try:
        compile_pattern(operand.value)
    except ValueError as error:
        raise problem(PATTERN, where, f"the regular expression is refused: {error}.") from error
