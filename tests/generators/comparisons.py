"""Random comparisons by kind, with operands that occur in the worlds."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from core.query.ast import (
    AttributeAtEvent,
    AttributeOperand,
    Compare,
    Comparison,
    Literal,
    Operand,
    Parameter,
    StepOperand,
    Zone,
)
from core.schema import DecimalUnits, Instant, Kind, Scalar
from tests.generators.moments import Moments
from tests.generators.places import circle
from tests.generators.vocabulary import ATTRIBUTES, BASES, DECIMALS, INTEGERS, STATUSES, TEXTS
from tests.generators.windows import clock_times, date_window, day_window, fixed_window, has_own_zone, instant_window

_EXISTENCE = (Compare.MISSING, Compare.PRESENT)
_ORDER = (Compare.LT, Compare.LE, Compare.GT, Compare.GE)
_EQUALITY = (Compare.EQ, Compare.NE, Compare.IN, Compare.NOT_IN)
_NUMBER = (*_EQUALITY, *_ORDER, *_ORDER, Compare.BETWEEN, Compare.BETWEEN, *_EXISTENCE)
_TEXT = (Compare.CONTAINS, Compare.NOT_CONTAINS, Compare.STARTS, Compare.ENDS, Compare.MATCHES)
_TIMELY = (Compare.ANNIVERSARY, Compare.ANNIVERSARY, Compare.AGE, Compare.AT)

#: Which comparisons suit which kind; the likelier stand more than once.
COMPARES: Mapping[Kind, tuple[Compare, ...]] = {
    Kind.TEXT: (*_EQUALITY, *_EQUALITY, *_TEXT, *_EXISTENCE, Compare.LE, Compare.GT, Compare.BETWEEN),
    Kind.INTEGER: _NUMBER,
    Kind.DECIMAL: _NUMBER,
    Kind.BOOLEAN: (*_EQUALITY, *_EXISTENCE),
    Kind.INSTANT: (*_EQUALITY, *_ORDER, Compare.BETWEEN, *(Compare.WITHIN,) * 8, *_TIMELY, *_EXISTENCE),
    Kind.DATE: (*_EQUALITY, *_ORDER, Compare.BETWEEN, *(Compare.WITHIN,) * 8, *_TIMELY, *_TIMELY, *_EXISTENCE),
    Kind.TEXT_LIST: (Compare.HAS_ANY, Compare.HAS_ALL, Compare.HAS_NONE, Compare.LENGTH, *_EXISTENCE),
    Kind.OBJECT_LIST: (Compare.LENGTH, *_EXISTENCE),
    Kind.LOCATION: (*_EXISTENCE, *(Compare.DISTANCE,) * 6),
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
        #: The parameters of earlier steps' events, by the steps' names, while a sequence is being made.
        self.steps: dict[str, Mapping[str, Kind]] = {}

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

    def operand(self, kind: Kind, cross: bool = True, of_event: bool = False) -> Operand:
        """A literal mostly, else a parameter or, with `cross`, an attribute of the same kind, as it is now or, of an
        event, as it was then, or what an earlier step's event had."""
        random = self.random
        draw = random.random()
        if cross and of_event and self.steps and random.random() < 0.6:
            paths = [(s, p) for s, kinds in self.steps.items() for p, k in kinds.items() if k is kind]
            if paths:
                return StepOperand(*random.choice(paths))
        if cross and draw < 0.2:
            suiting = [name for name, k in ATTRIBUTES.items() if k is kind]
            if suiting:
                then = of_event and draw < 0.1
                return (AttributeAtEvent if then else AttributeOperand)(random.choice(suiting))
        if self.parameters and draw > 0.9:
            # One name a kind, so that a parameter has one type.
            return self.parameter(f"{kind.name.lower()}{random.randrange(2)}")
        return Literal(self.literal(kind))

    def relation(self, kind: Kind) -> tuple[Compare, tuple[Operand, ...]]:
        """An order or equality with a value of `kind`."""
        compare = self.random.choice((Compare.EQ, Compare.NE, *_ORDER, *_ORDER, Compare.BETWEEN, *_EXISTENCE))
        if compare in _EXISTENCE:
            return compare, ()
        return compare, self.between(kind) if compare is Compare.BETWEEN else (self.operand(kind),)

    def text_relation(self) -> tuple[Compare, tuple[Operand, ...]]:
        """A comparison of something that is a text."""
        compare = self.random.choice((*_EQUALITY, *_EQUALITY, *_TEXT, *_EXISTENCE))
        if compare in _EXISTENCE:
            return compare, ()
        if compare is Compare.MATCHES:
            return compare, (Literal(self.random.choice(_PATTERNS)),)
        if compare in _TEXT:
            return compare, (Literal(self.random.choice(_PIECES)),)
        if compare in _MANY:
            return compare, tuple(self.operand(Kind.TEXT, cross=False) for _ in range(self.random.randint(1, 3)))
        return compare, (self.operand(Kind.TEXT),)

    def zone(self) -> Zone:
        """Whose today is meant."""
        zones: tuple[Zone, ...] = (Zone.WORKSPACE, *Zone)
        return self.random.choice(zones)

    def between(self, kind: Kind) -> tuple[Operand, ...]:
        low, high = sorted((self.literal(kind), self.literal(kind)), key=_magnitude)
        return (Literal(low), Literal(high))

    def comparison(self, kinds: Mapping[str, Kind], *, of_contact: bool = False, of_event: bool = False) -> Comparison:
        """A comparison of one of the fields: of the contact's own attributes, of an event (or a line of it), or of an
        element of some other list."""
        name = self.random.choice(tuple(kinds))
        compare = self.random.choice(COMPARES[kinds[name]])
        return self.on_field(name, kinds[name], compare, of_contact=of_contact, of_event=of_event)

    def on_field(self, name: str, kind: Kind, compare: Compare, *, of_contact: bool, of_event: bool) -> Comparison:
        """The comparison of that field by `compare`."""
        random = self.random
        if compare in _EXISTENCE:
            return Comparison(name, compare)
        if compare is Compare.WITHIN:
            if kind is Kind.DATE:
                window = date_window(random, self.moments)
                zone = Zone.WORKSPACE if has_own_zone(window) else self.zone()
                return Comparison(name, compare, window=window, zone=zone)
            # A moving window on an instant that an event carries is refused.
            make = instant_window if of_contact else fixed_window
            return Comparison(name, compare, window=make(random, self.moments, self))
        if compare is Compare.ANNIVERSARY:
            return Comparison(name, compare, window=day_window(random), zone=self.zone())
        if compare is Compare.AT:
            return Comparison(name, compare, moments=clock_times(random, hours=kind is Kind.INSTANT))
        if compare is Compare.DISTANCE:
            return Comparison(name, compare, circle=circle(random))
        if compare is Compare.AGE:
            relation = random.choice((Compare.EQ, Compare.NE, *_ORDER, Compare.BETWEEN))
            years = random.choice((0, 1, 8, 18, 30))
            between = relation is Compare.BETWEEN
            operands = (Literal(years), Literal(years + random.randrange(3)))[: 2 if between else 1]
            return Comparison(name, compare, operands, relation=relation, zone=self.zone())
        if compare is Compare.LENGTH:
            relation = random.choice((Compare.EQ, Compare.NE, *_ORDER))
            return Comparison(name, compare, (Literal(random.randint(0, 3)),), relation=relation)
        if compare is Compare.BETWEEN:
            return Comparison(name, compare, self.between(kind))
        if compare is Compare.MATCHES:
            return Comparison(name, compare, (Literal(random.choice(_PATTERNS)),))
        folds = kind in (Kind.TEXT, Kind.TEXT_LIST) and compare not in (*_ORDER, Compare.BETWEEN)
        ignoring_case = folds and random.random() < 0.3
        if compare in _TEXT:
            return Comparison(name, compare, (Literal(random.choice(_PIECES)),), ignoring_case)
        if compare in _MANY:
            element = Kind.TEXT if kind is Kind.TEXT_LIST else kind
            many = tuple(self._named(name, element) for _ in range(random.randint(1, 3)))
            return Comparison(name, compare, many, ignoring_case)
        if name == "status" and random.random() < 0.8:
            return Comparison(name, compare, (self._named(name, kind),), ignoring_case)
        return Comparison(name, compare, (self.operand(kind, of_event=of_event),), ignoring_case)

    def _named(self, name: str, kind: Kind) -> Operand:
        """A value that the field has, where its values are its own."""
        known = {"status": STATUSES, "bases": BASES}.get(name)
        return Literal(self.random.choice(known)) if known else self.operand(kind, cross=False)


def _magnitude(value: Scalar) -> Any:
    if isinstance(value, DecimalUnits):
        return value.units
    if isinstance(value, Instant):
        return value.us
    if isinstance(value, str):
        return value.encode()
    return value * 10_000 if type(value) is int else value
