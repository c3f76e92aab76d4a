"""Random comparisons by kind, with operands that occur in the worlds."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from core.query.ast import AttributeOperand, Compare, Comparison, Literal, Operand, Parameter
from core.schema import DecimalUnits, Instant, Kind, Scalar
from tests.generators.moments import Moments
from tests.generators.windows import date_window, fixed_window, instant_window
from tests.generators.world import ATTRIBUTES, DECIMALS, INTEGERS, TEXTS

_EXISTENCE = (Compare.MISSING, Compare.PRESENT)
_ORDER = (Compare.LT, Compare.LE, Compare.GT, Compare.GE)
_EQUALITY = (Compare.EQ, Compare.NE, Compare.IN, Compare.NOT_IN)
_NUMBER = (*_EQUALITY, *_ORDER, *_ORDER, Compare.BETWEEN, Compare.BETWEEN, *_EXISTENCE)
_TEXT = (Compare.CONTAINS, Compare.NOT_CONTAINS, Compare.STARTS, Compare.ENDS, Compare.MATCHES)

#: Which comparisons suit which kind; the likelier stand more than once.
COMPARES: Mapping[Kind, tuple[Compare, ...]] = {
    Kind.TEXT: (*_EQUALITY, *_EQUALITY, *_TEXT, *_EXISTENCE, Compare.LE, Compare.GT, Compare.BETWEEN),
    Kind.INTEGER: _NUMBER,
    Kind.DECIMAL: _NUMBER,
    Kind.BOOLEAN: (*_EQUALITY, *_EXISTENCE),
    Kind.INSTANT: (*_EQUALITY, *_ORDER, Compare.BETWEEN, *(Compare.WITHIN,) * 8, *_EXISTENCE),
    Kind.DATE: (*_EQUALITY, *_ORDER, Compare.BETWEEN, *(Compare.WITHIN,) * 8, *_EXISTENCE),
    Kind.TEXT_LIST: (Compare.HAS_ANY, Compare.HAS_ALL, Compare.HAS_NONE, Compare.LENGTH, *_EXISTENCE),
    Kind.OBJECT_LIST: (Compare.LENGTH, *_EXISTENCE),
    Kind.LOCATION: _EXISTENCE,
}
_MANY = frozenset((Compare.IN, Compare.NOT_IN, Compare.HAS_ANY, Compare.HAS_ALL, Compare.HAS_NONE))
_PATTERNS = ("^t", "a$", "(?i)^TEA", "e{2}", "é", "^.$", "^$", "[A-Z]", r"\bset", "s{2}|ß")
_PIECES = ("t", "ea", "é", "ss", "ß", "", " ", "TEA", "\U0001f600", "+", "ff")


class Comparisons:
    """Makes comparisons; `parameters` allows `:name` operands."""

    def __init__(self, random: Random, moments: Moments, parameters: bool) -> None:
        self.random = random
        self.moments = moments
        self.parameters = parameters

    @staticmethod
    def parameter(name: str) -> Parameter:
        """A parameter as it is written: its kind is inferred."""
        return Parameter(name)

    def literal(self, kind: Kind) -> Scalar:
        """A value that the worlds hold, or nearly."""
        random = self.random
        match kind:
            case Kind.TEXT | Kind.TEXT_LIST:
                return random.choice(TEXTS if random.random() < 0.3 else TEXTS[:6])
            case Kind.INTEGER if random.random() < 0.1:
                return DecimalUnits(random.choice((5_000, 20_000, 25_000, -1, 499_999)))
            case Kind.INTEGER:
                return random.choice(INTEGERS if random.random() < 0.1 else INTEGERS[:6])
            case Kind.DECIMAL if random.random() < 0.3:
                return random.choice(INTEGERS[:7])
            case Kind.DECIMAL:
                return DecimalUnits(random.choice(DECIMALS if random.random() < 0.1 else DECIMALS[:10]))
            case Kind.BOOLEAN:
                return random.random() < 0.5
            case Kind.INSTANT:
                return Instant(random.choice(self.moments.drawn))
            case Kind.DATE:
                return self.moments.date_near()
        raise ValueError(kind)

    def operand(self, kind: Kind, cross: bool = True) -> Operand:
        """A literal mostly, else a parameter or, with `cross`, an attribute of the same kind."""
        random = self.random
        draw = random.random()
        if cross and draw < 0.15:
            suiting = [name for name, k in ATTRIBUTES.items() if k is kind]
            if suiting:
                return AttributeOperand(random.choice(suiting))
        if self.parameters and draw > 0.9:
            # One name a kind, so that a parameter has one type.
            return self.parameter(f"{kind.name.lower()}{random.randrange(2)}")
        return Literal(self.literal(kind))

    def relation(self, kind: Kind) -> tuple[Compare, tuple[Operand, ...]]:
        """An order or equality with a value of `kind`."""
        compare = self.random.choice((Compare.EQ, Compare.NE, *_ORDER, *_ORDER, Compare.BETWEEN, *_EXISTENCE))
        if compare in _EXISTENCE:
            return compare, ()
        return compare, self._between(kind) if compare is Compare.BETWEEN else (self.operand(kind),)

    def _between(self, kind: Kind) -> tuple[Operand, ...]:
        low, high = sorted((self.literal(kind), self.literal(kind)), key=_magnitude)
        return (Literal(low), Literal(high))

    def comparison(self, kinds: Mapping[str, Kind], of_contact: bool) -> Comparison:
        """A comparison of one of the fields; of the contact's own attributes or of an event's or element's."""
        random = self.random
        name = random.choice(tuple(kinds))
        kind = kinds[name]
        compare = random.choice(COMPARES[kind])
        if compare in _EXISTENCE:
            return Comparison(name, compare)
        if compare is Compare.WITHIN:
            if kind is Kind.DATE:
                return Comparison(name, compare, window=date_window(random, self.moments))
            # A moving window on an instant that an event carries is refused.
            window = instant_window if of_contact else fixed_window
            return Comparison(name, compare, window=window(random, self.moments, self))
        if compare is Compare.LENGTH:
            relation = random.choice((Compare.EQ, Compare.NE, *_ORDER))
            return Comparison(name, compare, (Literal(random.randint(0, 3)),), relation=relation)
        if compare is Compare.BETWEEN:
            return Comparison(name, compare, self._between(kind))
        if compare is Compare.MATCHES:
            return Comparison(name, compare, (Literal(random.choice(_PATTERNS)),))
        folds = kind in (Kind.TEXT, Kind.TEXT_LIST) and compare not in (*_ORDER, Compare.BETWEEN)
        ignoring_case = folds and random.random() < 0.3
        if compare in _TEXT:
            return Comparison(name, compare, (Literal(random.choice(_PIECES)),), ignoring_case)
        if compare in _MANY:
            element = Kind.TEXT if kind is Kind.TEXT_LIST else kind
            operands = tuple(self.operand(element, cross=False) for _ in range(random.randint(1, 3)))
            return Comparison(name, compare, operands, ignoring_case)
        return Comparison(name, compare, (self.operand(kind),), ignoring_case)


def _magnitude(value: Scalar) -> Any:
    if isinstance(value, DecimalUnits):
        return value.units
    if isinstance(value, Instant):
        return value.us
    if isinstance(value, str):
        return value.encode()
    return value * 10_000 if type(value) is int else value
