"""Scenarios between their wire form and core. Their blocks are in convert_blocks.py, runs in convert_runs.py."""

from __future__ import annotations

from cdp.scenario.v1 import scenario_pb2
from core.scenario.definition import (
    DEFAULT_MAX_AGE_US,
    ApiTrigger,
    Definition,
    EventTrigger,
    FieldTrigger,
    ProductTrigger,
    Reentry,
    RfmTrigger,
    ScheduleTrigger,
    SegmentTrigger,
    Trigger,
)
from services.runtime.definitions import Stored
from services.runtime.facts import value_to_proto
from services.scenario.convert_blocks import block_from_proto, block_to_proto
from services.scenario.convert_runs import membership_from_proto as membership_from_proto
from services.scenario.convert_runs import run_to_proto as run_to_proto
from services.scenario.convert_values import scalar, values, wrong

_REENTRY = {
    scenario_pb2.REENTRY_UNSPECIFIED: Reentry.ONE_AT_A_TIME,
    scenario_pb2.REENTRY_ONE_AT_A_TIME: Reentry.ONE_AT_A_TIME,
    scenario_pb2.REENTRY_ONCE: Reentry.ONCE,
    scenario_pb2.REENTRY_ALWAYS: Reentry.ALWAYS,
    scenario_pb2.REENTRY_AFTER: Reentry.AFTER,
}
_REENTRY_TO_PROTO = {
    Reentry.ONE_AT_A_TIME: scenario_pb2.REENTRY_ONE_AT_A_TIME,
    Reentry.ONCE: scenario_pb2.REENTRY_ONCE,
    Reentry.ALWAYS: scenario_pb2.REENTRY_ALWAYS,
    Reentry.AFTER: scenario_pb2.REENTRY_AFTER,
}


def definition_from_proto(message: scenario_pb2.Scenario) -> Definition:
    """The scenario as core reads it. Raises INVALID / SCENARIO_INVALID with paths for what core has no form of."""
    if message.reentry not in _REENTRY:
        raise wrong("reentry", "no rule of re-entry that this version knows")
    return Definition(
        _trigger(message.trigger),
        tuple(block_from_proto(block, f"blocks[{index}]") for index, block in enumerate(message.blocks)),
        message.exit_when,
        _REENTRY[message.reentry],
        message.trigger.max_age_us or DEFAULT_MAX_AGE_US,
        values(message.trigger.values, "trigger.values"),
        message.description,
        message.paused,
        tuple(message.trigger.causes),
        message.reentry_after_us,
        message.entries_limit,
        message.sends_per_minute,
        message.category,
    )


def definition_to_proto(definition: Definition) -> scenario_pb2.Scenario:
    """The wire form, without a revision."""
    return scenario_pb2.Scenario(
        description=definition.description,
        trigger=_trigger_to_proto(definition),
        blocks=[block_to_proto(block) for block in definition.blocks],
        exit_when=definition.exit_when,
        reentry=_REENTRY_TO_PROTO[definition.reentry],
        paused=definition.paused,
        reentry_after_us=definition.reentry_after_us,
        entries_limit=definition.entries_limit,
        sends_per_minute=definition.sends_per_minute,
        category=definition.category,
    )


def stored_to_proto(stored: Stored) -> scenario_pb2.Scenario:
    """A stored version with its revision."""
    message = scenario_pb2.Scenario.FromString(stored.payload)
    message.revision.CopyFrom(stored.revision.to_proto())
    return message


def _trigger(message: scenario_pb2.Trigger) -> Trigger:
    match message.WhichOneof("trigger"):
        case "event":
            return EventTrigger(message.event.type, message.event.filter)
        case "segment":
            return SegmentTrigger(message.segment.segment, message.segment.on_leave)
        case "rfm":
            return RfmTrigger(message.rfm.model, tuple(message.rfm.from_cells), tuple(message.rfm.to_cells))
        case "field":
            field = message.field
            old = scalar(getattr(field, "from"), "trigger.field.from")
            return FieldTrigger(field.attribute, old, scalar(field.to, "trigger.field.to"), field.held_for_us)
        case "schedule":
            timed = message.schedule
            return ScheduleTrigger(timed.segment, timed.cron, timed.zone, timed.not_before_us, timed.until_us)
        case "product":
            product = message.product
            return ProductTrigger(tuple(product.changes), product.segment, product.at_least_percent_units)
        case "api":
            return ApiTrigger(tuple(message.api.required))
        case None:
            raise wrong("trigger", "say what starts the scenario: an event, a segment, a schedule, or the like")


def _trigger_to_proto(definition: Definition) -> scenario_pb2.Trigger:
    message = scenario_pb2.Trigger(
        max_age_us=definition.max_age_us,
        values={name: value_to_proto(value) for name, value in definition.values.items()},
        causes=definition.causes,
    )
    match definition.trigger:
        case EventTrigger(event_type, event_filter):
            message.event.CopyFrom(scenario_pb2.EventTrigger(type=event_type, filter=event_filter))
        case SegmentTrigger(segment, on_leave):
            message.segment.CopyFrom(scenario_pb2.SegmentTrigger(segment=segment, on_leave=on_leave))
        case RfmTrigger(model, from_cells, to_cells):
            moves = scenario_pb2.RfmTrigger(model=model, from_cells=from_cells, to_cells=to_cells)
            message.rfm.CopyFrom(moves)
        case FieldTrigger() as field:
            message.field.CopyFrom(_field_to_proto(field))
        case ScheduleTrigger(segment, cron, zone, not_before_us, until_us):
            timed = scenario_pb2.ScheduleTrigger(
                segment=segment, cron=cron, zone=zone, not_before_us=not_before_us, until_us=until_us
            )
            message.schedule.CopyFrom(timed)
        case ProductTrigger(changes, segment, at_least):
            product = scenario_pb2.ProductTrigger(changes=changes, segment=segment, at_least_percent_units=at_least)
            message.product.CopyFrom(product)
        case ApiTrigger(required):
            message.api.CopyFrom(scenario_pb2.ApiTrigger(required=required))
    return message


def _field_to_proto(field: FieldTrigger) -> scenario_pb2.FieldTrigger:
    message = scenario_pb2.FieldTrigger(attribute=field.attribute, held_for_us=field.held_for_us)
    if field.old is not None:
        getattr(message, "from").CopyFrom(value_to_proto(field.old))
    if field.new is not None:
        message.to.CopyFrom(value_to_proto(field.new))
    return message
