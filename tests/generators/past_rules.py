"""Random conditions on what has been so, and on groups."""

from __future__ import annotations

from random import Random

from core.events.facts import CHANNELS
from core.query.ast import (
    Changed,
    Comparison,
    Group,
    HasBeen,
    HasBeenIn,
    Literal,
    Operand,
    RandomBucket,
    Reachable,
    WasIn,
)
from core.query.binding.shape_values import MOVING
from core.query.names import Names
from core.schema import Kind
from tests.generators.comparisons import COMPARES
from tests.generators.moments import DURATIONS_US
from tests.generators.selections import SelectionMaker
from tests.generators.vocabulary import ATTRIBUTES, LISTS, SCENARIOS, STATUSES

_OFTEN_WRITTEN = ("status", "status", "vip", "bases", "time_zone", "visits", "birth_date", "location")


class PastRules:
    """Makes leaves that speak of the past of attributes, lists, scenarios and segments."""

    def __init__(self, random: Random, names: Names, selections: SelectionMaker) -> None:
        self.random = random
        self.names = names
        self.selections = selections
        self.comparisons = selections.comparisons

    def has_been(self) -> HasBeen:
        """`status has been "waiting" for at least 3 days`."""
        return HasBeen(self._test(), self.random.choice(DURATIONS_US))

    def _test(self) -> Comparison:
        random = self.random
        while True:
            name = random.choice((*_OFTEN_WRITTEN, *ATTRIBUTES))
            kind = ATTRIBUTES[name]
            compare = random.choice([c for c in COMPARES[kind] if c not in MOVING])
            test = self.comparisons.on_field(name, kind, compare, of_contact=True, of_event=False)
            # It compares with values, not with other attributes.
            if not any(type(operand).__name__ == "AttributeOperand" for operand in test.operands):
                return test

    def changed(self) -> Changed:
        """`status changed from "a" to "b" in last 7 days`."""
        random = self.random
        name = random.choice((*_OFTEN_WRITTEN, *ATTRIBUTES))
        window = self.selections.window(anchored=False) if random.random() < 0.5 else None
        return Changed(name, self._values(name), self._values(name), window)

    def _values(self, name: str) -> tuple[Operand, ...] | None:
        kind = ATTRIBUTES[name]
        draw = self.random.random()
        if draw < 0.55:
            return None
        if draw < 0.65 or kind in (Kind.TEXT_LIST, Kind.OBJECT_LIST, Kind.LOCATION):
            return ()
        if name == "status":
            return tuple(Literal(text) for text in self.random.sample(STATUSES, self.random.randint(1, 2)))
        return tuple(self.comparisons.operand(kind, cross=False) for _ in range(self.random.randint(1, 3)))

    def _group(self) -> tuple[Group, str]:
        random = self.random
        group = random.choice((Group.LIST, Group.SCENARIO, Group.SEGMENT, Group.SEGMENT))
        recorded = [name for name in self.names.segments if name != "by section"]
        if group is Group.SEGMENT and recorded:
            return group, random.choice(recorded)
        if group is Group.SCENARIO:
            return group, random.choice(SCENARIOS)
        return Group.LIST, random.choice((*LISTS[:2], *LISTS))

    def was_in(self) -> WasIn:
        """`was in segment "VIP" in last 90 days`."""
        window = self.selections.window(anchored=False) if self.random.random() < 0.7 else None
        return WasIn(*self._group(), window)

    def has_been_in(self) -> HasBeenIn:
        """`in list "staff" for at least 3 days`."""
        return HasBeenIn(*self._group(), self.random.choice(DURATIONS_US[:6]))

    def reachable(self) -> Reachable:
        """`reachable by email`."""
        return Reachable(tuple(self.random.sample(CHANNELS, self.random.choice((0, 1, 1, 2)))))

    def bucket(self) -> RandomBucket:
        """`random bucket 0 to 999 of "experiment 7"`."""
        low, high = sorted(self.random.choices(range(10_000), k=2))
        return RandomBucket(low, high, self.random.choice(("experiment 7", "é", "a\0b")))
