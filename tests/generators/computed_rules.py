"""Random computed attributes and interest models, and rules that name them wherever an attribute can stand."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from core.query.ast import (
    AggregateMeasure,
    AttributeCondition,
    AttributeMeasure,
    AttributeOperand,
    Branch,
    Compare,
    Comparison,
    Condition,
    CountMeasure,
    EventCount,
    EventSelection,
    EventTime,
    FilterTree,
    Function,
    Interest,
    Limit,
    Literal,
    Measure,
    MeasureCondition,
    Op,
    PopulationCondition,
    Rule,
    Scope,
    Standard,
)
from core.query.interest_model import InterestModel
from core.query.names import Names
from core.schema import DecimalUnits, Kind
from tests.generators.comparisons import Comparisons
from tests.generators.event_rules import paths
from tests.generators.moments import Moments
from tests.generators.selections import SELECTIONS, SelectionMaker
from tests.generators.trees import tree
from tests.generators.vocabulary import ATTRIBUTES, ITEMS, TEXTS, params_of

_NUMBERS = (Kind.INTEGER, Kind.DECIMAL)
_RANKED = (*_NUMBERS, Kind.INSTANT, Kind.DATE)
_RELATIONS = (Compare.LT, Compare.LE, Compare.GT, Compare.GE, Compare.EQ, Compare.NE)
_SHARES = (100_000, 333_333, 500_000)


def interest_models(random: Random) -> dict[str, InterestModel]:
    """One of texts of events and lines, one of lists of texts."""
    keen = Comparison("category", Compare.NE, (Literal("tea"),))
    found = {}
    for name, parameter in (("category", "category"), ("tag", "tags")):
        types = random.sample(("product_viewed", "cart_updated", "order_completed", "product_list_viewed"), 3)
        weights = tuple(random.choice((1, 3, 5, 1000)) for _ in types)
        tree: FilterTree = (keen,) if random.random() < 0.2 and "order_completed" not in types else ()
        half_life = random.choice((1, 3, 30, 365))
        found[name] = InterestModel(name, parameter, EventSelection(tuple(types), tree), weights, half_life)
    return found


class ComputedRules:
    """Makes definitions, and the conditions that name them. `kinds`: of each computed attribute."""

    def __init__(self, random: Random, moments: Moments, names: Names) -> None:
        self.random = random
        self.comparisons = Comparisons(random, moments, parameters=False)
        self.selections = SelectionMaker(random, moments, self.comparisons)
        self.kinds: dict[str, Kind] = {}
        computed: dict[str, Measure] = {}
        for number in range(6):
            measure, kind = self._last() if number == 0 else self._measure()
            computed[f"c{number}"], self.kinds[f"c{number}"] = measure, kind
        setting = replace(names.setting, interests=interest_models(random))
        self.names = replace(names, computed=computed, setting=setting)

    def rule(self, depth: int) -> Rule:
        """A rule of such conditions alone."""
        random = self.random
        ranked = [name for name, kind in self.kinds.items() if kind in _RANKED]
        limit = None
        if ranked and random.random() < 0.15:
            by: Measure = AttributeMeasure(random.choice(ranked))
            limit = Limit(random.choice((1, 3, 10)), by, random.random() < 0.5)
        scope = random.choice((Scope.KNOWN, Scope.KNOWN, Scope.ALL))
        return Rule(tree(random, depth, self.condition), scope, None, limit)

    def condition(self) -> Condition:
        """A leaf that names a computed attribute or an interest."""
        draw = self.random.random()
        if draw < 0.12:
            test = self.comparisons.on_field("c0", Kind.INSTANT, Compare.WITHIN, of_contact=True, of_event=False)
            return AttributeCondition(test)
        if draw < 0.45:
            return self._attribute()
        if draw < 0.75:
            return self._crossed()
        return self._ranked() if draw < 0.85 else self.interest()

    def interest(self) -> MeasureCondition:
        """`interest in category "tea" >= 1.5`, `top interest in category = "tea"`."""
        random = self.random
        model = random.choice(("category", "tag"))
        if random.random() < 0.4:
            test = self.comparisons.on_field(
                "top interest", Kind.TEXT, random.choice((Compare.EQ, Compare.NE, Compare.IN, Compare.CONTAINS)),
                of_contact=False, of_event=False,
            )  # fmt: skip
            return MeasureCondition(Interest(model), test)
        score = Literal(DecimalUnits(random.choice((1, 4_999, 5_000, 10_000, 30_000, 70_000, 5_000_000))))
        test = Comparison("interest", random.choice(_RELATIONS), (score,))
        return MeasureCondition(Interest(model, Literal(random.choice(TEXTS[:6]))), test)

    def _last(self) -> tuple[Measure, Kind]:
        """`time of last product_viewed`: one that many contacts have."""
        events = EventSelection((self.random.choice(("product_viewed", "order_completed", "cart_updated")),))
        return EventTime(events, self.random.random() < 0.3), Kind.INSTANT

    def _measure(self) -> tuple[Measure, Kind]:
        random = self.random
        names = random.choice([s for s in SELECTIONS if s[0] not in ("app_opened", "never_happened", "product_*")])
        events = self._selection(names)
        draw = random.random()
        if draw < 0.2:
            return CountMeasure(events), Kind.INTEGER
        if draw < 0.35:
            return EventTime(events, random.random() < 0.3), Kind.INSTANT
        if draw < 0.5:
            value = Literal(random.choice(TEXTS[:6])) if random.random() < 0.5 else None
            return Interest("category", value), Kind.TEXT if value is None else Kind.DECIMAL
        function = random.choice(tuple(Function))
        found = paths(names, function)
        if not found:
            return CountMeasure(events), Kind.INTEGER
        path = random.choice(tuple(found))
        kind = {Function.AVG: Kind.DECIMAL, Function.DISTINCT: Kind.INTEGER}.get(function, found[path])
        return AggregateMeasure(function, path, events), kind

    def _selection(self, names: tuple[str, ...]) -> EventSelection:
        """Now and then compared with an attribute that is computed itself."""
        events = self.selections.selection(names, anchored=False)
        if self.random.random() > 0.25:
            return events
        return self._with(events, self._cross(params_of(names)))

    def _with(self, events: EventSelection, test: Comparison | None) -> EventSelection:
        if test is None:
            return events
        filter_: FilterTree = (*events.filter, test)
        if events.filter:
            filter_ = (*filter_, Branch(Op.AND, (len(filter_) - 2, len(filter_) - 1)))
        return replace(events, filter=filter_)

    def _cross(self, kinds: dict[str, Kind]) -> Comparison | None:
        """A field against a computed attribute of a kind that it can be compared with."""
        pairs = [
            (path, name) for path, kind in kinds.items() for name, other in self.kinds.items() if _meet(kind, other)
        ]
        if not pairs:
            return None
        path, name = self.random.choice(pairs)
        relations = (Compare.EQ, Compare.NE) if kinds[path] is Kind.TEXT else _RELATIONS
        return Comparison(path, self.random.choice(relations), (AttributeOperand(name),))

    def _attribute(self) -> AttributeCondition:
        name = self.random.choice(tuple(self.kinds))
        of_contact = isinstance(self.names.computed[name], EventTime)
        return AttributeCondition(self.comparisons.comparison({name: self.kinds[name]}, of_contact=of_contact))

    def _crossed(self) -> Condition:
        """An attribute, an event's parameter, a line's field or a count against a computed attribute."""
        random = self.random
        draw = random.random()
        if draw < 0.3:
            test = self._cross({name: kind for name, kind in ATTRIBUTES.items() if kind not in (Kind.OBJECT_LIST,)})
            return AttributeCondition(test) if test is not None else self._attribute()
        numbers = [name for name, kind in self.kinds.items() if kind in _NUMBERS]
        names = random.choice([s for s in SELECTIONS if s[0] not in ("app_opened", "never_happened", "product_*")])
        if draw < 0.5 and numbers:
            operand = AttributeOperand(random.choice(numbers))
            same = random.choice((None, None, "items.category")) if names[0] == "order_completed" else None
            return EventCount(self.selections.selection(names), random.choice(_RELATIONS), (operand,), same)
        events = self._with(self.selections.selection(names), self._cross(params_of(names) or dict(ITEMS)))
        return EventCount(events, Compare.GE, (Literal(1),))

    def _ranked(self) -> Condition:
        ranked = [name for name, kind in self.kinds.items() if kind in _RANKED]
        if not ranked:
            return self._attribute()
        measure = AttributeMeasure(self.random.choice(ranked))
        share = DecimalUnits(self.random.choice(_SHARES))
        return PopulationCondition(measure, self.random.choice((Standard.TOP, Standard.BOTTOM)), Compare.GE, share)


def _meet(kind: Kind, other: Kind) -> bool:
    """Whether values of the two kinds are compared by an order, texts by equality."""
    if kind in _NUMBERS:
        return other in _NUMBERS
    return kind is other and kind not in (Kind.TEXT_LIST, Kind.BOOLEAN)
