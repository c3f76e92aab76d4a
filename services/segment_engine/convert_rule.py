"""The rule tree between its protobuf form and core's, in both directions; each says exactly what the other says."""

from __future__ import annotations

from cdp.segment.v1 import rule_pb2 as pb
from core.errors import invalid
from core.query import ast
from core.query.binding.shape import check_shape
from core.query.limits import MAX_NODES
from services.segment_engine.convert_rule_enums import from_wire, to_wire
from services.segment_engine.convert_rule_events import (
    OfEvents,
    aggregate_from_proto,
    count_from_proto,
    first_time_from_proto,
    messages_from_proto,
    of_events_to_proto,
    picked_from_proto,
    regularly_from_proto,
    restarted_from_proto,
    sequence_from_proto,
    stopped_from_proto,
    trend_from_proto,
)
from services.segment_engine.convert_rule_history import (
    OfHistory,
    changed_from_proto,
    has_been_from_proto,
    has_been_in_from_proto,
    of_history_to_proto,
    reachable_from_proto,
    was_in_from_proto,
)
from services.segment_engine.convert_rule_population import (
    OfOthers,
    bucket_from_proto,
    cell_from_proto,
    cohort_from_proto,
    interest_condition_from_proto,
    limit_from_proto,
    limit_to_proto,
    moved_from_proto,
    of_others_to_proto,
    population_from_proto,
)
from services.segment_engine.convert_rule_values import (
    branch_from_proto,
    branch_to_proto,
    comparison_from_proto,
    comparison_to_proto,
    element_from_proto,
    element_to_proto,
    operand_from_proto,
    operand_to_proto,
)


def rule_to_proto(rule: ast.Rule) -> pb.Rule:
    """The protobuf form of a well-formed rule; neither positions in a text nor what binding writes are part of it."""
    return pb.Rule(
        nodes=[_node_to_proto(node) for node in rule.nodes],
        scope=to_wire(rule.scope),
        base=rule.base or "",
        limit=limit_to_proto(rule.limit),
    )


def rule_from_proto(message: pb.Rule) -> ast.Rule:
    """The tree of core. Raises INVALID: RULE_TREE for an empty or unknown part, and what `check_shape` raises."""
    if len(message.nodes) > MAX_NODES:
        raise invalid("RULE_TOO_LARGE", f"a rule has at most {MAX_NODES} nodes, this one has {len(message.nodes)}")
    rule = ast.Rule(
        tuple(_node_from_proto(node) for node in message.nodes),
        from_wire(ast.Scope, message.scope, ast.Scope.KNOWN),
        message.base or None,
        limit_from_proto(message.limit) if message.HasField("limit") else None,
    )
    check_shape(rule)
    return rule


def _node_to_proto(node: ast.Node) -> pb.Node:
    if isinstance(node, OfEvents):
        return of_events_to_proto(node)
    if isinstance(node, OfOthers):
        return of_others_to_proto(node)
    if isinstance(node, OfHistory):
        return of_history_to_proto(node)
    match node:
        case ast.Branch():
            return pb.Node(branch=branch_to_proto(node))
        case ast.Everyone():
            return pb.Node(everyone=pb.Everyone())
        case ast.AttributeCondition(test=ast.Comparison() as comparison):
            return pb.Node(attribute=pb.AttributeCondition(comparison=comparison_to_proto(comparison)))
        case ast.AttributeCondition(test=ast.ElementMatch() as element):
            return pb.Node(attribute=pb.AttributeCondition(element=element_to_proto(element)))
        case ast.InList(name):
            return pb.Node(in_list=pb.InList(name=name))
        case ast.SegmentReference(name, arguments):
            given = [pb.Argument(name=argument, operand=operand_to_proto(one)) for argument, one in arguments]
            return pb.Node(segment=pb.SegmentReference(name=name, arguments=given))
        case _:
            raise TypeError(f"no protobuf form for {type(node).__name__}")


def _node_from_proto(message: pb.Node) -> ast.Node:
    match message.WhichOneof("node"):
        case "branch":
            return branch_from_proto(message.branch)
        case "everyone":
            return ast.Everyone()
        case "attribute":
            if message.attribute.WhichOneof("test") == "element":
                return ast.AttributeCondition(element_from_proto(message.attribute.element))
            return ast.AttributeCondition(comparison_from_proto(message.attribute.comparison))
        case "in_list":
            return ast.InList(message.in_list.name)
        case "segment":
            given = ((one.name, operand_from_proto(one.operand)) for one in message.segment.arguments)
            return ast.SegmentReference(message.segment.name, tuple(sorted(given, key=lambda pair: pair[0])))
        case None:
            raise invalid("RULE_TREE", "a node of the tree is empty")
        case _:
            return _of_events(message) or _of_the_rest(message)


def _of_events(message: pb.Node) -> ast.Node | None:
    match message.WhichOneof("node"):
        case "event_count":
            return count_from_proto(message.event_count)
        case "message_count":
            return messages_from_proto(message.message_count)
        case "event_aggregate":
            return aggregate_from_proto(message.event_aggregate)
        case "first_time":
            return first_time_from_proto(message.first_time)
        case "picked_event":
            return picked_from_proto(message.picked_event)
        case "stopped":
            return stopped_from_proto(message.stopped)
        case "restarted":
            return restarted_from_proto(message.restarted)
        case "regularly":
            return regularly_from_proto(message.regularly)
        case "trend":
            return trend_from_proto(message.trend)
        case "sequence":
            return sequence_from_proto(message.sequence)
        case _:
            return None


def _of_the_rest(message: pb.Node) -> ast.Node:
    match message.WhichOneof("node"):
        case "interest":
            return interest_condition_from_proto(message.interest)
        case "population":
            return population_from_proto(message.population)
        case "rfm_in_cell":
            return cell_from_proto(message.rfm_in_cell)
        case "rfm_moved":
            return moved_from_proto(message.rfm_moved)
        case "in_cohort":
            return cohort_from_proto(message.in_cohort)
        case "random_bucket":
            return bucket_from_proto(message.random_bucket)
        case "has_been":
            return has_been_from_proto(message.has_been)
        case "changed":
            return changed_from_proto(message.changed)
        case "was_in":
            return was_in_from_proto(message.was_in)
        case "has_been_in":
            return has_been_in_from_proto(message.has_been_in)
        case "reachable":
            return reachable_from_proto(message.reachable)
        case kind:
            raise TypeError(f"no tree for {kind}")
