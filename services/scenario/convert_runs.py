"""Runs and changes of membership between their wire form and core."""

from __future__ import annotations

from cdp.scenario.v1 import scenario_pb2
from cdp.segment.v1 import segment_pb2
from core.scenario.run import Run, values_of
from core.scenario.trigger import Cause, MembershipChange
from services.runtime.facts import value_to_proto

_CAUSES = {
    segment_pb2.CAUSE_EVENT: Cause.EVENT,
    segment_pb2.CAUSE_TIME: Cause.TIME,
    segment_pb2.CAUSE_CATALOGUE: Cause.CATALOGUE,
    segment_pb2.CAUSE_IMPORT: Cause.IMPORT,
    segment_pb2.CAUSE_EDIT: Cause.EDIT,
    segment_pb2.CAUSE_MERGE: Cause.MERGE,
    segment_pb2.CAUSE_UNMERGE: Cause.UNMERGE,
    segment_pb2.CAUSE_POPULATION: Cause.POPULATION,
}


def run_to_proto(run: Run) -> scenario_pb2.Run:
    """A run with what it did. Its values are those of its trigger, those that blocks brought, and its own."""
    values = values_of(run.run_id, run.trigger_id, run.trigger_at_us, run.values, {})
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
        values={name: value_to_proto(value) for name, value in values.items()},
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
