"""Random valid rules over the vocabulary of the random worlds: every condition, window and comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from typing import TypeVar

from core.query.ast import (
    AttributeCondition,
    Branch,
    Compare,
    Comparison,
    Condition,
    ElementMatch,
    EventAggregate,
    EventCount,
    EventSelection,
    Everyone,
    FilterTree,
    Function,
    InList,
    Literal,
    MessageCount,
    MessageVerb,
    Op,
    Operand,
    Rule,
    Scope,
    SegmentReference,
)
from core.query.names import Names
from core.schema import Kind
from tests.generators.comparisons import Comparisons
from tests.generators.moments import Moments
from tests.generators.windows import event_window
from tests.generators.world import ATTRIBUTES, ELEMENTS, ITEM_EVENTS, ITEMS, LISTS, MESSAGE_EVENTS, params_of

Leaf = TypeVar("Leaf")

#: What selections name: one type, several, a prefix, a prefix of everything that carries a product.
_SELECTIONS = (
    ("product_viewed",),
    ("product_viewed",),
    ("order_completed",),
    ("order_completed",),
    ("cart_updated",),
    ("cart_updated",),
    ("app_opened",),
    ("never_happened",),
    ("product_viewed", "cart_updated"),
    ("order_completed", "order_cancelled"),
    ("order_*",),
    ("product_*",),
    ("message_opened",),
    ("order_*", "cart_updated"),
)
_COUNTS = (Compare.EQ, Compare.NE, Compare.LT, Compare.LE, Compare.GT, Compare.GE, Compare.BETWEEN)
_NUMBERS = (Kind.INTEGER, Kind.DECIMAL)


def names_with_segments(random: Random, moments: Moments, names: Names) -> Names:
    """`names` and a few saved rules: plain ones, one that refers to them, and `by section` with parameters."""
    for name in ("VIP", "contacted this week", "one in another"):
        rule = RuleMaker(random, moments, names, parameters=False).rule(2)
        names = replace(names, segments={**names.segments, name: rule})
    wanted = Comparison("category", Compare.EQ, (Comparisons.parameter("section"),))
    count = EventCount(EventSelection(("product_viewed",), (wanted,)), Compare.GE, (Comparisons.parameter("times"),))
    return replace(names, segments={**names.segments, "by section": Rule((count,), random.choice(tuple(Scope)))})


class RuleMaker:
    """Makes rules whose names are those of `names`; `parameters` allows `:name` operands."""

    def __init__(self, random: Random, moments: Moments, names: Names, parameters: bool = True) -> None:
        self.random = random
        self.moments = moments
        self.names = names
        self.comparisons = Comparisons(random, moments, parameters)

    def rule(self, depth: int) -> Rule:
        """A rule with at most `depth` branches between root and leaf."""
        scope = self.random.choice((Scope.KNOWN, Scope.KNOWN, Scope.KNOWN, Scope.ALL, Scope.ANONYMOUS))
        return Rule(self.tree(depth, self.condition), scope)

    def tree(self, depth: int, leaf: Callable[[], Leaf]) -> tuple[Branch | Leaf, ...]:
        """Branches over leaves, in post-order."""
        nodes: list[Branch | Leaf] = []
        self._grow(depth, leaf, nodes)
        return tuple(nodes)

    def _grow(self, depth: int, leaf: Callable[[], Leaf], nodes: list[Branch | Leaf]) -> int:
        random = self.random
        if depth == 0 or random.random() < 0.25:
            nodes.append(leaf())
            return len(nodes) - 1
        op = random.choice((Op.AND, Op.OR, Op.OR, Op.NOT, Op.AT_LEAST, Op.EXCEPT))
        width = 1 if op is Op.NOT else random.choice((2, 2, 3))
        children = tuple(self._grow(depth - 1, leaf, nodes) for _ in range(width))
        k = {Op.AT_LEAST: random.randint(1, width), Op.EXCEPT: random.randint(0, width)} if width > 1 else {}
        nodes.append(Branch(op, children, k.get(op, 0)))
        return len(nodes) - 1

    def condition(self) -> Condition:
        """A leaf of a rule."""
        makers: tuple[Callable[[], Condition], ...] = (
            self._attribute,
            self._count,
            self._aggregate,
            self._messages,
            self._reference,
            lambda: InList(self.random.choice(LISTS)),
            Everyone,
        )
        return self.random.choices(makers, (30, 32, 18, 10, 6, 3, 1))[0]()

    def _attribute(self) -> AttributeCondition:
        if self.random.random() < 0.15:
            return AttributeCondition(ElementMatch("children", self._element_filter(ELEMENTS)))
        return AttributeCondition(self.comparisons.comparison(ATTRIBUTES, of_contact=True))

    def _element_filter(self, kinds: Mapping[str, Kind]) -> FilterTree:
        depth = self.random.choice((0, 1, 1, 2))
        return self.tree(depth, lambda: self.comparisons.comparison(kinds, of_contact=False))

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

    def _selection(self, names: tuple[str, ...]) -> EventSelection:
        window = event_window(self.random, self.moments, self.comparisons) if self.random.random() < 0.75 else None
        return EventSelection(names, self.filter(names), window)

    def filter(self, names: tuple[str, ...]) -> FilterTree:
        """A filter that suits all of the event names; often none."""
        kinds = params_of(names)
        with_items = any(name.startswith(("order_", "cart_")) for name in names)
        if self.random.random() < 0.45 or not (kinds or with_items):
            return ()

        def leaf() -> Comparison | ElementMatch:
            if with_items and (not kinds or self.random.random() < 0.45):
                return ElementMatch("items", self._element_filter(ITEMS))
            return self.comparisons.comparison(kinds, of_contact=False)

        return self.tree(self.random.choice((0, 0, 1, 2)), leaf)

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
        if self.comparisons.parameters and random.random() < 0.1:
            return compare, (Comparisons.parameter("times"),)
        return compare, (Literal(random.randint(low, 3)),)

    def _count(self) -> EventCount:
        names = self.random.choice(_SELECTIONS)
        compare, counts = self.counts()
        same = self._same(names) if self.random.random() < 0.25 else None
        return EventCount(self._selection(names), compare, counts, same)

    def _same(self, names: tuple[str, ...]) -> str | None:
        kinds = params_of(names)
        choices = [name for name, kind in kinds.items() if kind is not Kind.TEXT_LIST]
        if names[0] in ITEM_EVENTS:
            choices += [name for name in ITEMS if name not in kinds] + [f"items.{name}" for name in ITEMS]
        return self.random.choice(choices) if choices else None

    def _messages(self) -> MessageCount:
        verb = self.random.choice(tuple(MessageVerb))
        window = event_window(self.random, self.moments, self.comparisons) if self.random.random() < 0.7 else None
        compare, counts = self.counts()
        return MessageCount(verb, self.filter(MESSAGE_EVENTS[:1]), window, compare, counts)

    def _aggregate(self) -> EventAggregate:
        random = self.random
        names = random.choice([s for s in _SELECTIONS if s[0] not in ("app_opened", "product_*")])
        kinds: dict[str, Kind] = dict(params_of(names))
        if names[0] in ITEM_EVENTS:
            kinds |= {f"items.{name}": kind for name, kind in ITEMS.items()}
        numbers = [name for name, kind in kinds.items() if kind in _NUMBERS]
        function = random.choice(tuple(Function)) if numbers else Function.DISTINCT
        if function is Function.DISTINCT:
            path = random.choice([name for name, kind in kinds.items() if kind is not Kind.TEXT_LIST])
            compare, operands = self.counts()
            return EventAggregate(function, path, self._selection(names), compare, operands)
        ordered = [name for name, kind in kinds.items() if kind in (*_NUMBERS, Kind.INSTANT, Kind.DATE)]
        path = random.choice(ordered if function in (Function.MIN, Function.MAX) else numbers)
        kind = Kind.DECIMAL if function is Function.AVG else kinds[path]
        compare, operands = self.comparisons.relation(kind)
        return EventAggregate(function, path, self._selection(names), compare, operands)
