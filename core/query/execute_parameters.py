"""Values in the place of parameters, before anything is evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from core.errors import invalid
from core.query.ast import (
    Absolute,
    AttributeCondition,
    Branch,
    Comparison,
    ElementMatch,
    EventAggregate,
    EventCount,
    EventSelection,
    FilterTree,
    Literal,
    MessageCount,
    Node,
    Operand,
    Parameter,
    SegmentReference,
    Window,
)
from core.query.names import BoundRule
from core.schema import Kind, Scalar, kind_of

#: What stands for each parameter: a literal, or the attribute that a reference passed on.
Arguments = Mapping[str, Operand]


def given(bound: BoundRule, parameters: Mapping[str, Scalar]) -> Arguments:
    """`parameters` as operands; those that the rule does not have are left out.

    Raises CdpError where one is missing or of another kind. A whole number may stand for a decimal.
    """
    arguments: dict[str, Operand] = {}
    for name, kind in bound.parameters.items():
        if name not in parameters:
            raise invalid("PARAMETER_MISSING", f"the parameter :{name} has no value")
        found = kind_of(parameters[name])
        if found is not kind and (found, kind) != (Kind.INTEGER, Kind.DECIMAL):
            raise invalid("PARAMETER_TYPE", f"the parameter :{name} is {kind.name}, got {found.name}")
        arguments[name] = Literal(parameters[name])
    return arguments


def arguments_of(reference: SegmentReference, target: BoundRule, outer: Arguments) -> tuple[tuple[str, Operand], ...]:
    """What the parameters of `target` stand for when `reference` (already filled) mentions it; sorted by name."""
    named = dict(reference.arguments)
    result = []
    for name in sorted(target.parameters):
        operand = named.get(name, outer.get(name))
        if operand is None:
            raise invalid("PARAMETER_MISSING", f'the parameter :{name} of the segment "{reference.name}" has no value')
        result.append((name, operand))
    return tuple(result)


def fill(node: Node, arguments: Arguments) -> Node:
    """`node` with every parameter replaced."""
    if not arguments:
        return node
    match node:
        case AttributeCondition():
            return replace(node, test=_fill_test(node.test, arguments))
        case SegmentReference():
            named = tuple((name, _fill_operand(operand, arguments)) for name, operand in node.arguments)
            return replace(node, arguments=named)
        case EventCount():
            return replace(
                node, events=_fill_events(node.events, arguments), counts=_fill_operands(node.counts, arguments)
            )
        case EventAggregate():
            return replace(
                node, events=_fill_events(node.events, arguments), operands=_fill_operands(node.operands, arguments)
            )
        case MessageCount():
            return replace(
                node,
                filter=_fill_filter(node.filter, arguments),
                window=_fill_window(node.window, arguments),
                counts=_fill_operands(node.counts, arguments),
            )
        case _:
            return node


def _fill_operand(operand: Operand, arguments: Arguments) -> Operand:
    if not isinstance(operand, Parameter):
        return operand
    found = arguments.get(operand.name)
    if found is None:
        raise invalid("PARAMETER_MISSING", f"the parameter :{operand.name} has no value")
    return found


def _fill_operands(operands: tuple[Operand, ...], arguments: Arguments) -> tuple[Operand, ...]:
    return tuple(_fill_operand(operand, arguments) for operand in operands)


def _fill_test(test: Comparison | ElementMatch, arguments: Arguments) -> Comparison | ElementMatch:
    if isinstance(test, ElementMatch):
        return replace(test, filter=_fill_filter(test.filter, arguments))
    return replace(test, operands=_fill_operands(test.operands, arguments), window=_fill_window(test.window, arguments))


def _fill_filter(tree: FilterTree, arguments: Arguments) -> FilterTree:
    return tuple(node if isinstance(node, Branch) else _fill_test(node, arguments) for node in tree)


def _fill_events(events: EventSelection, arguments: Arguments) -> EventSelection:
    return replace(events, filter=_fill_filter(events.filter, arguments), window=_fill_window(events.window, arguments))


def _fill_window(window: Window | None, arguments: Arguments) -> Window | None:
    if not isinstance(window, Absolute):
        return window
    start = None if window.start is None else _fill_operand(window.start, arguments)
    until = None if window.until is None else _fill_operand(window.until, arguments)
    return replace(window, start=start, until=until)
