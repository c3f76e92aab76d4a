"""The machine: a run, something that happened, an instant -> the run after it, and what it needs next.

It knows no clock, no log and no peer. Whoever drives it keeps every run it returns, does the one command, and comes
back with its answer. The same run and inputs always give the same runs and commands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from core.scenario.definition import Condition, Exit, Send, Wait
from core.scenario.graph import END
from core.scenario.plan import Plan
from core.scenario.reentry import key_of
from core.scenario.run import Run, State, Step, message_id_of, run_id_of, values_of
from core.scenario.trigger import Occurrence
from core.schema import Scalar

#: A run that took this many steps goes round in circles and ends.
MAX_STEPS = 1_000
EXIT_WHEN = "exit_when"
COMPLETED = "completed"
EMPTIED = "emptied"
TOO_MANY_STEPS = "too_many_steps"


class Question(Enum):
    """What is asked of the engine: the scenario's exit condition, or the condition of a block."""

    EXIT = "exit"
    CONDITION = "condition"


# --- inputs -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started:
    """The run is new, or was read back after a restart: what does it need?"""


@dataclass(frozen=True, slots=True)
class TimerDue:
    """The timer of the run is due. ValueError if it is not: a timer never fires early."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The engine's answer, which includes the profile log up to `position`."""

    question: Question
    holds: bool
    position: int


@dataclass(frozen=True, slots=True)
class Sent:
    """The channel took the message over, or refused it for good with a reason."""

    message_id: str
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """An event of the contact, of a type that the exit condition names, stands at `position` of the profile log."""

    position: int


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The trigger came again, at `at_us`, for what the run is about: the newest values and items are the run's."""

    at_us: int
    values: Mapping[str, Scalar]
    items: tuple[Mapping[str, Scalar], ...]


@dataclass(frozen=True, slots=True)
class Stopped:
    """The run ends from outside: its scenario was deleted, or a text can never be answered."""

    reason: str


Input = Started | TimerDue | Answered | Sent | Event | Refreshed | Stopped

# --- commands -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Come back with `TimerDue` at `due_at_us`."""

    due_at_us: int


@dataclass(frozen=True, slots=True)
class AskCondition:
    """Ask whether the contact is in `text` now, including the profile log up to `min_position`."""

    question: Question
    contact: int
    text: str
    parameters: Mapping[str, Scalar]
    min_position: int


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Hand this message to its channel. The run must be kept before: the id makes a repetition harmless."""

    message_id: str
    contact: int
    channel: str
    template: str
    kind: str
    values: Mapping[str, Scalar]
    items: tuple[Mapping[str, Scalar], ...]
    step: str
    upstream_position: int


@dataclass(frozen=True, slots=True)
class End:
    """The run is over; it has no timer any more."""

    reason: str


Command = SetTimer | AskCondition | SendMessage | End


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
        values,
        occurrence.items,
        occurrence.at_us,
        occurrence.upstream_position,
        block=plan.first_block,
    )
    if missing:
        run = _end(run, f"missing_value:{missing[0]}", now_us)
        return run, End(run.end_reason)
    return step(plan, run, Started(), now_us)


def step(plan: Plan, run: Run, happened: Input, now_us: int) -> tuple[Run, Command]:
    """The run after `happened`, and the one thing it needs next. Inputs that came too late change nothing."""
    run = run if run.state is State.ENDED else _settle(plan, _apply(plan, run, happened, now_us), now_us)
    return run, needed(plan, run)


def _apply(plan: Plan, run: Run, happened: Input, now_us: int) -> Run:
    match happened:
        case Started():
            return run
        case TimerDue():
            if run.state is not State.WAITING or now_us < run.due_at_us:
                raise ValueError(f"run {run.run_id} has no timer due at {now_us}")
            return _go(plan, run, Step(run.block, now_us, "waited"), 0)
        case Answered(question, holds, position):
            if question is Question.EXIT:
                return _exit_answered(run, holds, position, now_us)
            if run.state is not State.RUNNING or not isinstance(plan.actions.get(run.block), Condition):
                return run
            return _go(plan, run, Step(run.block, now_us, "true" if holds else "false", position), 0 if holds else 1)
        case Sent(message_id, refusal):
            if run.state is not State.SENDING or run.message_id != message_id:
                return run
            outcome = f"refused:{refusal}" if refusal else f"sent:{message_id}"
            return replace(_go(plan, run, Step(run.block, now_us, outcome), 0), message_id="")
        case Event(position):
            return replace(run, check_position=max(run.check_position, position), checked=False)
        case Refreshed():
            return _refreshed(plan, run, happened, now_us)
        case Stopped(reason):
            return _end(run, reason, now_us)


def _exit_answered(run: Run, holds: bool, position: int, now_us: int) -> Run:
    if run.state is State.SENDING:
        return run
    if holds:
        step_taken = Step(run.block, now_us, f"exit:{EXIT_WHEN}", position)
        return _end(replace(run, steps=(*run.steps, step_taken)), EXIT_WHEN, now_us)
    if position < run.check_position:
        return run  # an event came meanwhile that this answer does not know
    return replace(run, check_position=0, checked=run.state is State.RUNNING)


def _refreshed(plan: Plan, run: Run, newer: Refreshed, now_us: int) -> Run:
    if newer.at_us < run.described_at_us:
        return run  # a late one: what the run has is newer
    if run.items and not newer.items and run.key:
        return _end(run, EMPTIED, now_us)
    of_trigger = {**run.values, **newer.values}
    values = values_of(run.run_id, run.trigger_id, run.trigger_at_us, of_trigger, plan.definition.values)
    return replace(run, values=values, items=newer.items, described_at_us=newer.at_us)


def _go(plan: Plan, run: Run, taken: Step, way: int) -> Run:
    """On to the next block, the step written down."""
    steps = (*run.steps, taken)
    return replace(
        run, state=State.RUNNING, block=plan.ways[run.block][way], due_at_us=0, steps=steps, checked=False
    )  # fmt: skip


def _end(run: Run, reason: str, now_us: int) -> Run:
    return replace(
        run, state=State.ENDED, block=END, due_at_us=0, check_position=0, message_id="", end_reason=reason,
        ended_at_us=now_us, checked=False,
    )  # fmt: skip


def _settle(plan: Plan, run: Run, now_us: int) -> Run:
    """The run at its block, entered if nothing is left to ask before. Each kind of block has its case here."""
    if run.state is not State.RUNNING:
        return run
    if len(run.steps) >= MAX_STEPS:
        return _end(run, TOO_MANY_STEPS, now_us)
    if plan.exit_text is not None and not run.checked:
        return run
    if run.block == END:
        return _end(run, COMPLETED, now_us)
    match plan.actions[run.block]:
        case Wait(duration_us):
            return replace(run, state=State.WAITING, due_at_us=now_us + duration_us, checked=False)
        case Condition():
            return run
        case Send():
            return replace(run, state=State.SENDING, message_id=message_id_of(run), checked=False)
        case Exit(reason):
            taken = Step(run.block, now_us, f"exit:{reason}" if reason else "exit")
            return _end(replace(run, steps=(*run.steps, taken)), reason or "exit", now_us)


def needed(plan: Plan, run: Run) -> Command:
    """What the run needs from the world now; a function of the run alone, so that it is known after a restart."""
    match run.state:
        case State.ENDED:
            return End(run.end_reason)
        case State.SENDING:
            return _message(plan, run)
        case State.WAITING if not run.check_position or plan.exit_text is None:
            return SetTimer(run.due_at_us)
    if plan.exit_text is not None and not run.checked:
        return AskCondition(Question.EXIT, run.contact, plan.exit_text.asked, run.values, run.check_position)
    condition = plan.conditions[run.block]
    return AskCondition(Question.CONDITION, run.contact, condition.asked, run.values, run.check_position)


def _message(plan: Plan, run: Run) -> SendMessage:
    action = plan.actions[run.block]
    if not isinstance(action, Send):
        raise ValueError(f"run {run.run_id} sends from {run.block!r}, which is no send block")
    return SendMessage(
        run.message_id,
        run.contact,
        action.channel,
        action.template,
        action.kind,
        run.values,
        run.items,
        run.block,
        run.upstream_position,
    )
