"""Random conditions on events and messages, sequences apart."""

from __future__ import annotations

from random import Random

from core.query.ast import (
    AttributeOperand,
    Compare,
    Daypart,
    EventAggregate,
    EventCount,
    FirstTime,
    Function,
    Literal,
    MessageCount,
    MessageVerb,
    Operand,
    Period,
    PickedEvent,
    Regularly,
    Restarted,
    Stopped,
    Trend,
    Zone,
)
from core.schema import DecimalUnits, Kind
from tests.generators.comparisons import Comparisons
from tests.generators.moments import DURATIONS_US
from tests.generators.selections import SELECTIONS, SelectionMaker
from tests.generators.vocabulary import ITEM_EVENTS, ITEMS, MESSAGE_EVENTS, params_of

_COUNTS = (Compare.EQ, Compare.NE, Compare.LT, Compare.LE, Compare.GT, Compare.GE, Compare.BETWEEN)
_NUMBERS = (Kind.INTEGER, Kind.DECIMAL)
_CHOSEN = (Function.FIRST, Function.LAST, Function.MOST_FREQUENT)
#: Long enough that something happens in a small world.
_SPANS_US = DURATIONS_US[2:]


class EventRules:
    """Makes leaves that speak of events."""

    def __init__(self, random: Random, selections: SelectionMaker) -> None:
        self.random = random
        self.selections = selections
        self.comparisons = selections.comparisons

    def counts(self) -> tuple[Compare, tuple[Operand, ...]]:
        """A comparison of a count, mostly one that separates."""
        random = self.random
        if random.random() < 0.5:
            return random.choice(
                ((Compare.GE, (Literal(1),)), (Compare.EQ, (Literal(0),)), (Compare.GE, (Literal(2),)))
            )
        compare = random.choice(_COUNTS)
        if compare is Compare.BETWEEN:
            low = random.randrange(3)
            return compare, (Literal(low), Literal(low + random.randrange(3)))
        low = 1 if compare is Compare.LT else 0
        if random.random() < 0.1:
            return compare, (AttributeOperand("visits"),)
        if self.comparisons.parameters and random.random() < 0.1:
            return compare, (Comparisons.parameter("times"),)
        return compare, (Literal(random.randint(low, 3)),)

    def count(self) -> EventCount:
        """`did E`."""
        names = self.selections.names()
        compare, counts = self.counts()
        same = self.same(names) if self.random.random() < 0.25 else None
        return EventCount(self.selections.selection(names), compare, counts, same)

    def same(self, names: tuple[str, ...]) -> str | None:
        """What `for the same` may name."""
        kinds = params_of(names)
        choices = [name for name, kind in kinds.items() if kind is not Kind.TEXT_LIST]
        if names[0] in ITEM_EVENTS:
            choices += [name for name in ITEMS if name not in kinds] + [f"items.{name}" for name in ITEMS]
        return self.random.choice(choices) if choices else None

    def messages(self) -> MessageCount:
        """`opened message`."""
        random = self.random
        verb = random.choice((*MessageVerb, MessageVerb.OPENED, MessageVerb.SENT, MessageVerb.RECEIVED))
        window = self.selections.window() if random.random() < 0.7 else None
        compare, counts = self.counts()
        sent = random.choice((None, None, *Daypart))
        found = self.selections.filter(MESSAGE_EVENTS[1:2])
        return MessageCount(verb, found, window, compare, counts, sent, random.random() < 0.25)

    def aggregate(self) -> EventAggregate:
        """`sum(E.p) > v`."""
        random = self.random
        names = random.choice([s for s in SELECTIONS if s[0] not in ("app_opened", "product_*")])
        function = random.choice((*Function, *_CHOSEN))
        kinds = paths(names, function)
        if not kinds:
            function, kinds = Function.DISTINCT, paths(names, Function.DISTINCT)
        path = random.choice(tuple(kinds))
        selection = self.selections.selection(names)
        if function is Function.DISTINCT:
            compare, operands = self.counts()
        elif kinds[path] is Kind.TEXT:
            compare, operands = self.comparisons.text_relation()
        elif kinds[path] is Kind.BOOLEAN:
            equal = (random.choice((Compare.EQ, Compare.NE)), (self.comparisons.operand(Kind.BOOLEAN),))
            compare, operands = random.choice((equal, equal, (Compare.MISSING, ())))
        else:
            kind = Kind.DECIMAL if function is Function.AVG else kinds[path]
            compare, operands = self.comparisons.relation(kind)
        return EventAggregate(function, path, selection, compare, operands)

    def first_time(self) -> FirstTime:
        """`first time did E in W`."""
        return FirstTime(self.selections.selection(windowed=False), self.selections.window(anchored=False))

    def picked(self) -> PickedEvent:
        """`last E had (...)`."""
        names = self.random.choice([s for s in SELECTIONS if s[0] != "app_opened"])
        conditions = self.selections.filter(names, often=1.0)
        return PickedEvent(self.selections.selection(names), conditions, self.random.random() < 0.4)

    def stopped(self) -> Stopped:
        """`stopped E`."""
        spans = self.random.choice(_SPANS_US), self.random.choice(_SPANS_US)
        return Stopped(self.selections.selection(windowed=False), max(spans), min(spans))

    def restarted(self) -> Restarted:
        """`restarted E`."""
        recent_us, silent_us = self.random.choice(_SPANS_US), self.random.choice(_SPANS_US[:4])
        return Restarted(self.selections.selection(windowed=False), recent_us, silent_us)

    def regularly(self) -> Regularly:
        """`did E regularly`."""
        random = self.random
        n = random.randint(1, 6)
        k = random.randint(1, max(1, n // 2))
        times = random.choice((1, 1, 2))
        period, zone = random.choice(tuple(Period)), random.choice(tuple(Zone))
        return Regularly(self.selections.selection(windowed=False), times, k, n, period, zone)

    def trend(self) -> Trend:
        """`E rising by p %`."""
        random = self.random
        rising = random.random() < 0.5
        percent = DecimalUnits(random.choice((1, 333_333, 500_000, 1_000_000, *((2_000_000,) if rising else ()))))
        return Trend(self.selections.selection(windowed=False), rising, percent, random.choice(_SPANS_US))


def paths(names: tuple[str, ...], function: Function) -> dict[str, Kind]:
    """The paths of the events' values that have such an aggregate."""
    kinds: dict[str, Kind] = dict(params_of(names))
    if names[0] in ITEM_EVENTS:
        kinds |= {f"items.{name}": kind for name, kind in ITEMS.items()}
    match function:
        case Function.SUM | Function.AVG:
            return {name: kind for name, kind in kinds.items() if kind in _NUMBERS}
        case Function.MIN | Function.MAX:
            return {name: kind for name, kind in kinds.items() if kind in (*_NUMBERS, Kind.INSTANT, Kind.DATE)}
    return {name: kind for name, kind in kinds.items() if kind is not Kind.TEXT_LIST}
