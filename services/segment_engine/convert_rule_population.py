"""Conditions that compare a contact with the others, and limits, between their protobuf form and core's."""

from __future__ import annotations

from dataclasses import replace

from cdp.segment.v1 import rule_pb2 as pb
from core.errors import invalid
from core.query import ast
from core.query.text.parse_interest import SCORE, TOP
from core.schema import DecimalUnits
from services.segment_engine.convert_rule_enums import from_wire, to_wire
from services.segment_engine.convert_rule_values import (
    comparison_from_proto,
    comparison_to_proto,
    needed_window,
    operand_from_proto,
    operand_to_proto,
    selection_from_proto,
    selection_to_proto,
    window_to_proto,
)

OfOthers = (
    ast.MeasureCondition | ast.PopulationCondition | ast.RfmInCell | ast.RfmMoved | ast.InCohort | ast.RandomBucket
)


def of_others_to_proto(node: OfOthers) -> pb.Node:
    """The node of a comparison with the others. The population that binding writes into it is no part of it."""
    match node:
        case ast.MeasureCondition(measure, test):
            assert isinstance(measure, ast.Interest), "no other measure is written so"
            condition = pb.InterestCondition(
                interest=_interest_to_proto(measure), test=comparison_to_proto(replace(test, name=""))
            )
            return pb.Node(interest=condition)
        case ast.PopulationCondition():
            population = pb.PopulationCondition(
                measure=_measure_to_proto(node.measure),
                standard=to_wire(node.standard),
                compare=to_wire(node.compare),
                percent_units=None if node.percent is None else node.percent.units,
            )
            return pb.Node(population=population)
        case ast.RfmInCell(model, cells):
            return pb.Node(rfm_in_cell=pb.RfmInCell(model=model, cells=cells))
        case ast.RfmMoved(model, before, after, duration_us):
            return pb.Node(rfm_moved=pb.RfmMoved(model=model, before=before, after=after, duration_us=duration_us))
        case ast.InCohort(events, window):
            return pb.Node(
                in_cohort=pb.InCohort(
                    events=None if events is None else selection_to_proto(events), window=window_to_proto(window)
                )
            )
        case ast.RandomBucket(low, high, salt):
            return pb.Node(random_bucket=pb.RandomBucket(low=low, high=high, salt=salt))


def limit_to_proto(limit: ast.Limit | None) -> pb.Limit | None:
    """The limit of a rule; None for none."""
    if limit is None:
        return None
    by = None if limit.by is None else _measure_to_proto(limit.by)
    return pb.Limit(count=limit.count, by=by, smallest=limit.smallest, salt=limit.salt)


def _measure_to_proto(measure: ast.Measure) -> pb.Measure:
    match measure:
        case ast.AttributeMeasure(name):
            return pb.Measure(attribute=name)
        case ast.CountMeasure(events):
            return pb.Measure(number_of=selection_to_proto(events))
        case ast.AggregateMeasure(function, path, events):
            return pb.Measure(
                aggregate=pb.AggregateMeasure(function=to_wire(function), path=path, events=selection_to_proto(events))
            )
        case ast.EventTime(events, first):
            return pb.Measure(time=pb.EventTime(events=selection_to_proto(events), first=first))
        case ast.Interest():
            return pb.Measure(interest=_interest_to_proto(measure))


def _interest_to_proto(interest: ast.Interest) -> pb.Interest:
    value = None if interest.value is None else operand_to_proto(interest.value)
    return pb.Interest(model=interest.model, value=value)


def _interest_from_proto(message: pb.Interest) -> ast.Interest:
    return ast.Interest(message.model, operand_from_proto(message.value) if message.HasField("value") else None)


def interest_condition_from_proto(message: pb.InterestCondition) -> ast.MeasureCondition:
    """`interest in category "coffee" >= 3`."""
    interest = _interest_from_proto(message.interest)
    test = replace(comparison_from_proto(message.test), name=TOP if interest.value is None else SCORE)
    return ast.MeasureCondition(interest, test)


def population_from_proto(message: pb.PopulationCondition) -> ast.PopulationCondition:
    """`sum(E.p) above average`."""
    return ast.PopulationCondition(
        _measure_from_proto(message.measure),
        from_wire(ast.Standard, message.standard),
        from_wire(ast.Compare, message.compare),
        DecimalUnits(message.percent_units) if message.HasField("percent_units") else None,
    )


def cell_from_proto(message: pb.RfmInCell) -> ast.RfmInCell:
    """`rfm m in cell`."""
    return ast.RfmInCell(message.model, tuple(message.cells))


def moved_from_proto(message: pb.RfmMoved) -> ast.RfmMoved:
    """`rfm m moved`."""
    return ast.RfmMoved(message.model, tuple(message.before), tuple(message.after), message.duration_us)


def cohort_from_proto(message: pb.InCohort) -> ast.InCohort:
    """`cohort of`."""
    events = selection_from_proto(message.events) if message.HasField("events") else None
    return ast.InCohort(events, needed_window(message.window))


def bucket_from_proto(message: pb.RandomBucket) -> ast.RandomBucket:
    """`random bucket`."""
    return ast.RandomBucket(message.low, message.high, message.salt)


def limit_from_proto(message: pb.Limit) -> ast.Limit:
    """The limit of a rule."""
    by = _measure_from_proto(message.by) if message.HasField("by") else None
    return ast.Limit(message.count, by, message.smallest, message.salt)


def _measure_from_proto(message: pb.Measure) -> ast.Measure:
    match message.WhichOneof("measure"):
        case "attribute":
            return ast.AttributeMeasure(message.attribute)
        case "number_of":
            return ast.CountMeasure(selection_from_proto(message.number_of))
        case "aggregate":
            aggregate = message.aggregate
            return ast.AggregateMeasure(
                from_wire(ast.Function, aggregate.function), aggregate.path, selection_from_proto(aggregate.events)
            )
        case "time":
            return ast.EventTime(selection_from_proto(message.time.events), message.time.first)
        case "interest":
            return _interest_from_proto(message.interest)
        case None:
            raise invalid("RULE_TREE", "a measure of the tree is empty")
