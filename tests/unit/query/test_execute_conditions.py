"""What each condition means where the obvious reading and semantics.md could part."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from core.errors import CdpError
from core.events.columns import MACHINE
from core.query.ast import (
    AttributeCondition,
    AttributeOperand,
    Branch,
    Compare,
    Comparison,
    ElementMatch,
    EventAggregate,
    EventCount,
    EventSelection,
    Everyone,
    FilterTree,
    Function,
    InLast,
    MessageCount,
    MessageVerb,
    Node,
    Op,
    Operand,
    Parameter,
    Scope,
    SegmentReference,
)
from core.query.execute import LeafCache, evaluate
from core.query.explain import witnesses
from core.schema import DecimalUnits, Instant, Kind, Scalar
from tests.unit.index.small_world import SmallWorld, bound, members, operands, units

NOW = 10**9


def attribute(name: str, compare: Compare, *values: Scalar | Operand, ignoring_case: bool = False) -> Node:
    return AttributeCondition(Comparison(name, compare, operands(*values), ignoring_case))


def count(
    event_type: str, compare: Compare, *counts: int, where: FilterTree = (), same: str | None = None
) -> EventCount:
    return EventCount(EventSelection((event_type,), where), compare, operands(*counts), same)


def aggregate(function: Function, path: str, compare: Compare, *values: Scalar | Operand) -> EventAggregate:
    return EventAggregate(function, path, EventSelection(("order_completed",)), compare, operands(*values))


def test_missing_values_fail_positive_forms_and_satisfy_negative_ones() -> None:
    world = SmallWorld().contacts(0, 1, 2).attribute(0, "city", "Kyiv").attribute(1, "city", "")
    root = world.root()
    for compare, values, expected in (
        (Compare.EQ, ("Kyiv",), {0}),
        (Compare.NE, ("Kyiv",), {1, 2}),
        (Compare.IN, ("Kyiv", "Lviv"), {0}),
        (Compare.NOT_IN, ("Kyiv", "Lviv"), {1, 2}),
        (Compare.CONTAINS, ("yi",), {0}),
        (Compare.NOT_CONTAINS, ("yi",), {1, 2}),
        (Compare.MISSING, (), {2}),
        (Compare.PRESENT, (), {0, 1}),
        (Compare.LT, ("L",), {0, 1}),
        (Compare.STARTS, ("",), {0, 1}),
        (Compare.MATCHES, ("^K.*v$",), {0}),
    ):
        assert members(root, attribute("city", compare, *values), NOW) == expected, compare
        assert members(root, attribute("nowhere", compare, *values), NOW) == (
            {0, 1, 2} if compare in (Compare.NE, Compare.NOT_IN, Compare.NOT_CONTAINS, Compare.MISSING) else set()
        )


def test_ignoring_case_is_full_folding_and_literals_are_composed() -> None:
    world = SmallWorld().contacts(0, 1).attribute(0, "city", "Straße").attribute(1, "city", "Caf\u00e9")
    root = world.root()
    assert members(root, attribute("city", Compare.EQ, "STRASSE", ignoring_case=True), NOW) == {0}
    assert members(root, attribute("city", Compare.EQ, "STRASSE"), NOW) == set()
    assert members(root, attribute("city", Compare.EQ, "Cafe\u0301"), NOW) == {1}
    assert members(root, attribute("city", Compare.ENDS, "FE\u0301", ignoring_case=True), NOW) == {1}


def test_lists() -> None:
    world = SmallWorld().contacts(0, 1, 2, 3).attribute(0, "tags", ("a", "b", "a")).attribute(1, "tags", ())
    world.attribute(2, "tags", ("b",))
    root = world.root()
    for compare, values, expected in (
        (Compare.HAS_ANY, ("a", "x"), {0}),
        (Compare.HAS_ALL, ("a", "b"), {0}),
        (Compare.HAS_ALL, ("b",), {0, 2}),
        (Compare.HAS_NONE, ("a",), {1, 2, 3}),
        (Compare.PRESENT, (), {0, 1, 2}),
        (Compare.CONTAINS, ("b",), {0, 2}),
    ):
        assert members(root, attribute("tags", compare, *values), NOW) == expected, compare
    for relation, size, expected in ((Compare.EQ, 0, {1}), (Compare.GE, 1, {0, 2}), (Compare.NE, 3, {1, 2})):
        test = Comparison("tags", Compare.LENGTH, operands(size), relation=relation)
        assert members(root, AttributeCondition(test), NOW) == expected, relation


def test_numbers_compare_exactly_across_integers_and_decimals() -> None:
    huge = 2**63 - 1
    world = SmallWorld().contacts(0, 1, 2).attribute(0, "n", 3).attribute(1, "n", units("2.5")).attribute(2, "n", huge)
    world.attribute(0, "limit", units("2.9999")).attribute(2, "limit", huge).attribute(1, "limit", 2)
    root = world.root()
    for compare, value, expected in (
        (Compare.LT, units("3.0001"), {0, 1}),
        (Compare.EQ, units("3"), {0}),
        (Compare.EQ, units("2.5001"), set()),
        (Compare.GE, units("2.5"), {0, 1, 2}),
        (Compare.GT, 2, {0, 1, 2}),
        (Compare.LE, huge, {0, 1, 2}),
        (Compare.LT, huge, {0, 1}),
        (Compare.GT, AttributeOperand("limit"), {0, 1}),
        (Compare.EQ, AttributeOperand("limit"), {2}),
        (Compare.NE, AttributeOperand("limit"), {0, 1}),
        (Compare.NE, AttributeOperand("nowhere"), {0, 1, 2}),
    ):
        assert members(root, attribute("n", compare, value), NOW) == expected, (compare, value)
    assert members(root, attribute("n", Compare.BETWEEN, units("2.5"), 3), NOW) == {0, 1}


def test_conditions_on_elements_bind_to_one_element() -> None:
    world = SmallWorld().contacts(0, 1, 2)
    world.attribute(0, "children", ({"age": 8, "gender": "female"}, {"age": 3, "gender": "male"}))
    world.attribute(1, "children", ({"age": 8, "gender": "male"}, {"age": 3, "gender": "female"}, {"age": 1}))
    root = world.root()
    both: FilterTree = (
        Comparison("age", Compare.BETWEEN, operands(8, 9)),
        Comparison("gender", Compare.EQ, operands("female")),
        Branch(Op.AND, (0, 1)),
    )
    assert members(root, AttributeCondition(ElementMatch("children", both)), NOW) == {0}
    negative = ElementMatch("children", (Comparison("gender", Compare.NE, operands("male")),))
    assert members(root, AttributeCondition(negative), NOW) == {0, 1}
    missing = ElementMatch("children", (Comparison("gender", Compare.MISSING),))
    assert members(root, AttributeCondition(missing), NOW) == {1}
    assert members(root, AttributeCondition(ElementMatch("children", ())), NOW) == {0, 1}


def test_counts_hold_for_those_who_never_did_it() -> None:
    world = SmallWorld().contacts(0, 1, 2, 3).contacts(4, known=False)
    for contact, number in ((0, 1), (1, 2), (2, 3), (4, 2)):
        for _ in range(number):
            world.event(contact, "site_visited", 5)
    world.event(3, "site_visited", 5, flags=MACHINE)
    root = world.root()
    for compare, counts, expected in (
        (Compare.GE, (1,), {0, 1, 2}),
        (Compare.EQ, (0,), {3}),
        (Compare.LE, (2,), {0, 1, 3}),
        (Compare.NE, (2,), {0, 2, 3}),
        (Compare.BETWEEN, (0, 1), {0, 3}),
        (Compare.LT, (3,), {0, 1, 3}),
        (Compare.GE, (0,), {0, 1, 2, 3}),
    ):
        assert members(root, count("site_visited", compare, *counts), NOW) == expected, compare
        assert (3 in expected) == (3 in members(root, count("never_seen", compare, *counts), NOW))
    assert members(root, bound(count("site_visited", Compare.EQ, 2), scope=Scope.ANONYMOUS), NOW) == {4}
    assert members(root, bound(count("site_visited", Compare.EQ, 2), scope=Scope.ALL), NOW) == {1, 4}


def test_prefixes_and_lists_of_events_count_the_union() -> None:
    world = SmallWorld().contacts(0, 1).event(0, "product_viewed", 1).event(0, "product_list_viewed", 1)
    root = world.event(1, "page_viewed", 1).root()
    both = EventCount(EventSelection(("product_*",)), Compare.EQ, operands(2))
    assert members(root, both, NOW) == {0}
    listed = EventCount(EventSelection(("page_viewed", "product_viewed")), Compare.EQ, operands(1))
    assert members(root, listed, NOW) == {0, 1}


def test_filters_on_lines_bind_to_one_line_and_counts_count_events() -> None:
    world = SmallWorld().contacts(0, 1, 2)
    world.event(0, "order_completed", 1, items=({"category": "tea", "quantity": 1}, {"category": "oil", "quantity": 2}))
    world.event(1, "order_completed", 1, items=({"category": "tea", "quantity": 2}, {"category": "tea", "quantity": 3}))
    world.event(2, "order_completed", 1)
    two: FilterTree = (
        Comparison("category", Compare.EQ, operands("tea")),
        Comparison("quantity", Compare.GE, operands(2)),
        Branch(Op.AND, (0, 1)),
    )
    root = world.root()
    where: FilterTree = (ElementMatch("items", two),)
    assert members(root, count("order_completed", Compare.GE, 1, where=where), NOW) == {1}
    assert members(root, count("order_completed", Compare.GE, 2, where=where), NOW) == set()
    without: FilterTree = (*where, Branch(Op.NOT, (0,)))
    assert members(root, count("order_completed", Compare.GE, 1, where=without), NOW) == {0, 2}


def test_parameters_of_events_compare_with_attributes_and_miss_like_them() -> None:
    world = SmallWorld().contacts(0, 1, 2).attribute(0, "average_check", units("10")).attribute(1, "average_check", 20)
    for contact in (0, 1, 2):
        world.event(contact, "order_completed", 5, {"total": units("15")})
    root = world.event(1, "order_completed", 6).root()
    above: FilterTree = (Comparison("total", Compare.GE, operands(AttributeOperand("average_check"))),)
    assert members(root, count("order_completed", Compare.GE, 1, where=above), NOW) == {0}
    other: FilterTree = (Comparison("total", Compare.NE, operands(units("15"))),)
    assert members(root, count("order_completed", Compare.GE, 1, where=other), NOW) == {1}


def test_for_the_same_value() -> None:
    world = SmallWorld().contacts(0, 1, 2)
    for contact, product in ((0, "a"), (0, "a"), (1, "a"), (1, "b"), (2, "a")):
        world.event(contact, "product_viewed", 5, {"product_id": product})
    root = world.root()
    assert members(root, count("product_viewed", Compare.GE, 2, same="product_id"), NOW) == {0}
    assert members(root, count("product_viewed", Compare.EQ, 1, same="product_id"), NOW) == {1, 2}
    only_a: FilterTree = (Comparison("product_id", Compare.EQ, operands("a")),)
    assert members(root, count("product_viewed", Compare.EQ, 0, same="product_id", where=only_a), NOW) == {1}


def test_for_the_same_value_of_lines_binds_filters_to_the_line() -> None:
    world = SmallWorld().contacts(0, 1)
    for contact, second in ((0, 2), (1, 1)):
        world.event(
            contact, "order_completed", 5, items=({"sku": "x", "n": 2}, {"sku": "y", "n": 1}, {"sku": "x", "n": 2})
        )
        world.event(contact, "order_completed", 6, items=({"sku": "x", "n": second}, {"sku": "z", "n": 2}))
    where: FilterTree = (ElementMatch("items", (Comparison("n", Compare.GE, operands(2)),)),)
    root = world.root()
    assert members(root, count("order_completed", Compare.GE, 2, same="items.sku", where=where), NOW) == {0}
    assert members(root, count("order_completed", Compare.GE, 2, same="items.sku"), NOW) == {0, 1}
    apart: FilterTree = (ElementMatch("items", (Comparison("n", Compare.EQ, operands(1)),)), Branch(Op.NOT, (0,)))
    assert members(root, count("order_completed", Compare.GE, 2, same="items.sku", where=apart), NOW) == {0}
    assert members(root, count("order_completed", Compare.GE, 3, same="items.sku"), NOW) == set()


def test_aggregates_over_something_and_over_nothing() -> None:
    world = SmallWorld().contacts(0, 1, 2)
    for total in ("1", "2", "2.5"):
        world.event(0, "order_completed", 5, {"total": units(total)}, ({"amount": 2}, {}, {"amount": units("0.5")}))
    world.event(1, "order_completed", 5)
    root = world.root()
    for function, path, compare, value, expected in (
        (Function.SUM, "total", Compare.EQ, units("5.5"), {0}),
        (Function.SUM, "total", Compare.LT, 1, {1, 2}),
        (Function.SUM, "items.amount", Compare.EQ, units("7.5"), {0}),
        (Function.AVG, "total", Compare.EQ, units("1.8333"), {0}),
        (Function.AVG, "total", Compare.LT, 100, {0}),
        (Function.AVG, "total", Compare.NE, 100, {0, 1, 2}),
        (Function.AVG, "items.amount", Compare.EQ, units("1.25"), {0}),
        (Function.MIN, "total", Compare.LE, 1, {0}),
        (Function.MAX, "total", Compare.GT, units("2.4999"), {0}),
        (Function.MAX, "total", Compare.NE, units("2.5"), {1, 2}),
        (Function.DISTINCT, "total", Compare.EQ, 3, {0}),
        (Function.DISTINCT, "items.amount", Compare.EQ, 2, {0}),
        (Function.DISTINCT, "total", Compare.EQ, 0, {1, 2}),
    ):
        assert members(root, aggregate(function, path, compare, value), NOW) == expected, (function, path, compare)
    assert members(root, aggregate(Function.MIN, "total", Compare.MISSING), NOW) == {1, 2}
    assert members(root, aggregate(Function.SUM, "total", Compare.MISSING), NOW) == set()


def test_averages_round_half_to_even_and_sums_do_not_overflow() -> None:
    world = SmallWorld().contacts(0, 1, 2, 3)
    for contact, values in ((0, (1, 2)), (1, (3, 4)), (2, (-1, -2))):
        for value in values:
            world.event(contact, "order_completed", 5, {"total": DecimalUnits(value)})
    biggest = 9 * 10**18
    for _ in range(3):
        world.event(3, "order_completed", 5, {"total": DecimalUnits(biggest)})
    root = world.root()
    for contact, mean in ((0, 2), (1, 4), (2, -2), (3, biggest)):
        assert members(root, aggregate(Function.AVG, "total", Compare.EQ, DecimalUnits(mean)), NOW) == {contact}
    assert members(root, aggregate(Function.SUM, "total", Compare.EQ, DecimalUnits(3 * biggest)), NOW) == {3}
    assert members(root, aggregate(Function.SUM, "total", Compare.GT, DecimalUnits(biggest)), NOW) == {3}
    assert members(root, aggregate(Function.SUM, "total", Compare.LT, 0), NOW) == {2}


def test_extremes_of_instants_and_dates_and_texts_have_none() -> None:
    world = (
        SmallWorld().contacts(0, 1).event(0, "order_completed", 5, {"at": Instant(7), "on": date(2026, 1, 2), "t": "x"})
    )
    root = world.root()
    assert members(root, aggregate(Function.MAX, "at", Compare.LE, Instant(7)), NOW) == {0}
    assert members(root, aggregate(Function.MIN, "on", Compare.GE, date(2026, 1, 3)), NOW) == set()
    assert members(root, aggregate(Function.MIN, "on", Compare.EQ, date(2026, 1, 2)), NOW) == {0}
    with pytest.raises(CdpError) as refused:
        members(root, aggregate(Function.SUM, "t", Compare.EQ, 1), NOW)
    assert refused.value.reason == "AGGREGATE_KIND"


def test_messages_are_counted_once_and_received_as_reported() -> None:
    world = SmallWorld().contacts(*range(6))

    def happened(contact: int, verb: str, message: str, at_us: int, flags: int = 0) -> None:
        world.event(contact, f"message_{verb}", at_us, {"message_id": message}, flags=flags)

    happened(0, "sent", "m0", 1)
    happened(0, "delivered", "m0", 10)
    happened(1, "sent", "m1", 1)
    happened(1, "bounced", "m1", 10)
    happened(2, "sent", "m2", 1)
    happened(3, "opened", "m3", 5)
    happened(3, "opened", "m3", 6)
    happened(3, "clicked", "m3", 7)
    happened(4, "opened", "m4", 5, MACHINE)
    happened(5, "clicked", "m5", 5)
    root = world.root()

    def messages(verb: MessageVerb, compare: Compare, number: int, window_us: int | None = None) -> MessageCount:
        window = None if window_us is None else InLast(window_us)
        return MessageCount(verb, (), window, compare, operands(number))

    assert members(root, messages(MessageVerb.RECEIVED, Compare.GE, 1), 20) == {0, 2}
    assert members(root, messages(MessageVerb.RECEIVED, Compare.GE, 1), 9) == {0, 1, 2}
    assert members(root, messages(MessageVerb.RECEIVED, Compare.GE, 1, 15), 20) == {0}
    assert members(root, messages(MessageVerb.SENT, Compare.GE, 1), 20) == {0, 1, 2}
    assert members(root, messages(MessageVerb.OPENED, Compare.EQ, 1), 20) == {3, 5}
    assert members(root, messages(MessageVerb.OPENED, Compare.EQ, 0), 20) == {0, 1, 2, 4}
    assert members(root, messages(MessageVerb.CLICKED, Compare.GE, 1), 20) == {3, 5}


def test_messages_without_an_id_are_messages_of_their_own() -> None:
    world = (
        SmallWorld().contacts(0).event(0, "message_sent", 1).event(0, "message_sent", 2).event(0, "message_bounced", 3)
    )
    rule = MessageCount(MessageVerb.RECEIVED, (), None, Compare.EQ, operands(2))
    assert members(world.root(), rule, NOW) == {0}


def test_every_branch_and_every_node() -> None:
    world = SmallWorld().contacts(0, 1, 2, 3).contacts(4, known=False, reachable=0)
    for contact, cities in ((0, "abc"), (1, "ab"), (2, "a"), (4, "abc")):
        for name in cities:
            world.attribute(contact, name, True)
    leaves = tuple(attribute(name, Compare.EQ, True) for name in "abc")
    root = world.root()
    for branch, expected in (
        (Branch(Op.AND, (0, 1, 2)), {0}),
        (Branch(Op.OR, (1, 2)), {0, 1}),
        (Branch(Op.NOT, (1,)), {2, 3}),
        (Branch(Op.AT_LEAST, (0, 1, 2), k=2), {0, 1}),
        (Branch(Op.AT_LEAST, (0, 1, 2), k=0), {0, 1, 2, 3}),
        (Branch(Op.EXCEPT, (0, 1, 2), k=1), {2}),
        (Branch(Op.EXCEPT, (1, 2), k=0), {2, 3}),
    ):
        assert members(root, bound(*leaves, branch), NOW) == expected, branch
    found = evaluate(bound(*leaves, Branch(Op.OR, (0, 1, 2)), scope=Scope.ALL), root, NOW, {})
    assert [set(node) for node in found.nodes] == [{0, 1, 2, 4}, {0, 1, 4}, {0, 4}, {0, 1, 2, 4}]
    assert found.members == found.nodes[-1]
    counts = found.node_counts(root)[-1]
    assert (counts.total, counts.known, counts.reachable) == (4, 3, 3)
    assert found.counts(root) == counts


def test_referenced_segments_keep_their_scope_and_bind_their_parameters() -> None:
    world = (
        SmallWorld().contacts(0, 1).contacts(2, known=False).attribute(0, "city", "Kyiv").attribute(2, "city", "Kyiv")
    )
    root = world.attribute(1, "city", "Lviv").root()
    city = bound(attribute("city", Compare.EQ, Parameter("c", Kind.TEXT)), parameters={"c": Kind.TEXT})
    negated = bound(
        SegmentReference("city", (("c", Parameter("d")),)),
        Branch(Op.NOT, (0,)),
        parameters={"d": Kind.TEXT},
        segments={"city": city},
        scope=Scope.ALL,
    )
    assert members(root, negated, NOW, {"d": "Kyiv"}) == {1, 2}
    assert members(root, negated, NOW, {"d": "Lviv", "other": 1}) == {0, 2}
    fixed = bound(SegmentReference("city", operands_of(c="Lviv")), segments={"city": city})
    assert members(root, fixed, NOW) == {1}
    again = bound(SegmentReference("city"), parameters={"c": Kind.TEXT}, segments={"city": city})
    assert members(root, again, NOW, {"c": "Kyiv"}) == {0}
    for given, reason in (({}, "PARAMETER_MISSING"), ({"c": 3}, "PARAMETER_TYPE"), ({"c": True}, "PARAMETER_TYPE")):
        with pytest.raises(CdpError) as refused:
            members(root, again, NOW, given)
        assert refused.value.reason == reason


def operands_of(**values: Scalar) -> tuple[tuple[str, Operand], ...]:
    return tuple((name, operands(value)[0]) for name, value in sorted(values.items()))


def test_diamonds_and_long_chains_of_references() -> None:
    root = SmallWorld().contacts(0, 1).attribute(0, "a", 1).root()
    segments = {"s0": bound(attribute("a", Compare.EQ, 1))}
    for number in range(1, 2_000):
        previous = SegmentReference(f"s{number - 1}")
        also = SegmentReference(f"s{max(0, number - 2)}")
        segments[f"s{number}"] = bound(previous, also, Branch(Op.AND, (0, 1)))
    rule = bound(SegmentReference("s1999"), segments=segments)
    assert set(evaluate(rule, root, NOW, {}).members) == {0}
    looped = {"a": bound(SegmentReference("b")), "b": bound(SegmentReference("a"))}
    with pytest.raises(CdpError) as refused:
        evaluate(bound(SegmentReference("a"), segments=looped), root, NOW, {})
    assert refused.value.reason == "SEGMENT_CYCLE"


def test_a_shared_cache_answers_equal_leaves_once() -> None:
    root = SmallWorld().contacts(0, 1).event(0, "site_visited", 5).root()
    rule = bound(count("site_visited", Compare.GE, 1), Everyone(), Branch(Op.AND, (0, 1)))
    cache: LeafCache = {}
    first = evaluate(rule, root, NOW, {}, cache=cache)
    assert len(cache) == 2
    assert evaluate(rule, root, NOW, {}, cache=cache).members == first.members


def test_witnesses_are_the_latest_matching_events() -> None:
    world = SmallWorld().contacts(0, 1)
    for number, instant in enumerate((5, 9, 7, 7)):
        world.event(0, "site_visited", instant, event_id=f"e{number}")
    world.event(0, "page_viewed", 6, event_id="page").event(1, "site_visited", 8)
    root = world.root(1, root_each=True)
    rule = bound(count("site_visited", Compare.GE, 1), count("page_viewed", Compare.EQ, 0), Branch(Op.OR, (0, 1)))
    assert witnesses(rule, root, 0, NOW, {}, 3) == ("e1", "e3", "e2")
    assert witnesses(rule, root, 0, 6, {}, 3) == ("page", "e0")
    nested = bound(SegmentReference("s"), segments={"s": rule})
    assert witnesses(nested, root, 0, NOW, {}, 1) == ("e1",)
    assert witnesses(bound(Everyone()), root, 0, NOW, {}, 3) == ()


def test_candidates_in_any_order_and_beyond_the_root() -> None:
    root = SmallWorld().contacts(0, 1, 2).event(1, "site_visited", 5).root()
    asked = np.array([7, 2, 1, 1], np.uint32)
    assert set(evaluate(bound(count("site_visited", Compare.EQ, 0)), root, NOW, {}, asked).members) == {2}
    assert set(evaluate(bound(Everyone()), root, NOW, {}, np.zeros(0, np.uint32)).members) == set()
