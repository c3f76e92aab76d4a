"""Random valid rules over the vocabulary of the random worlds: every condition, window and comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random

from core.query.ast import (
    AttributeCondition,
    Compare,
    Comparison,
    Condition,
    EventCount,
    EventSelection,
    Everyone,
    InList,
    Literal,
    Rule,
    Scope,
    SegmentReference,
)
from core.query.names import Names
from core.schema import Kind
from tests.generators.comparisons import Comparisons
from tests.generators.event_rules import EventRules
from tests.generators.moments import Moments
from tests.generators.past_rules import PastRules
from tests.generators.population_rules import PopulationRules
from tests.generators.selections import SelectionMaker
from tests.generators.sequence_rules import SequenceRules
from tests.generators.trees import tree
from tests.generators.vocabulary import ATTRIBUTES, BASES, ELEMENTS, LISTS

#: How often each condition stands next to the others.
WEIGHTS: Mapping[str, int] = {
    "AttributeCondition": 26,
    "EventCount": 22,
    "EventAggregate": 15,
    "MessageCount": 10,
    "SegmentReference": 6,
    "InList": 2,
    "Everyone": 1,
    "FirstTime": 4,
    "PickedEvent": 6,
    "Stopped": 4,
    "Restarted": 4,
    "Regularly": 4,
    "Trend": 4,
    "Sequence": 12,
    "MeasureCondition": 5,
    "PopulationCondition": 8,
    "RfmInCell": 4,
    "RfmMoved": 4,
    "InCohort": 4,
    "HasBeen": 6,
    "Changed": 6,
    "WasIn": 5,
    "HasBeenIn": 4,
    "Reachable": 2,
    "RandomBucket": 2,
}


def names_with_segments(random: Random, moments: Moments, names: Names) -> Names:
    """`names` and a few saved rules: plain ones, one that refers to them, and `by section` with parameters."""
    for name in ("VIP", "contacted this week", "one in another"):
        rule = RuleMaker(random, moments, names, parameters=False).rule(2)
        names = replace(names, segments={**names.segments, name: rule})
    wanted = Comparison("category", Compare.EQ, (Comparisons.parameter("section"),))
    count = EventCount(EventSelection(("product_viewed",), (wanted,)), Compare.GE, (Comparisons.parameter("times"),))
    return replace(names, segments={**names.segments, "by section": Rule((count,), random.choice(tuple(Scope)))})


class RuleMaker:
    """Makes rules whose names are those of `names`; `parameters` allows `:name` operands, `only` names the conditions
    that may occur (all, if None)."""

    def __init__(
        self,
        random: Random,
        moments: Moments,
        names: Names,
        parameters: bool = True,
        only: frozenset[str] | None = None,
    ) -> None:
        self.random = random
        self.names = names
        self.only = only
        self.comparisons = Comparisons(random, moments, parameters)
        self.selections = SelectionMaker(random, moments, self.comparisons)
        self.events = EventRules(random, self.selections)
        self.sequences = SequenceRules(random, self.events)
        self.past = PastRules(random, names, self.selections)
        self.populations = PopulationRules(random, self.selections)
        self.makers: Mapping[str, Callable[[], Condition]] = {
            "Everyone": Everyone,
            "AttributeCondition": self._attribute,
            "InList": lambda: InList(random.choice(LISTS)),
            "SegmentReference": self._reference,
            "EventCount": self.events.count,
            "EventAggregate": self.events.aggregate,
            "MessageCount": self.events.messages,
            "FirstTime": self.events.first_time,
            "PickedEvent": self.events.picked,
            "Stopped": self.events.stopped,
            "Restarted": self.events.restarted,
            "Regularly": self.events.regularly,
            "Trend": self.events.trend,
            "Sequence": self.sequences.sequence,
            "MeasureCondition": self.populations.interest,
            "PopulationCondition": self.populations.condition,
            "RfmInCell": self.populations.in_cell,
            "RfmMoved": self.populations.moved,
            "InCohort": self.populations.cohort,
            "HasBeen": self.past.has_been,
            "Changed": self.past.changed,
            "WasIn": self.past.was_in,
            "HasBeenIn": self.past.has_been_in,
            "Reachable": self.past.reachable,
            "RandomBucket": self.past.bucket,
        }

    def rule(self, depth: int) -> Rule:
        """A rule with at most `depth` branches between root and leaf."""
        random = self.random
        scope = random.choice((Scope.KNOWN, Scope.KNOWN, Scope.KNOWN, Scope.ALL, Scope.ANONYMOUS))
        base = random.choice(BASES) if random.random() < 0.12 else None
        limit = self.populations.limit() if random.random() < 0.12 else None
        return Rule(tree(random, depth, self.condition), scope, base, limit)

    def condition(self) -> Condition:
        """A leaf of a rule."""
        names = [name for name in self.makers if self.only is None or name in self.only]
        return self.makers[self.random.choices(names, [WEIGHTS[name] for name in names])[0]]()

    def _attribute(self) -> AttributeCondition:
        if self.random.random() < 0.15:
            return AttributeCondition(self.selections.element("children", ELEMENTS))
        return AttributeCondition(self.comparisons.comparison(ATTRIBUTES, of_contact=True))

    def _reference(self) -> Condition:
        random = self.random
        if not self.names.segments:
            return Everyone()
        name = random.choice(tuple(self.names.segments))
        if name != "by section":
            return SegmentReference(name)
        section = self.comparisons.operand(Kind.TEXT, cross=False)
        times = Literal(random.randint(1, 2))
        if self.comparisons.parameters and random.random() < 0.3:
            return SegmentReference(name, (("times", times),))
        return SegmentReference(name, (("section", section), ("times", times)))
