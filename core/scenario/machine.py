"""The machine: a run, something that happened, an instant -> the run after it, and what it needs next.

It knows no clock, no log and no peer. Whoever drives it keeps every run it returns, does the one command, and comes
back with its answer. The same run and inputs always give the same runs and commands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from core.events.columns import IMPORTED, MACHINE
from core.events.columns import Event as ContactEvent
from core.scenario.arrive import EXIT_WHEN, MISSING_VALUE, arrived, ended, gone, with_values
from core.scenario.arrive import MAX_STEPS as MAX_STEPS
from core.scenario.arrive import needed as needed
from core.scenario.commands import AskCondition as AskCondition
from core.scenario.commands import Command as Command
from core.scenario.commands import End as End
from core.scenario.commands import Question as Question
from core.scenario.commands import SendMessage as SendMessage
from core.scenario.commands import SetTimer as SetTimer
from core.scenario.definition import (
    CallWebhook,
    ChangeLists,
    Condition,
    Control,
    DateAttribute,
    IssueCoupon,
    LocalTime,
    Send,
    SendGroup,
    SetAttribute,
    Split,
    StartScenario,
    Wait,
    WaitFor,
)
from core.scenario.draw import CONTROL_SALT, WHOLE, bucket_of, part_of, salt_of
from core.scenario.filter_row import RowContext, matches
from core.scenario.inputs import ANSWER_PREFIX, WEBHOOK_ANSWERED, WEBHOOK_FAILED, ContactTold, Done, TurnTaken
from core.scenario.inputs import Answered as Answered
from core.scenario.inputs import Event as Event
from core.scenario.inputs import Happened as Happened
from core.scenario.inputs import Input as Input
from core.scenario.inputs import Refreshed as Refreshed
from core.scenario.inputs import Sent as Sent
from core.scenario.inputs import Started as Started
from core.scenario.inputs import Stopped as Stopped
from core.scenario.inputs import TimerDue as TimerDue
from core.scenario.plan import Plan
from core.scenario.reentry import key_of
from core.scenario.run import Run, State, Step, run_id_of, values_of
from core.scenario.texts import RunText
from core.scenario.trigger import Occurrence
from core.scenario.waits import due_date, next_local, wall_time_from
from core.schema import Scalar

EMPTIED = "emptied"
CONTROL = "control"
#: A run takes over at most so many values of one event, by name, and texts of at most so many characters.
MAX_TAKEN_VALUES = 50
MAX_TAKEN_CHARACTERS = 500


def start(plan: Plan, occurrence: Occurrence, now_us: int) -> tuple[Run, Command]:
    """The run that `occurrence` starts, and what it needs.

    A run whose texts name a value that the trigger did not bring ends at once, with the reason
    "missing_value:<name>"; all of a contact's runs that miss the same value have one id.
    """
    missing = sorted(plan.parameters - values_of("", "", 0, occurrence.values, plan.definition.values).keys())
    trigger_id = f"missing:{missing[0]}" if missing else occurrence.id
    run_id = run_id_of(plan.name, plan.version, occurrence.contact, trigger_id)
    values = values_of(run_id, occurrence.id, occurrence.at_us, occurrence.values, plan.definition.values)
    run = Run(
        run_id,
        plan.name,
        plan.version,
        occurrence.contact,
        key_of(plan, values),
        occurrence.id,
        occurrence.at_us,
        now_us,
        occurrence.values,
        occurrence.items,
        occurrence.at_us,
        occurrence.upstream_position,
        block=plan.first_block,
    )
    if missing:
        run = ended(run, f"{MISSING_VALUE}{missing[0]}", now_us)
        return run, End(run.end_reason)
    return step(plan, run, Started(), now_us)


def step(plan: Plan, run: Run, happened: Input, now_us: int) -> tuple[Run, Command]:
    """The run after `happened`, and the one thing it needs next. Inputs that came too late change nothing."""
    if run.state is not State.ENDED:
        run = arrived(plan, _apply(plan, run, happened, now_us), now_us)
    return run, needed(plan, run)


def wants(plan: Plan, run: Run, event_type: str) -> bool:
    """Whether an event of the contact of this type may change what the run does: `Happened` is for these alone.

    They are those that the exit condition names; those that the block names at which the run waits, by its event or in
    its condition; what became of the webhook that the run called; and, while the run is on its way, those that any
    block ahead waits for.
    """
    if plan.exit_text is not None and plan.exit_text.concerned_by(event_type):
        return True
    match plan.actions.get(run.block):
        case WaitFor(event=event):
            condition = plan.conditions.get(run.block)
            if event is not None and event.type == event_type:
                return True
            if condition is not None and condition.concerned_by(event_type):
                return True
        case CallWebhook() if event_type in (WEBHOOK_ANSWERED, WEBHOOK_FAILED):
            return True
    return _is_on_its_way(plan, run) and _awaited_ahead(plan, event_type)


def heeds_profile(plan: Plan, run: Run) -> bool:
    """Whether a change of what the contact is (attributes, lists, consents) may change what the run does at once:
    `Event` is for these too."""
    condition = _waited_for(plan, run)
    return (condition is not None and condition.profile) or (plan.exit_text is not None and plan.exit_text.profile)


def heeds_catalogue(plan: Plan, run: Run) -> bool:
    """Whether the run waits for a condition that reads what products are now."""
    condition = _waited_for(plan, run)
    return run.state is State.WAITING and condition is not None and condition.catalogue


def _waited_for(plan: Plan, run: Run) -> RunText | None:
    return plan.conditions.get(run.block) if isinstance(plan.actions.get(run.block), WaitFor) else None


def replanned(run: Run) -> Run:
    """The run with its timer by the time zones' rules as they are known now; for runs read back after a restart."""
    if run.state is not State.WAITING or not run.due_local:
        return run
    return replace(run, due_at_us=wall_time_from(run.due_local).instant_us())


def _is_on_its_way(plan: Plan, run: Run) -> bool:
    """Whether the run does not stand still, so that what blocks ahead wait for may happen before it is there."""
    return run.state is not State.WAITING or isinstance(plan.actions[run.block], CallWebhook)


def _awaited_ahead(plan: Plan, event_type: str) -> bool:
    return any(
        isinstance(action, WaitFor) and action.event is not None and action.event.type == event_type
        for action in plan.actions.values()
    )


def _apply(plan: Plan, run: Run, happened: Input, now_us: int) -> Run:
    match happened:
        case Started():
            return run
        case TimerDue():
            return _timer_due(plan, run, now_us)
        case Answered(Question.EXIT, holds, position):
            return _exit_answered(run, holds, position, now_us)
        case Answered(_, holds, position):
            return _condition_answered(plan, run, holds, position, now_us)
        case ContactTold():
            return _contact_told(plan, run, happened, now_us)
        case TurnTaken(at_us):
            return _turn_taken(plan, run, at_us, now_us)
        case Sent(message_id, refusal):
            return _sent(plan, run, message_id, refusal, now_us)
        case Done():
            return _done(plan, run, happened, now_us)
        case Event(position):
            return _facts_changed(plan, run, position)
        case Happened():
            return _happened(plan, run, happened, now_us)
        case Refreshed():
            return _refreshed(run, happened, now_us)
        case Stopped(reason):
            return ended(run, reason, now_us)


def _timer_due(plan: Plan, run: Run, now_us: int) -> Run:
    if run.state is not State.WAITING or now_us < run.due_at_us:
        raise ValueError(f"run {run.run_id} has no timer due at {now_us}")
    match plan.actions[run.block]:
        case WaitFor(condition=condition) if condition.strip():
            return replace(run, state=State.RUNNING, checked=False)  # asked for a last time
        case WaitFor() | CallWebhook():
            return gone(plan, run, Step(run.block, now_us, "timeout"), 1)
        case Send() | SendGroup():
            return replace(run, state=State.RUNNING, checked=False)  # its turn has come; is it still wanted?
        case _:
            return gone(plan, run, Step(run.block, now_us, "waited"), 0)


def _exit_answered(run: Run, holds: bool, position: int, now_us: int) -> Run:
    if run.state is State.SENDING:
        return run
    if holds:
        step_taken = Step(run.block, now_us, f"exit:{EXIT_WHEN}", position)
        return ended(replace(run, steps=(*run.steps, step_taken)), EXIT_WHEN, now_us)
    if position < run.check_position:
        return run  # an event came meanwhile that this answer does not know
    return replace(run, check_position=0, checked=run.state is State.RUNNING)


def _condition_answered(plan: Plan, run: Run, holds: bool, position: int, now_us: int) -> Run:
    if run.state is not State.RUNNING:
        return run
    match plan.actions.get(run.block):
        case Condition():
            return gone(plan, run, Step(run.block, now_us, "true" if holds else "false", position), 0 if holds else 1)
        case WaitFor() if run.due_at_us:
            if holds:
                return gone(plan, run, Step(run.block, now_us, "met", position), 0)
            if position < run.ask_position:
                return run  # an event came meanwhile that this answer does not know
            if now_us >= run.due_at_us:
                return gone(plan, run, Step(run.block, now_us, "timeout", position), 1)
            return replace(run, state=State.WAITING, ask_position=0, early=(), checked=False)
    return run


def _contact_told(plan: Plan, run: Run, told: ContactTold, now_us: int) -> Run:
    if run.state is not State.RUNNING or told.contact != run.contact or not run.entered_at_us:
        return run
    match plan.actions.get(run.block):
        case Wait(until=LocalTime() as wanted):
            due = next_local(wanted, told.workspace_zone if wanted.workspace_zone else told.zone, run.entered_at_us)
        case Wait(until=DateAttribute() as dated):
            found = due_date(dated, told.attributes.get(dated.attribute), told.zone, run.entered_at_us)
            if found is None:
                return gone(plan, run, Step(run.block, now_us, "no_date"), 1)
            due = found
        case Split(branches, salt):
            bucket = bucket_of(told.workspace, salt or salt_of(plan.name, run.block), told.key)
            way = part_of(bucket, [branch.share for branch in branches])
            return gone(plan, run, Step(run.block, now_us, f"branch:{branches[way].name or way + 1}"), way)
        case Control(share) as control:
            salt = CONTROL_SALT if control.whole_workspace else salt_of(plan.name, run.block)
            if part_of(bucket_of(told.workspace, salt, told.key), (share, WHOLE - share)):
                return gone(plan, run, Step(run.block, now_us, "not_control"), 0)
            taken = Step(run.block, now_us, CONTROL)
            if control.when_in:
                return gone(plan, run, taken, 1)
            return ended(replace(run, steps=(*run.steps, taken)), CONTROL, now_us)
        case _:
            return run
    wall_time = "" if due.wall_time is None else due.wall_time.text
    return replace(run, state=State.WAITING, due_at_us=due.at_us, due_local=wall_time, early=(), checked=False)


def _turn_taken(plan: Plan, run: Run, at_us: int, now_us: int) -> Run:
    """A run that has its turn keeps it as `due_at_us`, whether it waits for it or not."""
    if not isinstance(plan.actions.get(run.block), Send | SendGroup) or run.state in (State.SENDING, State.ENDED):
        return run
    if at_us <= now_us and run.state is State.RUNNING:
        return replace(run, due_at_us=at_us)
    return replace(run, state=State.WAITING, due_at_us=at_us, early=(), checked=False)


def _sent(plan: Plan, run: Run, message_id: str, refusal: str, now_us: int) -> Run:
    if run.state is not State.SENDING or run.message_id != message_id:
        return run
    action = plan.actions[run.block]
    if not isinstance(action, CallWebhook):
        outcome = f"refused:{refusal}" if refusal else f"sent:{message_id}"
        return gone(plan, run, Step(run.block, now_us, outcome), 0)
    if refusal:
        return gone(plan, run, Step(run.block, now_us, f"refused:{refusal}"), 1)
    return replace(run, state=State.WAITING, due_at_us=run.entered_at_us + action.timeout_us, checked=False)


def _done(plan: Plan, run: Run, done: Done, now_us: int) -> Run:
    if run.state is not State.SENDING or run.message_id != done.message_id:
        return run
    run = replace(
        run,
        upstream_position=max(run.upstream_position, done.upstream_position),
        min_position=max(run.min_position, done.position),
    )
    refused = f"refused:{done.refusal}" if done.refusal else ""
    match plan.actions[run.block]:
        case SetAttribute():
            return gone(plan, run, Step(run.block, now_us, refused or "set"), 0)
        case ChangeLists():
            return gone(plan, run, Step(run.block, now_us, refused or "lists_changed"), 0)
        case StartScenario():
            return gone(plan, run, Step(run.block, now_us, refused or f"started:{done.result}"), 0)
        case IssueCoupon(_, store_as):
            if refused:
                return gone(plan, run, Step(run.block, now_us, refused), 1)
            run = with_values(run, {store_as: done.result})
            return gone(plan, run, Step(run.block, now_us, "issued"), 0)
    return run


def _facts_changed(plan: Plan, run: Run, position: int) -> Run:
    """Exit condition and the condition that the run waits for are asked again, as of `position`."""
    if plan.exit_text is not None:
        run = replace(run, check_position=max(run.check_position, position), checked=False)
    return _asked_again(plan, run, position)


def _asked_again(plan: Plan, run: Run, position: int) -> Run:
    if run.block not in plan.conditions or not isinstance(plan.actions[run.block], WaitFor):
        return run
    if run.state is State.WAITING:
        run = replace(run, state=State.RUNNING, checked=not run.check_position)
    return replace(run, ask_position=max(run.ask_position, position))


def _happened(plan: Plan, run: Run, happened: Happened, now_us: int) -> Run:
    event = happened.event
    if event.flags & MACHINE:
        return run
    action = plan.actions.get(run.block)
    if isinstance(action, CallWebhook) and event.type in (WEBHOOK_ANSWERED, WEBHOOK_FAILED):
        return _webhook_told(plan, run, action, event, now_us)
    if plan.exit_text is not None and plan.exit_text.concerned_by(event.type):
        run = replace(run, check_position=max(run.check_position, happened.position), checked=False)
    if not isinstance(action, WaitFor) or not run.due_at_us:
        return _remembered(plan, run, happened) if _is_on_its_way(plan, run) else run
    if _is_met(plan, run, run.block, action, happened):
        run = with_values(run, _taken_over(event, action.store_as))
        return gone(plan, run, Step(run.block, now_us, "met", happened.position), 0)
    condition = plan.conditions.get(run.block)
    if condition is not None and condition.concerned_by(event.type):
        return _asked_again(plan, run, happened.position)
    return run


def _remembered(plan: Plan, run: Run, happened: Happened) -> Run:
    """The run with the event kept for each block ahead that waits for it, the first one for each."""
    for block in plan.filters:
        wait = plan.actions[block]
        if any(block == known for known, _ in run.early) or not isinstance(wait, WaitFor):
            continue
        if _is_met(plan, run, block, wait, happened):
            run = replace(run, early=(*run.early, (block, _taken_over(happened.event, wait.store_as))))
    return run


def _is_met(plan: Plan, run: Run, block: str, wait: WaitFor, happened: Happened) -> bool:
    """Whether an event is what a block waits for: of its type, live, not older than the run, through its filter."""
    event = happened.event
    if wait.event is None or wait.event.type != event.type or event.flags & IMPORTED:
        return False
    if min(event.occurred_at_us, event.received_at_us, happened.recorded_at_us) < run.trigger_at_us:
        return False
    values = values_of(run.run_id, run.trigger_id, run.trigger_at_us, run.values, plan.definition.values)
    return matches(plan.filters[block], event, RowContext(happened.recorded_at_us, happened.zone, values))


def _webhook_told(plan: Plan, run: Run, call: CallWebhook, event: ContactEvent, now_us: int) -> Run:
    """What the channel tells of the webhook. It may come before the channel's own answer to the run."""
    if run.message_id == "" or event.params.get("message_id") != run.message_id:
        return run
    if event.type == WEBHOOK_FAILED:
        return gone(plan, run, Step(run.block, now_us, f"failed:{event.params.get('reason', '')}"), 1)
    answer = {
        name.removeprefix(ANSWER_PREFIX): value
        for name, value in event.params.items()
        if name.startswith(ANSWER_PREFIX)
    }
    run = with_values(run, _taken_over(replace(event, params=answer), call.store_as))
    return gone(plan, run, Step(run.block, now_us, "answered"), 0)


def _taken_over(event: ContactEvent, store_as: str) -> Mapping[str, Scalar]:
    """The scalar parameters of an event as values of the run; none without `store_as`."""
    if not store_as:
        return {}
    found: dict[str, Scalar] = {}
    for name in sorted(event.params):
        value = event.params[name]
        if isinstance(value, tuple) or len(found) == MAX_TAKEN_VALUES:
            continue
        found[f"{store_as}_{name}"] = value[:MAX_TAKEN_CHARACTERS] if isinstance(value, str) else value
    return found


def _refreshed(run: Run, newer: Refreshed, now_us: int) -> Run:
    if newer.at_us < run.described_at_us:
        return run  # a late one: what the run has is newer
    if run.items and not newer.items and run.key:
        return ended(run, EMPTIED, now_us)
    return replace(run, values={**run.values, **newer.values}, items=newer.items, described_at_us=newer.at_us)
