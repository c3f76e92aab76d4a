"""Conditions of core as the oracle's plain dicts, class by class."""

from __future__ import annotations

from functools import singledispatch

from core.query.ast import (
    AggregateMeasure,
    AttributeCondition,
    AttributeMeasure,
    Changed,
    CountMeasure,
    EventAggregate,
    EventCount,
    EventSelection,
    EventTime,
    Everyone,
    FirstTime,
    HasBeen,
    HasBeenIn,
    InCohort,
    InList,
    Interest,
    Measure,
    MeasureCondition,
    MessageCount,
    Node,
    PickedEvent,
    Population,
    PopulationCondition,
    RandomBucket,
    Reachable,
    Regularly,
    Restarted,
    RfmInCell,
    RfmMoved,
    SegmentReference,
    Sequence,
    Step,
    Stopped,
    Trend,
    WasIn,
)
from tests.generators.plain_parts import (
    Plain,
    nested,
    plain_filter,
    plain_operand,
    plain_operands,
    plain_selection,
    plain_test,
    plain_value,
    plain_window,
)
from tests.generators.vocabulary import params_of


def nested_rule(nodes: tuple[Node, ...]) -> Plain:
    """The nodes of a rule as a nested dict."""
    return nested(nodes, _leaf)


def plain_measure(measure: Measure) -> Plain:
    """What contacts are ranked by."""
    match measure:
        case AttributeMeasure(name):
            return {"is": "attribute", "name": name}
        case CountMeasure(events):
            return {"is": "count", "events": plain_selection(events)}
        case AggregateMeasure(function, path, events):
            return {"is": "aggregate", "function": function.value, "path": path, "events": plain_selection(events)}
        case EventTime(events, first):
            return {"is": "time", "events": plain_selection(events), "first": first}
        case Interest(model, value):
            return {"is": "interest", "model": model, "value": None if value is None else plain_operand(value)}


@singledispatch
def _leaf(node: object) -> Plain:
    raise TypeError(type(node).__name__)


@_leaf.register
def _(_node: Everyone) -> Plain:
    return {"is": "everyone"}


@_leaf.register
def _(node: AttributeCondition) -> Plain:
    return {"is": "attribute", "test": plain_test(node.test)}


@_leaf.register
def _(node: InList) -> Plain:
    return {"is": "list", "name": node.name}


@_leaf.register
def _(node: SegmentReference) -> Plain:
    return {"is": "segment", "name": node.name, "arguments": {name: plain_operand(o) for name, o in node.arguments}}


@_leaf.register
def _(node: EventCount) -> Plain:
    return {
        "is": "count",
        "events": plain_selection(node.events),
        "op": node.compare.value,
        "operands": plain_operands(node.counts),
        "same": _same(node.same, node.events),
    }


@_leaf.register
def _(node: MessageCount) -> Plain:
    return {
        "is": "messages",
        "verb": node.verb.value,
        "filter": plain_filter(node.filter),
        "window": plain_window(node.window),
        "op": node.compare.value,
        "operands": plain_operands(node.counts),
        "sent": None if node.sent is None else node.sent.value,
        "with_machines": node.with_machines,
    }


@_leaf.register
def _(node: EventAggregate) -> Plain:
    return {
        "is": "aggregate",
        "function": node.function.value,
        "path": node.path,
        "events": plain_selection(node.events),
        "op": node.compare.value,
        "operands": plain_operands(node.operands),
    }


@_leaf.register
def _(node: FirstTime) -> Plain:
    return {"is": "first time", "events": plain_selection(node.events), "window": plain_window(node.window)}


@_leaf.register
def _(node: PickedEvent) -> Plain:
    conditions = plain_filter(node.conditions)
    return {"is": "picked", "events": plain_selection(node.events), "conditions": conditions, "first": node.first}


@_leaf.register
def _(node: Stopped) -> Plain:
    events = plain_selection(node.events)
    return {"is": "stopped", "events": events, "active_us": node.active_us, "silent_us": node.silent_us}


@_leaf.register
def _(node: Restarted) -> Plain:
    events = plain_selection(node.events)
    return {"is": "restarted", "events": events, "recent_us": node.recent_us, "silent_us": node.silent_us}


@_leaf.register
def _(node: Regularly) -> Plain:
    return {
        "is": "regularly",
        "events": plain_selection(node.events),
        "times": node.times,
        "k": node.k,
        "n": node.n,
        "period": node.period.value,
        "zone": node.zone.value,
    }


@_leaf.register
def _(node: Trend) -> Plain:
    return {
        "is": "trend",
        "events": plain_selection(node.events),
        "rising": node.rising,
        "percent": plain_value(node.percent),
        "span_us": node.span_us,
    }


@_leaf.register
def _(node: Sequence) -> Plain:
    return {
        "is": "sequence",
        "steps": [_step(step) for step in node.steps],
        "window": plain_window(node.window),
        "same": node.same,
    }


def _step(step: Step) -> Plain:
    return {
        "events": plain_selection(step.events),
        "negative": step.negative,
        "name": step.name,
        "within_us": step.within_us,
        "from_first": step.from_first,
    }


@_leaf.register
def _(node: MeasureCondition) -> Plain:
    return {"is": "measure", "measure": plain_measure(node.measure), "test": plain_test(node.test)}


@_leaf.register
def _(node: PopulationCondition) -> Plain:
    return {
        "is": "population",
        "measure": plain_measure(node.measure),
        "standard": node.standard.value,
        "op": node.compare.value,
        "percent": None if node.percent is None else plain_value(node.percent),
        "population": _population(node.population),
    }


@_leaf.register
def _(node: RfmInCell) -> Plain:
    population = _population(node.population)
    return {"is": "rfm", "model": node.model, "cells": list(node.cells), "population": population}


@_leaf.register
def _(node: RfmMoved) -> Plain:
    return {
        "is": "rfm moved",
        "model": node.model,
        "before": list(node.before),
        "after": list(node.after),
        "us": node.duration_us,
        "population": _population(node.population),
    }


def _population(population: Population | None) -> Plain | None:
    """None: that of the rule."""
    return None if population is None else {"scope": population.scope.value, "base": population.base}


@_leaf.register
def _(node: InCohort) -> Plain:
    events = None if node.events is None else plain_selection(node.events)
    return {"is": "cohort", "events": events, "window": plain_window(node.window)}


@_leaf.register
def _(node: HasBeen) -> Plain:
    return {"is": "has been", "test": plain_test(node.test), "us": node.duration_us}


@_leaf.register
def _(node: Changed) -> Plain:
    return {
        "is": "changed",
        "name": node.name,
        "before": None if node.before is None else plain_operands(node.before),
        "after": None if node.after is None else plain_operands(node.after),
        "window": plain_window(node.window),
    }


@_leaf.register
def _(node: WasIn) -> Plain:
    return {"is": "was in", "group": node.group.value, "name": node.name, "window": plain_window(node.window)}


@_leaf.register
def _(node: HasBeenIn) -> Plain:
    return {"is": "has been in", "group": node.group.value, "name": node.name, "us": node.duration_us}


@_leaf.register
def _(node: Reachable) -> Plain:
    return {"is": "reachable", "channels": list(node.channels)}


@_leaf.register
def _(node: RandomBucket) -> Plain:
    return {"is": "bucket", "low": node.low, "high": node.high, "salt": node.salt}


def _same(same: str | None, events: EventSelection) -> str | None:
    """A parameter of the events, or "items.p" where only their lines have it."""
    if same is None or same in params_of(events.names):
        return same
    return f"items.{same.removeprefix('items.')}"
