"""The rule tree between its protobuf form and core's, in both directions; each says exactly what the other says."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import TypeVar

from cdp.segment.v1 import rule_pb2 as pb
from core.errors import invalid
from core.query import ast
from core.query.limits import MAX_NODES
from core.query.shape import check_shape
from services.runtime.facts import scalar_from_proto, value_to_proto

E = TypeVar("E", bound=Enum)

#: Enums whose wire names are those of core with a prefix.
_PREFIX: dict[type[Enum], str] = {
    ast.Op: "OP_",
    ast.Compare: "COMPARE_",
    ast.MessageVerb: "MESSAGE_VERB_",
    ast.Function: "FUNCTION_",
    ast.Zone: "ZONE_",
    ast.Period: "PERIOD_",
    ast.Scope: "SCOPE_",
}
_WIRE = {
    ast.Op: pb.Op,
    ast.Compare: pb.Compare,
    ast.MessageVerb: pb.MessageVerb,
    ast.Function: pb.Function,
    ast.Zone: pb.Zone,
    ast.Period: pb.Period,
    ast.Scope: pb.Scope,
}


def _to_wire(value: Enum) -> int:
    number: int = _WIRE[type(value)].Value(_PREFIX[type(value)] + value.name)
    return number


def _from_wire(kind: type[E], number: int, default: E | None = None) -> E:
    if number == 0:
        if default is not None:
            return default
        raise invalid("RULE_TREE", f"{kind.__name__.lower()} is missing in a node of the tree")
    names: dict[int, str] = {wire: name.removeprefix(_PREFIX[kind]) for name, wire in _WIRE[kind].items()}
    if number not in names:
        raise invalid("RULE_TREE", f"{kind.__name__.lower()} {number} is not known to this version")
    return kind[names[number]]


# --- to the wire ---------------------------------------------------------------------------------------------------


def rule_to_proto(rule: ast.Rule) -> pb.Rule:
    """The protobuf form; positions in a text are not part of it."""
    return pb.Rule(nodes=[_node_to_proto(node) for node in rule.nodes], scope=pb.Scope.ValueType(_to_wire(rule.scope)))


def _node_to_proto(node: ast.Node) -> pb.Node:
    match node:
        case ast.Branch():
            return pb.Node(branch=_branch_to_proto(node))
        case ast.Everyone():
            return pb.Node(everyone=pb.Everyone())
        case ast.AttributeCondition(test=ast.Comparison() as comparison):
            return pb.Node(attribute=pb.AttributeCondition(comparison=_comparison_to_proto(comparison)))
        case ast.AttributeCondition(test=ast.ElementMatch() as element):
            return pb.Node(attribute=pb.AttributeCondition(element=_element_to_proto(element)))
        case ast.InList():
            return pb.Node(in_list=pb.InList(name=node.name))
        case ast.SegmentReference():
            arguments = [pb.Argument(name=name, operand=_operand_to_proto(one)) for name, one in node.arguments]
            return pb.Node(segment=pb.SegmentReference(name=node.name, arguments=arguments))
        case ast.EventCount():
            return pb.Node(
                event_count=pb.EventCount(
                    events=_selection_to_proto(node.events),
                    compare=pb.Compare.ValueType(_to_wire(node.compare)),
                    counts=[_operand_to_proto(one) for one in node.counts],
                    same=node.same or "",
                )
            )
        case ast.MessageCount():
            return pb.Node(
                message_count=pb.MessageCount(
                    verb=pb.MessageVerb.ValueType(_to_wire(node.verb)),
                    filter=_filter_to_proto(node.filter),
                    window=_window_to_proto(node.window),
                    compare=pb.Compare.ValueType(_to_wire(node.compare)),
                    counts=[_operand_to_proto(one) for one in node.counts],
                )
            )
        case ast.EventAggregate():
            return pb.Node(
                event_aggregate=pb.EventAggregate(
                    function=pb.Function.ValueType(_to_wire(node.function)),
                    path=node.path,
                    events=_selection_to_proto(node.events),
                    compare=pb.Compare.ValueType(_to_wire(node.compare)),
                    operands=[_operand_to_proto(one) for one in node.operands],
                )
            )
        case _:
            raise TypeError(f"no protobuf form for {type(node).__name__}")


def _branch_to_proto(branch: ast.Branch) -> pb.Branch:
    return pb.Branch(op=pb.Op.ValueType(_to_wire(branch.op)), children=branch.children, k=branch.k)


def _operand_to_proto(operand: ast.Operand) -> pb.Operand:
    match operand:
        case ast.Literal():
            return pb.Operand(literal=value_to_proto(operand.value))
        case ast.Parameter():
            return pb.Operand(parameter=operand.name)
        case ast.AttributeOperand():
            return pb.Operand(attribute=operand.name)


def _comparison_to_proto(comparison: ast.Comparison) -> pb.Comparison:
    return pb.Comparison(
        name=comparison.name,
        compare=pb.Compare.ValueType(_to_wire(comparison.compare)),
        operands=[_operand_to_proto(one) for one in comparison.operands],
        ignoring_case=comparison.ignoring_case,
        relation=pb.Compare.ValueType(0 if comparison.relation is None else _to_wire(comparison.relation)),
        window=_window_to_proto(comparison.window),
    )


def _element_to_proto(element: ast.ElementMatch) -> pb.ElementMatch:
    return pb.ElementMatch(name=element.name, filter=_filter_to_proto(element.filter))


def _filter_to_proto(tree: ast.FilterTree) -> list[pb.FilterNode]:
    nodes = []
    for node in tree:
        match node:
            case ast.Branch():
                nodes.append(pb.FilterNode(branch=_branch_to_proto(node)))
            case ast.Comparison():
                nodes.append(pb.FilterNode(comparison=_comparison_to_proto(node)))
            case ast.ElementMatch():
                nodes.append(pb.FilterNode(element=_element_to_proto(node)))
    return nodes


def _selection_to_proto(selection: ast.EventSelection) -> pb.EventSelection:
    return pb.EventSelection(
        names=selection.names, filter=_filter_to_proto(selection.filter), window=_window_to_proto(selection.window)
    )


def _window_to_proto(window: ast.Window | None) -> pb.Window | None:
    match window:
        case None:
            return None
        case ast.InLast():
            return pb.Window(in_last_us=window.duration_us)
        case ast.InNext():
            return pb.Window(in_next_us=window.duration_us)
        case ast.BetweenAgo():
            return pb.Window(between_ago=pb.BetweenAgo(near_us=window.near_us, far_us=window.far_us))
        case ast.MoreThanAgo():
            return pb.Window(more_than_ago_us=window.duration_us)
        case ast.Absolute():
            return pb.Window(
                absolute=pb.Absolute(
                    start=_operand_to_proto(window.start) if window.start else None,
                    until=_operand_to_proto(window.until) if window.until else None,
                    through=window.through,
                    zone=pb.Zone.ValueType(_to_wire(window.zone)),
                )
            )
        case ast.Calendar():
            return pb.Window(
                calendar=pb.Calendar(
                    period=pb.Period.ValueType(_to_wire(window.period)),
                    offset=window.offset,
                    count=window.count,
                    zone=pb.Zone.ValueType(_to_wire(window.zone)),
                )
            )


# --- from the wire -------------------------------------------------------------------------------------------------


def rule_from_proto(message: pb.Rule) -> ast.Rule:
    """The tree of core. Raises INVALID: RULE_TREE for an empty or unknown part, and what `check_shape` raises."""
    if len(message.nodes) > MAX_NODES:
        raise invalid("RULE_TOO_LARGE", f"a rule has at most {MAX_NODES} nodes, this one has {len(message.nodes)}")
    nodes = tuple(_node_from_proto(node) for node in message.nodes)
    rule = ast.Rule(nodes, _from_wire(ast.Scope, message.scope, ast.Scope.KNOWN))
    check_shape(rule)
    return rule


def _node_from_proto(message: pb.Node) -> ast.Node:
    match message.WhichOneof("node"):
        case "branch":
            return _branch_from_proto(message.branch)
        case "everyone":
            return ast.Everyone()
        case "attribute":
            if message.attribute.WhichOneof("test") == "element":
                return ast.AttributeCondition(_element_from_proto(message.attribute.element))
            return ast.AttributeCondition(_comparison_from_proto(message.attribute.comparison))
        case "in_list":
            return ast.InList(message.in_list.name)
        case "segment":
            arguments = ((one.name, _operand_from_proto(one.operand)) for one in message.segment.arguments)
            return ast.SegmentReference(message.segment.name, tuple(sorted(arguments, key=lambda pair: pair[0])))
        case "event_count":
            count = message.event_count
            return ast.EventCount(
                _selection_from_proto(count.events),
                _from_wire(ast.Compare, count.compare),
                tuple(_operand_from_proto(one) for one in count.counts),
                count.same or None,
            )
        case "message_count":
            messages = message.message_count
            return ast.MessageCount(
                _from_wire(ast.MessageVerb, messages.verb),
                _filter_from_proto(messages.filter),
                _window_from_proto(messages.window),
                _from_wire(ast.Compare, messages.compare),
                tuple(_operand_from_proto(one) for one in messages.counts),
            )
        case "event_aggregate":
            aggregate = message.event_aggregate
            return ast.EventAggregate(
                _from_wire(ast.Function, aggregate.function),
                aggregate.path,
                _selection_from_proto(aggregate.events),
                _from_wire(ast.Compare, aggregate.compare),
                tuple(_operand_from_proto(one) for one in aggregate.operands),
            )
        case None:
            raise invalid("RULE_TREE", "a node of the tree is empty")


def _branch_from_proto(message: pb.Branch) -> ast.Branch:
    return ast.Branch(_from_wire(ast.Op, message.op), tuple(message.children), message.k)


def _operand_from_proto(message: pb.Operand) -> ast.Operand:
    match message.WhichOneof("operand"):
        case "literal":
            value = scalar_from_proto(message.literal)
            if value is None:
                raise invalid("RULE_TREE", "a literal has no value; `is missing` says that nothing is there")
            return ast.Literal(value)
        case "parameter":
            return ast.Parameter(message.parameter)
        case "attribute":
            return ast.AttributeOperand(message.attribute)
        case None:
            raise invalid("RULE_TREE", "an operand of the tree is empty")


def _comparison_from_proto(message: pb.Comparison) -> ast.Comparison:
    return ast.Comparison(
        message.name,
        _from_wire(ast.Compare, message.compare),
        tuple(_operand_from_proto(one) for one in message.operands),
        message.ignoring_case,
        _from_wire(ast.Compare, message.relation) if message.relation else None,
        _window_from_proto(message.window) if message.HasField("window") else None,
    )


def _element_from_proto(message: pb.ElementMatch) -> ast.ElementMatch:
    return ast.ElementMatch(message.name, _filter_from_proto(message.filter))


def _filter_from_proto(messages: Sequence[pb.FilterNode]) -> ast.FilterTree:
    nodes: list[ast.FilterNode] = []
    for message in messages:
        match message.WhichOneof("node"):
            case "branch":
                nodes.append(_branch_from_proto(message.branch))
            case "comparison":
                nodes.append(_comparison_from_proto(message.comparison))
            case "element":
                nodes.append(_element_from_proto(message.element))
            case None:
                raise invalid("RULE_TREE", "a node of a filter is empty")
    return tuple(nodes)


def _selection_from_proto(message: pb.EventSelection) -> ast.EventSelection:
    if not message.names:
        raise invalid("RULE_TREE", "an event condition names no event")
    window = _window_from_proto(message.window) if message.HasField("window") else None
    return ast.EventSelection(tuple(message.names), _filter_from_proto(message.filter), window)


def _window_from_proto(message: pb.Window) -> ast.Window | None:
    match message.WhichOneof("window"):
        case None:
            return None
        case "in_last_us":
            return ast.InLast(message.in_last_us)
        case "in_next_us":
            return ast.InNext(message.in_next_us)
        case "between_ago":
            return ast.BetweenAgo(message.between_ago.near_us, message.between_ago.far_us)
        case "more_than_ago_us":
            return ast.MoreThanAgo(message.more_than_ago_us)
        case "absolute":
            absolute = message.absolute
            return ast.Absolute(
                _operand_from_proto(absolute.start) if absolute.HasField("start") else None,
                _operand_from_proto(absolute.until) if absolute.HasField("until") else None,
                absolute.through,
                _from_wire(ast.Zone, absolute.zone, ast.Zone.WORKSPACE),
            )
        case "calendar":
            calendar = message.calendar
            return ast.Calendar(
                _from_wire(ast.Period, calendar.period),
                calendar.offset,
                calendar.count,
                _from_wire(ast.Zone, calendar.zone, ast.Zone.WORKSPACE),
            )
