"""Conditions on what was and has been between their protobuf form and core's."""

from __future__ import annotations

from cdp.segment.v1 import rule_pb2 as pb
from core.query import ast
from services.segment_engine.convert_rule_enums import from_wire, to_wire
from services.segment_engine.convert_rule_values import (
    comparison_from_proto,
    comparison_to_proto,
    operands_from_proto,
    operands_to_proto,
    window_from_proto,
    window_to_proto,
)

OfHistory = ast.HasBeen | ast.Changed | ast.WasIn | ast.HasBeenIn | ast.Reachable


def of_history_to_proto(node: OfHistory) -> pb.Node:
    """The node of a condition on what was and has been, or of who can be reached."""
    match node:
        case ast.HasBeen(test, duration_us):
            return pb.Node(has_been=pb.HasBeen(test=comparison_to_proto(test), duration_us=duration_us))
        case ast.Changed(name, before, after, window):
            changed = pb.Changed(
                name=name,
                before=_values_to_proto(before),
                after=_values_to_proto(after),
                window=window_to_proto(window),
            )
            return pb.Node(changed=changed)
        case ast.WasIn(group, name, window):
            return pb.Node(was_in=pb.WasIn(group=to_wire(group), name=name, window=window_to_proto(window)))
        case ast.HasBeenIn(group, name, duration_us):
            return pb.Node(has_been_in=pb.HasBeenIn(group=to_wire(group), name=name, duration_us=duration_us))
        case ast.Reachable(channels):
            return pb.Node(reachable=pb.Reachable(channels=channels))


def _values_to_proto(values: tuple[ast.Operand, ...] | None) -> pb.Values | None:
    return None if values is None else pb.Values(values=operands_to_proto(values))


def has_been_from_proto(message: pb.HasBeen) -> ast.HasBeen:
    """`x has been "a" for at least`."""
    return ast.HasBeen(comparison_from_proto(message.test), message.duration_us)


def changed_from_proto(message: pb.Changed) -> ast.Changed:
    """`x changed from "a" to "b"`."""
    return ast.Changed(
        message.name,
        operands_from_proto(message.before.values) if message.HasField("before") else None,
        operands_from_proto(message.after.values) if message.HasField("after") else None,
        window_from_proto(message.window),
    )


def was_in_from_proto(message: pb.WasIn) -> ast.WasIn:
    """`was in segment "x"`."""
    return ast.WasIn(from_wire(ast.Group, message.group), message.name, window_from_proto(message.window))


def has_been_in_from_proto(message: pb.HasBeenIn) -> ast.HasBeenIn:
    """`has been in segment "x" for at least`."""
    return ast.HasBeenIn(from_wire(ast.Group, message.group), message.name, message.duration_us)


def reachable_from_proto(message: pb.Reachable) -> ast.Reachable:
    """`reachable by email`."""
    return ast.Reachable(tuple(message.channels))
