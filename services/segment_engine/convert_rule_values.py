"""Operands, comparisons, windows, filters and selections between their protobuf form and core's."""

from __future__ import annotations

from collections.abc import Sequence

from cdp.segment.v1 import rule_pb2 as pb
from core.errors import invalid
from core.query import ast
from core.schema import DecimalUnits
from services.runtime.facts import scalar_from_proto, value_to_proto
from services.segment_engine.convert_rule_enums import from_wire, maybe_from_wire, to_wire

# --- to the wire ---------------------------------------------------------------------------------------------------


def branch_to_proto(branch: ast.Branch) -> pb.Branch:
    """An inner node of a rule or a filter."""
    return pb.Branch(op=to_wire(branch.op), children=branch.children, k=branch.k)


def operand_to_proto(operand: ast.Operand) -> pb.Operand:
    """A value. The kind that binding gives a parameter is no part of it."""
    match operand:
        case ast.Literal():
            return pb.Operand(literal=value_to_proto(operand.value))
        case ast.Parameter():
            return pb.Operand(parameter=operand.name)
        case ast.AttributeOperand():
            return pb.Operand(attribute=operand.name)
        case ast.AttributeAtEvent():
            return pb.Operand(attribute_at_event=operand.name)
        case ast.StepOperand():
            return pb.Operand(step=pb.StepOperand(step=operand.step, path=operand.path))


def operands_to_proto(operands: tuple[ast.Operand, ...]) -> list[pb.Operand]:
    """Several values."""
    return [operand_to_proto(operand) for operand in operands]


def comparison_to_proto(comparison: ast.Comparison) -> pb.Comparison:
    """A comparison of one named value."""
    return pb.Comparison(
        name=comparison.name,
        compare=to_wire(comparison.compare),
        operands=operands_to_proto(comparison.operands),
        ignoring_case=comparison.ignoring_case,
        relation=to_wire(comparison.relation),
        window=window_to_proto(comparison.window),
        moments=_moments_to_proto(comparison.moments),
        circle=_circle_to_proto(comparison.circle),
        zone=_zone_to_proto(comparison.zone),
    )


def element_to_proto(element: ast.ElementMatch) -> pb.ElementMatch:
    """An element match."""
    return pb.ElementMatch(name=element.name, filter=filter_to_proto(element.filter), every=element.every)


def filter_to_proto(tree: ast.FilterTree) -> list[pb.FilterNode]:
    """The nodes of a filter, in their order."""
    nodes = []
    for node in tree:
        match node:
            case ast.Branch():
                nodes.append(pb.FilterNode(branch=branch_to_proto(node)))
            case ast.Comparison():
                nodes.append(pb.FilterNode(comparison=comparison_to_proto(node)))
            case ast.ElementMatch():
                nodes.append(pb.FilterNode(element=element_to_proto(node)))
    return nodes


def selection_to_proto(selection: ast.EventSelection) -> pb.EventSelection:
    """A selection of events."""
    products = [
        pb.ProductCondition(
            state=to_wire(product.state),
            at_event=product.at_event,
            price_drop_units=None if product.price_drop is None else product.price_drop.units,
        )
        for product in selection.products
    ]
    return pb.EventSelection(
        names=selection.names,
        filter=filter_to_proto(selection.filter),
        window=window_to_proto(selection.window),
        moments=_moments_to_proto(selection.moments),
        products=products,
        with_machines=selection.with_machines,
    )


def window_to_proto(window: ast.Window | None) -> pb.Window | None:
    """A window; None for all time."""
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
                    start=None if window.start is None else operand_to_proto(window.start),
                    until=None if window.until is None else operand_to_proto(window.until),
                    through=window.through,
                    zone=to_wire(window.zone),
                )
            )
        case ast.Calendar():
            return pb.Window(
                calendar=pb.Calendar(
                    period=to_wire(window.period), offset=window.offset, count=window.count, zone=to_wire(window.zone)
                )
            )
        case ast.OnDay():
            return pb.Window(on_day=window.offset)
        case ast.SinceLast():
            return pb.Window(since_last=selection_to_proto(window.events))
        case ast.UntilFirst():
            return pb.Window(until_first=selection_to_proto(window.events))


def _moments_to_proto(moments: ast.Moments | None) -> pb.Moments | None:
    if moments is None:
        return None
    hours = moments.hours and pb.Hours(from_s=moments.hours[0], until_s=moments.hours[1])
    return pb.Moments(weekdays=moments.weekdays, hours=hours, zone=to_wire(moments.zone))


def _circle_to_proto(circle: ast.Circle | None) -> pb.Circle | None:
    if circle is None:
        return None
    return pb.Circle(latitude_e7=circle.latitude_e7, longitude_e7=circle.longitude_e7, radius_mm=circle.radius_mm)


def _zone_to_proto(zone: ast.Zone) -> pb.Zone.ValueType:
    """The workspace's own is not said where most comparisons have no zone at all."""
    number: pb.Zone.ValueType = to_wire(None if zone is ast.Zone.WORKSPACE else zone)
    return number


# --- from the wire -------------------------------------------------------------------------------------------------


def branch_from_proto(message: pb.Branch) -> ast.Branch:
    """An inner node. This and all below raise INVALID RULE_TREE for what is empty or unknown."""
    return ast.Branch(from_wire(ast.Op, message.op), tuple(message.children), message.k)


def operand_from_proto(message: pb.Operand) -> ast.Operand:
    """A value."""
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
        case "attribute_at_event":
            return ast.AttributeAtEvent(message.attribute_at_event)
        case "step":
            return ast.StepOperand(message.step.step, message.step.path)
        case None:
            raise invalid("RULE_TREE", "an operand of the tree is empty")


def operands_from_proto(messages: Sequence[pb.Operand]) -> tuple[ast.Operand, ...]:
    """Several values."""
    return tuple(operand_from_proto(message) for message in messages)


def comparison_from_proto(message: pb.Comparison) -> ast.Comparison:
    """A comparison of one named value."""
    circle = message.circle
    return ast.Comparison(
        message.name,
        from_wire(ast.Compare, message.compare),
        operands_from_proto(message.operands),
        message.ignoring_case,
        maybe_from_wire(ast.Compare, message.relation),
        window_from_proto(message.window) if message.HasField("window") else None,
        _moments_from_proto(message.moments) if message.HasField("moments") else None,
        ast.Circle(circle.latitude_e7, circle.longitude_e7, circle.radius_mm) if message.HasField("circle") else None,
        from_wire(ast.Zone, message.zone, ast.Zone.WORKSPACE),
    )


def element_from_proto(message: pb.ElementMatch) -> ast.ElementMatch:
    """An element match."""
    return ast.ElementMatch(message.name, filter_from_proto(message.filter), message.every)


def filter_from_proto(messages: Sequence[pb.FilterNode]) -> ast.FilterTree:
    """The nodes of a filter, in their order."""
    nodes: list[ast.FilterNode] = []
    for message in messages:
        match message.WhichOneof("node"):
            case "branch":
                nodes.append(branch_from_proto(message.branch))
            case "comparison":
                nodes.append(comparison_from_proto(message.comparison))
            case "element":
                nodes.append(element_from_proto(message.element))
            case None:
                raise invalid("RULE_TREE", "a node of a filter is empty")
    return tuple(nodes)


def selection_from_proto(message: pb.EventSelection) -> ast.EventSelection:
    """A selection of events."""
    if not message.names:
        raise invalid("RULE_TREE", "an event condition names no event")
    products = (
        ast.ProductCondition(
            maybe_from_wire(ast.Stock, product.state),
            product.at_event,
            DecimalUnits(product.price_drop_units) if product.HasField("price_drop_units") else None,
        )
        for product in message.products
    )
    return ast.EventSelection(
        tuple(message.names),
        filter_from_proto(message.filter),
        window_from_proto(message.window) if message.HasField("window") else None,
        _moments_from_proto(message.moments) if message.HasField("moments") else None,
        tuple(products),
        message.with_machines,
    )


def window_from_proto(message: pb.Window) -> ast.Window | None:
    """A window; None if nothing is set."""
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
                operand_from_proto(absolute.start) if absolute.HasField("start") else None,
                operand_from_proto(absolute.until) if absolute.HasField("until") else None,
                absolute.through,
                from_wire(ast.Zone, absolute.zone, ast.Zone.WORKSPACE),
            )
        case "calendar":
            calendar = message.calendar
            return ast.Calendar(
                from_wire(ast.Period, calendar.period),
                calendar.offset,
                calendar.count,
                from_wire(ast.Zone, calendar.zone, ast.Zone.WORKSPACE),
            )
        case "on_day":
            return ast.OnDay(message.on_day)
        case "since_last":
            return ast.SinceLast(selection_from_proto(message.since_last))
        case "until_first":
            return ast.UntilFirst(selection_from_proto(message.until_first))


def needed_window(message: pb.Window) -> ast.Window:
    """A window that must be there."""
    window = window_from_proto(message)
    if window is None:
        raise invalid("RULE_TREE", "a window is missing in a node of the tree")
    return window


def _moments_from_proto(message: pb.Moments) -> ast.Moments:
    hours = (message.hours.from_s, message.hours.until_s) if message.HasField("hours") else None
    return ast.Moments(tuple(message.weekdays), hours, from_wire(ast.Zone, message.zone, ast.Zone.WORKSPACE))
