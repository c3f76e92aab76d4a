"""An event of a contact meets one of its runs."""

from __future__ import annotations

from core.events.columns import MACHINE, Event
from core.scenario import machine
from core.scenario.machine import Command, Happened, Refreshed
from core.scenario.plan import Plan
from core.scenario.reentry import key_of
from core.scenario.run import Run, State, values_of
from core.scenario.trigger import instant_of, is_live, scalars


def may_meet(plan: Plan, run: Run, event_type: str) -> bool:
    """Whether an event of this type may change the run."""
    return event_type == plan.event_type or machine.wants(plan, run, event_type)


def met(
    plan: Plan, run: Run, event: Event, position: int, recorded_at_us: int, zone: str, now_us: int
) -> tuple[Run, Command]:
    """The run after `event`, which the log accepted at `recorded_at_us` and which stands at `position` of it, and what
    it needs next. The trigger that comes again for the same key brings newer values; what a machine did changes
    nothing else."""
    after, command = run, machine.needed(plan, run)
    if event.type == plan.event_type and is_live(event.flags) and event.id != run.trigger_id:
        brought = scalars(event)
        values = values_of(run.run_id, run.trigger_id, run.trigger_at_us, brought, plan.definition.values)
        if key_of(plan, values) == run.key:
            newer = Refreshed(instant_of(event, recorded_at_us), brought, event.items)
            after, command = machine.step(plan, after, newer, now_us)
    if event.flags & MACHINE or after.state is State.ENDED or not machine.wants(plan, after, event.type):
        return after, command
    return machine.step(plan, after, Happened(event, position, recorded_at_us, zone), now_us)
