"""Scenarios and runs between their wire form and core."""

from __future__ import annotations

from cdp.scenario.v1 import scenario_pb2
from cdp.segment.v1 import segment_pb2
from core.errors import CdpError, Violation, invalid
from core.scenario.definition import (
    DEFAULT_MAX_AGE_US,
    Action,
    Block,
    Condition,
    Definition,
    EventTrigger,
    Exit,
    Reentry,
    SegmentTrigger,
    Send,
    Wait,
)
from core.scenario.run import Run
from core.scenario.trigger import Cause, MembershipChange
from core.schema import Scalar
from services.runtime.definitions import Stored
from services.runtime.facts import scalar_from_proto, value_to_proto

_REENTRY = {
    scenario_pb2.REENTRY_UNSPECIFIED: Reentry.ONE_AT_A_TIME,
    scenario_pb2.REENTRY_ONE_AT_A_TIME: Reentry.ONE_AT_A_TIME,
    scenario_pb2.REENTRY_ONCE: Reentry.ONCE,
    scenario_pb2.REENTRY_ALWAYS: Reentry.ALWAYS,
}
_REENTRY_TO_PROTO = {
    Reentry.ONE_AT_A_TIME: scenario_pb2.REENTRY_ONE_AT_A_TIME,
    Reentry.ONCE: scenario_pb2.REENTRY_ONCE,
    Reentry.ALWAYS: scenario_pb2.REENTRY_ALWAYS,
}
_CAUSES = {
    segment_pb2.CAUSE_EVENT: Cause.EVENT,
    segment_pb2.CAUSE_TIME: Cause.TIME,
    segment_pb2.CAUSE_CATALOGUE: Cause.CATALOGUE,
}


def definition_from_proto(message: scenario_pb2.Scenario) -> Definition:
    """The scenario as core reads it. Raises INVALID / SCENARIO_INVALID with paths for what core has no form of."""
    if message.reentry not in _REENTRY:
        raise _wrong("reentry", "no rule of re-entry that this version knows")
    return Definition(
        _trigger(message.trigger),
        tuple(_block(block, f"blocks[{index}]") for index, block in enumerate(message.blocks)),
        message.exit_when,
        _REENTRY[message.reentry],
        message.trigger.max_age_us or DEFAULT_MAX_AGE_US,
        _values(message.trigger),
        message.description,
        message.paused,
    )


def definition_to_proto(definition: Definition) -> scenario_pb2.Scenario:
    """The wire form, without a revision."""
    trigger = scenario_pb2.Trigger(
        max_age_us=definition.max_age_us,
        values={name: value_to_proto(value) for name, value in definition.values.items()},
    )
    match definition.trigger:
        case EventTrigger(event_type, event_filter):
            trigger.event.type, trigger.event.filter = event_type, event_filter
        case SegmentTrigger(segment, on_leave):
            trigger.segment.segment, trigger.segment.on_leave = segment, on_leave
    return scenario_pb2.Scenario(
        description=definition.description,
        trigger=trigger,
        blocks=[_block_to_proto(block) for block in definition.blocks],
        exit_when=definition.exit_when,
        reentry=_REENTRY_TO_PROTO[definition.reentry],
        paused=definition.paused,
    )


def stored_to_proto(stored: Stored) -> scenario_pb2.Scenario:
    """A stored version with its revision."""
    message = scenario_pb2.Scenario.FromString(stored.payload)
    message.revision.CopyFrom(stored.revision.to_proto())
    return message


def run_to_proto(run: Run) -> scenario_pb2.Run:
    """A run with what it did."""
    return scenario_pb2.Run(
        run_id=run.run_id,
        scenario=run.scenario,
        version=run.version,
        contact=run.contact,
        block=run.block,
        state=run.state.value,
        end_reason=run.end_reason,
        started_at_us=run.started_at_us,
        due_at_us=run.due_at_us,
        values={name: value_to_proto(value) for name, value in run.values.items()},
        steps=[
            scenario_pb2.Step(block=step.block, at_us=step.at_us, outcome=step.outcome, position=step.position)
            for step in run.steps
        ],
    )


def membership_from_proto(message: segment_pb2.Membership, position: int, index: int) -> MembershipChange:
    """Record `index` of the entry at `position` of the engine's membership log."""
    return MembershipChange(
        message.contact,
        message.segment,
        message.change == segment_pb2.CHANGE_ENTERED,
        _CAUSES.get(message.cause, Cause.OTHER),
        message.effective_at_us,
        message.recorded_at_us,
        f"{position}.{index}",
    )


def _trigger(message: scenario_pb2.Trigger) -> EventTrigger | SegmentTrigger:
    match message.WhichOneof("trigger"):
        case "event":
            return EventTrigger(message.event.type, message.event.filter)
        case "segment":
            return SegmentTrigger(message.segment.segment, message.segment.on_leave)
        case None:
            raise _wrong("trigger", "a scenario starts by an event or by a segment")


def _values(message: scenario_pb2.Trigger) -> dict[str, Scalar]:
    values: dict[str, Scalar] = {}
    for name, written in sorted(message.values.items()):
        path = f"trigger.values[{name}]"
        try:
            value = scalar_from_proto(written)
        except CdpError as error:
            raise _wrong(path, error.message) from error
        if value is None:
            raise _wrong(path, "a value of the scenario is not missing")
        values[name] = value
    return values


def _block(message: scenario_pb2.Block, path: str) -> Block:
    match message.WhichOneof("block"):
        case "wait":
            return Block(message.id, Wait(message.wait.duration_us, message.wait.next))
        case "condition":
            asked = message.condition
            return Block(message.id, Condition(asked.text, asked.when_true, asked.when_false))
        case "send":
            send = message.send
            return Block(message.id, Send(send.channel, send.template, send.kind or "trigger", send.next))
        case "exit":
            return Block(message.id, Exit(message.exit.reason))
        case None:
            raise _wrong(path, "a block waits, asks, sends or exits")


def _block_to_proto(block: Block) -> scenario_pb2.Block:
    message = scenario_pb2.Block(id=block.id)
    _fill(message, block.action)
    return message


def _fill(message: scenario_pb2.Block, action: Action) -> None:
    match action:
        case Wait(duration_us, after):
            message.wait.CopyFrom(scenario_pb2.Wait(duration_us=duration_us, next=after))
        case Condition(text, when_true, when_false):
            message.condition.CopyFrom(scenario_pb2.Condition(text=text, when_true=when_true, when_false=when_false))
        case Send(channel, template, kind, after):
            message.send.CopyFrom(scenario_pb2.Send(channel=channel, template=template, kind=kind, next=after))
        case Exit(reason):
            message.exit.CopyFrom(scenario_pb2.Exit(reason=reason))


def _wrong(path: str, description: str) -> CdpError:
    return invalid("SCENARIO_INVALID", f"{path}: {description}", Violation(path, description))
