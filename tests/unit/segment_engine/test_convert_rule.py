"""The protobuf form says exactly what the text form says."""

from __future__ import annotations

import pytest

from cdp.facts.v1 import facts_pb2
from cdp.segment.v1 import rule_pb2 as pb
from core.errors import CdpError
from core.query import ast
from core.query.text.format import format_rule
from core.query.text.parse import parse
from services.segment_engine.convert_rule import rule_from_proto, rule_to_proto
from tests.generators.scene import make_scene


def test_random_rules_survive_the_wire_in_both_directions() -> None:
    kinds: set[type] = set()
    for seed in range(40):
        for question in make_scene(seed).questions:
            message = pb.Rule.FromString(rule_to_proto(question.rule).SerializeToString())
            assert rule_from_proto(message) == question.rule, f"seed {seed}: {format_rule(question.rule)}"
            kinds |= {type(node) for node in question.rule.nodes}
    assert kinds >= {
        ast.Branch,
        ast.Everyone,
        ast.AttributeCondition,
        ast.InList,
        ast.SegmentReference,
        ast.EventCount,
        ast.MessageCount,
        ast.EventAggregate,
    }


def leaf(name: str = "gender") -> pb.Node:
    comparison = pb.Comparison(
        name=name,
        compare=pb.COMPARE_EQ,
        operands=[pb.Operand(literal=facts_pb2.Value(text="female"))],
    )
    return pb.Node(attribute=pb.AttributeCondition(comparison=comparison))


def of_no_product() -> pb.EventSelection:
    return pb.EventSelection(names=["a"], products=[pb.ProductCondition()])


def test_a_program_s_tree_reads_as_text() -> None:
    tree = pb.Rule(nodes=[leaf(), pb.Node(branch=pb.Branch(op=pb.OP_NOT, children=[0]))])
    assert format_rule(rule_from_proto(tree)) == format_rule(parse('not gender = "female"'))


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        ([], "at least one node"),
        ([pb.Node()], "empty"),
        ([leaf(), leaf()], "joins all others"),
        ([pb.Node(branch=pb.Branch(op=pb.OP_NOT, children=[0]))], "children stand before their parent"),
        ([leaf(), pb.Node(branch=pb.Branch(op=pb.OP_AND, children=[0, 7]))], "children stand before their parent"),
        ([leaf(), pb.Node(branch=pb.Branch(children=[0]))], "op is missing"),
        ([leaf(), pb.Node(branch=pb.Branch(op=pb.Op.ValueType(99), children=[0]))], "op 99"),
        ([leaf(), leaf(), pb.Node(branch=pb.Branch(op=pb.OP_NOT, children=[0, 1]))], "cannot join 2"),
        ([pb.Node(event_count=pb.EventCount(compare=pb.COMPARE_EQ))], "names no event"),
        ([pb.Node(first_time=pb.FirstTime(events=pb.EventSelection(names=["a"])))], "a window is missing"),
        ([pb.Node(in_cohort=pb.InCohort())], "a window is missing"),
        ([pb.Node(population=pb.PopulationCondition())], "measure of the tree is empty"),
        ([pb.Node(was_in=pb.WasIn(name="x"))], "group is missing"),
        ([pb.Node(was_in=pb.WasIn(name="x", group=pb.Group.ValueType(9)))], "group 9"),
        ([pb.Node(sequence=pb.Sequence(steps=[pb.Step(events=pb.EventSelection(names=["a"]))]))], "a sequence has 2"),
        ([pb.Node(has_been=pb.HasBeen(duration_us=1))], "compare is missing"),
        ([pb.Node(random_bucket=pb.RandomBucket(low=1, high=10_000, salt="x"))], "random buckets lie from 0"),
        ([pb.Node(first_time=pb.FirstTime(events=of_no_product(), window=pb.Window(in_last_us=10**6)))], "product"),
        (
            [
                pb.Node(
                    attribute=pb.AttributeCondition(
                        comparison=pb.Comparison(name="a", compare=pb.COMPARE_EQ, operands=[pb.Operand()])
                    )
                )
            ],
            "operand of the tree is empty",
        ),
    ],
)
def test_a_broken_tree_is_refused_with_its_place(nodes: list[pb.Node], says: str) -> None:
    with pytest.raises(CdpError, match=says) as caught:
        rule_from_proto(pb.Rule(nodes=nodes))
    assert caught.value.reason in ("RULE_TREE", "RULE_SHAPE")


def test_a_tree_past_the_limit_is_refused() -> None:
    with pytest.raises(CdpError) as caught:
        rule_from_proto(pb.Rule(nodes=[leaf() for _ in range(10_001)]))
    assert caught.value.reason == "RULE_TOO_LARGE"


def test_a_tree_of_depth_five_hundred_crosses_the_wire() -> None:
    nodes = [leaf(), *(pb.Node(branch=pb.Branch(op=pb.OP_NOT, children=[number])) for number in range(500))]
    wire = pb.Rule(nodes=nodes).SerializeToString()
    assert len(rule_from_proto(pb.Rule.FromString(wire)).nodes) == 501
