"""Conditions on events and messages between their protobuf form and core's."""

from __future__ import annotations

from cdp.segment.v1 import rule_pb2 as pb
from core.query import ast
from core.schema import DecimalUnits
from services.segment_engine.convert_rule_enums import from_wire, maybe_from_wire, to_wire
from services.segment_engine.convert_rule_values import (
    filter_from_proto,
    filter_to_proto,
    needed_window,
    operands_from_proto,
    operands_to_proto,
    selection_from_proto,
    selection_to_proto,
    window_from_proto,
    window_to_proto,
)

OfEvents = (
    ast.EventCount
    | ast.MessageCount
    | ast.EventAggregate
    | ast.FirstTime
    | ast.PickedEvent
    | ast.Stopped
    | ast.Restarted
    | ast.Regularly
    | ast.Trend
    | ast.Sequence
)


def of_events_to_proto(node: OfEvents) -> pb.Node:
    """The node of a condition on events or messages."""
    match node:
        case ast.EventCount(events):
            count = pb.EventCount(
                events=selection_to_proto(events),
                compare=to_wire(node.compare),
                counts=operands_to_proto(node.counts),
                same=node.same or "",
            )
            return pb.Node(event_count=count)
        case ast.MessageCount():
            return pb.Node(message_count=_messages_to_proto(node))
        case ast.EventAggregate(events=events):
            aggregate = pb.EventAggregate(
                function=to_wire(node.function),
                path=node.path,
                events=selection_to_proto(events),
                compare=to_wire(node.compare),
                operands=operands_to_proto(node.operands),
            )
            return pb.Node(event_aggregate=aggregate)
        case ast.FirstTime(events, window):
            return pb.Node(first_time=pb.FirstTime(events=selection_to_proto(events), window=window_to_proto(window)))
        case ast.PickedEvent(events, conditions, first):
            return pb.Node(
                picked_event=pb.PickedEvent(
                    events=selection_to_proto(events), conditions=filter_to_proto(conditions), first=first
                )
            )
        case ast.Stopped(events, active_us, silent_us):
            return pb.Node(
                stopped=pb.Stopped(events=selection_to_proto(events), active_us=active_us, silent_us=silent_us)
            )
        case ast.Restarted(events, recent_us, silent_us):
            return pb.Node(
                restarted=pb.Restarted(events=selection_to_proto(events), recent_us=recent_us, silent_us=silent_us)
            )
        case ast.Regularly(events):
            regularly = pb.Regularly(
                events=selection_to_proto(events),
                times=node.times,
                k=node.k,
                n=node.n,
                period=to_wire(node.period),
                zone=to_wire(node.zone),
            )
            return pb.Node(regularly=regularly)
        case ast.Trend(events):
            trend = pb.Trend(
                events=selection_to_proto(events),
                rising=node.rising,
                percent_units=node.percent.units,
                span_us=node.span_us,
            )
            return pb.Node(trend=trend)
        case ast.Sequence(steps, window, same):
            return pb.Node(
                sequence=pb.Sequence(
                    steps=[_step_to_proto(step) for step in steps], window=window_to_proto(window), same=same or ""
                )
            )


def _messages_to_proto(node: ast.MessageCount) -> pb.MessageCount:
    return pb.MessageCount(
        verb=to_wire(node.verb),
        filter=filter_to_proto(node.filter),
        window=window_to_proto(node.window),
        compare=to_wire(node.compare),
        counts=operands_to_proto(node.counts),
        sent=to_wire(node.sent),
        with_machines=node.with_machines,
    )


def _step_to_proto(step: ast.Step) -> pb.Step:
    return pb.Step(
        events=selection_to_proto(step.events),
        negative=step.negative,
        name=step.name or "",
        within_us=step.within_us,
        from_first=step.from_first,
    )


def count_from_proto(message: pb.EventCount) -> ast.EventCount:
    """`did E`."""
    return ast.EventCount(
        selection_from_proto(message.events),
        from_wire(ast.Compare, message.compare),
        operands_from_proto(message.counts),
        message.same or None,
    )


def messages_from_proto(message: pb.MessageCount) -> ast.MessageCount:
    """`opened message`."""
    return ast.MessageCount(
        from_wire(ast.MessageVerb, message.verb),
        filter_from_proto(message.filter),
        window_from_proto(message.window),
        from_wire(ast.Compare, message.compare),
        operands_from_proto(message.counts),
        maybe_from_wire(ast.Daypart, message.sent),
        message.with_machines,
    )


def aggregate_from_proto(message: pb.EventAggregate) -> ast.EventAggregate:
    """`sum(E.p)`."""
    return ast.EventAggregate(
        from_wire(ast.Function, message.function),
        message.path,
        selection_from_proto(message.events),
        from_wire(ast.Compare, message.compare),
        operands_from_proto(message.operands),
    )


def first_time_from_proto(message: pb.FirstTime) -> ast.FirstTime:
    """`first time did E`."""
    return ast.FirstTime(selection_from_proto(message.events), needed_window(message.window))


def picked_from_proto(message: pb.PickedEvent) -> ast.PickedEvent:
    """`last E had`."""
    return ast.PickedEvent(selection_from_proto(message.events), filter_from_proto(message.conditions), message.first)


def stopped_from_proto(message: pb.Stopped) -> ast.Stopped:
    """`stopped E`."""
    return ast.Stopped(selection_from_proto(message.events), message.active_us, message.silent_us)


def restarted_from_proto(message: pb.Restarted) -> ast.Restarted:
    """`restarted E`."""
    return ast.Restarted(selection_from_proto(message.events), message.recent_us, message.silent_us)


def regularly_from_proto(message: pb.Regularly) -> ast.Regularly:
    """`did E regularly`; times unset is once."""
    return ast.Regularly(
        selection_from_proto(message.events),
        message.times or 1,
        message.k,
        message.n,
        from_wire(ast.Period, message.period),
        from_wire(ast.Zone, message.zone, ast.Zone.WORKSPACE),
    )


def trend_from_proto(message: pb.Trend) -> ast.Trend:
    """`E rising by`."""
    return ast.Trend(
        selection_from_proto(message.events), message.rising, DecimalUnits(message.percent_units), message.span_us
    )


def sequence_from_proto(message: pb.Sequence) -> ast.Sequence:
    """`sequence: a then b`."""
    steps = (
        ast.Step(
            selection_from_proto(step.events),
            step.negative,
            step.name or None,
            step.within_us if step.HasField("within_us") else None,
            step.from_first,
        )
        for step in message.steps
    )
    return ast.Sequence(tuple(steps), window_from_proto(message.window), message.same or None)
