"""Binding: literals of the right kinds, parameters of one kind, references in order."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from core.errors import CdpError
from core.query.ast import (
    Absolute,
    AttributeCondition,
    Branch,
    Comparison,
    EventAggregate,
    EventCount,
    Everyone,
    Literal,
    Node,
    Op,
    Operand,
    Parameter,
    Rule,
    SegmentReference,
)
from core.query.binding.bind import bind
from core.query.text.parse import parse
from core.schema import DecimalUnits, Instant, Kind
from tests.golden.query.workspace import WORKSPACE


def bound_node(text: str) -> Node:
    return bind(parse(text), WORKSPACE).rule.nodes[-1]


def operand_of(text: str) -> Operand:
    node = bound_node(text)
    if isinstance(node, EventAggregate):
        return node.operands[0]
    assert isinstance(node, AttributeCondition)
    assert isinstance(node.test, Comparison)
    return node.test.operands[0]


def refused(text: str, **segments: str) -> str:
    names = replace(WORKSPACE, segments={name: parse(rule) for name, rule in segments.items()})
    with pytest.raises(CdpError) as caught:
        bind(parse(text), names, as_name="root")
    return f"{caught.value.reason} {caught.value.message}"


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("average_check > 250", DecimalUnits(2_500_000)),
        ("average_check > 250.5", DecimalUnits(2_505_000)),
        ("age > 30", 30),
        ("age > 30.0", 30),
        ("age > 30.5", DecimalUnits(305_000)),
        ('birth_date = "1990-01-31"', date(1990, 1, 31)),
        ('created > "1970-01-01T00:00:01Z"', Instant(1_000_000)),
        ("created > 1970-01-01T02:00:00.000001+02:00", Instant(1)),
        ("subscribed = true", True),
        ('city = "e\\u0301"', "é"),
        ("avg(order_completed.items.quantity) > 2", DecimalUnits(20_000)),
        ("distinct(order_completed.items.sku) > 2.0", 2),
    ],
)
def test_a_literal_takes_the_kind_of_its_field(text: str, literal: object) -> None:
    operand = operand_of(text)
    assert isinstance(operand, Literal)
    assert operand.value == literal
    assert type(operand.value) is type(literal)


def test_nodes_keep_their_numbers() -> None:
    rule = parse('not (age > 1 or average_check = 2) and in segment "VIP"')
    bound = bind(rule, WORKSPACE)
    assert [type(node) for node in bound.rule.nodes] == [type(node) for node in rule.nodes]
    assert bound.attributes == {"age": Kind.INTEGER, "average_check": Kind.DECIMAL}
    assert bound.segments["VIP"].attributes == {"loyalty_status": Kind.TEXT}
    assert bound.zone == "Europe/Kyiv"


def test_ends_of_a_window_become_dates_and_instants() -> None:
    node = bound_node('did order_completed from "2026-01-01" until "2026-02-01T00:00:00Z"')
    assert isinstance(node, EventCount)
    assert isinstance(node.events.window, Absolute)
    assert node.events.window.start == Literal(date(2026, 1, 1))
    assert isinstance(node.events.window.until, Literal)
    assert isinstance(node.events.window.until.value, Instant)


@pytest.mark.parametrize(
    ("event", "same", "path"),
    [
        ("product_viewed", "product_id", "product_id"),
        ("order_completed", "product_id", "items.product_id"),
        ("order_completed", "items.product_id", "items.product_id"),
        ("cart_updated", "product_id", "product_id"),
        ("cart_updated", "items.product_id", "items.product_id"),
    ],
)
def test_for_the_same_says_whether_the_lines_are_meant(event: str, same: str, path: str) -> None:
    node = bound_node(f"did {event} at least 2 times for the same {same}")
    assert isinstance(node, EventCount)
    assert node.same == path


def test_a_parameter_has_one_kind_everywhere() -> None:
    bound = bind(parse("age > :n and average_check > :n and did order_completed from :d through :e"), WORKSPACE)
    assert bound.parameters == {"d": Kind.INSTANT, "e": Kind.DATE, "n": Kind.DECIMAL}
    first = bound.rule.nodes[0]
    assert isinstance(first, AttributeCondition)
    assert isinstance(first.test, Comparison)
    assert first.test.operands == (Parameter("n", Kind.DECIMAL),)


def test_a_count_never_widens() -> None:
    text = "average_check > :n and did order_completed at least :n times"
    assert refused(text).startswith("RULE_PARAMETER")
    assert bind(parse("age = :n and did app_opened at least :n times"), WORKSPACE).parameters == {"n": Kind.INTEGER}


def test_a_reference_needs_the_parameters_that_it_does_not_bind() -> None:
    bound = bind(parse('in segment "Section fans" with section = :part'), WORKSPACE)
    assert bound.parameters == {"part": Kind.TEXT, "times": Kind.INTEGER}
    node = bound.rule.nodes[-1]
    assert isinstance(node, SegmentReference)
    assert node.arguments == (("section", Parameter("part", Kind.TEXT)),)
    limit = bound_node('in segment "Rich" with limit = 5')
    assert isinstance(limit, SegmentReference)
    assert limit.arguments == (("limit", Literal(DecimalUnits(50_000))),)


def test_segments_stand_after_those_they_refer_to() -> None:
    names = replace(
        WORKSPACE,
        segments={"a": parse('in segment "b" or in segment "c"'), "b": parse('in segment "c"'), "c": parse("age = 1")},
    )
    assert list(bind(parse('in segment "a"'), names).segments) == ["c", "b", "a"]


def test_cycles_are_named() -> None:
    assert '"root" -> "a" -> "root"' in refused('in segment "a"', a='age = 1 and in segment "root"')
    assert '"b" -> "c" -> "b"' in refused('in segment "a"', a='in segment "b"', b='in segment "c"', c='in segment "b"')
    assert refused('in segment "root"', root="everyone").startswith("RULE_CYCLE")


def test_long_chains_cost_no_stack() -> None:
    segments = {f"s{i}": f'in segment "s{i + 1}"' for i in range(900)}
    names = replace(WORKSPACE, segments={n: parse(t) for n, t in segments.items()} | {"s900": parse("everyone")})
    assert len(bind(parse('in segment "s0"'), names).segments) == 901
    names = replace(names, segments={**names.segments, "s900": parse('in segment "s0"')})
    with pytest.raises(CdpError, match="cannot refer to itself"):
        bind(parse('in segment "s0"'), names)


def test_a_rule_from_no_text_is_named_by_node() -> None:
    wrong = replace(WORKSPACE, attributes={})
    rule = Rule((Everyone(), AttributeCondition(replace(_comparison("age = 1"), span=Everyone().span)), _and(0, 1)))
    with pytest.raises(CdpError, match=r"^nodes\[1\]: unknown attribute"):
        bind(rule, wrong)


@pytest.mark.parametrize(
    "nodes",
    [
        (),
        (Everyone(), Everyone()),
        (Everyone(), Branch(Op.AND, (0,))),
        (Everyone(), Everyone(), Branch(Op.AND, (1, 0))),
        (Everyone(), Branch(Op.OR, (0, 0))),
        (Branch(Op.NOT, (0,)),),
        (Everyone(), Branch(Op.NOT, (1,))),
        (Everyone(), Branch(Op.AT_LEAST, (0,), 2)),
    ],
)
def test_node_arrays_that_are_no_tree_are_refused(nodes: tuple[Node, ...]) -> None:
    with pytest.raises(CdpError) as caught:
        bind(Rule(nodes), WORKSPACE)
    assert caught.value.reason == "RULE_SHAPE"


def _comparison(text: str) -> Comparison:
    node = parse(text).nodes[0]
    assert isinstance(node, AttributeCondition)
    assert isinstance(node.test, Comparison)
    return node.test


def _and(*children: int) -> Branch:
    return Branch(Op.AND, children)
