"""A run at its block: what it is once it stands there, and what it needs then."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date

from core.scenario.commands import (
    AskCondition,
    AskContact,
    ChangeContact,
    Command,
    End,
    Question,
    SendMessage,
    SetTimer,
    StartRun,
    TakeCoupon,
    TakeTurn,
    Telling,
)
from core.scenario.definition import (
    DEFAULT_EXPIRY_US,
    CallWebhook,
    ChangeLists,
    Condition,
    Control,
    DateAttribute,
    Exit,
    IssueCoupon,
    Send,
    SendGroup,
    SetAttribute,
    Split,
    StartScenario,
    Wait,
    WaitFor,
)
from core.scenario.graph import END
from core.scenario.plan import Plan, is_brought
from core.scenario.run import OWN_VALUES, Run, State, Step, message_id_of, values_of
from core.scenario.texts import RunText
from core.schema import Instant, Scalar

#: A run that took this many steps goes round in circles and ends.
MAX_STEPS = 1_000
EXIT_WHEN = "exit_when"
COMPLETED = "completed"
TOO_MANY_STEPS = "too_many_steps"
MISSING_VALUE = "missing_value:"
#: Scenarios that start each other do so this often in a row at most.
MAX_CHAIN = 20
_CHAIN = re.compile(r"chain:([0-9]+):[0-9a-f]{32}", re.ASCII)
#: A value in the text that says what a message advertises.
PLACEHOLDER = re.compile(r":([^\W\d]\w*)")


def arrived(plan: Plan, run: Run, now_us: int) -> Run:
    """The run at the block where it has to stand, entered if nothing is left to ask before."""
    before = None
    while run.state is State.RUNNING and run is not before:
        before = run
        if len(run.steps) >= MAX_STEPS:
            return ended(run, TOO_MANY_STEPS, now_us)
        if asks_exit(plan, run) and not run.checked:
            return run
        if run.block == END:
            return ended(run, COMPLETED, now_us)
        run = _entered(plan, run, now_us)
    return run


def asks_exit(plan: Plan, run: Run) -> bool:
    """Whether there is an exit condition, and the run has all the values that it names."""
    return plan.exit_text is not None and (not plan.exit_needs or plan.exit_needs <= run.values.keys())


def gone(plan: Plan, run: Run, taken: Step, way: int) -> Run:
    """On to the next block, the step written down."""
    return replace(
        run,
        state=State.RUNNING,
        block=plan.ways[run.block][way],
        due_at_us=0,
        due_local="",
        entered_at_us=0,
        message_id="",
        ask_position=0,
        steps=(*run.steps, taken),
        checked=False,
    )


def ended(run: Run, reason: str, now_us: int) -> Run:
    """The run at its end."""
    return replace(
        run,
        state=State.ENDED,
        block=END,
        due_at_us=0,
        due_local="",
        entered_at_us=0,
        check_position=0,
        ask_position=0,
        min_position=0,
        message_id="",
        end_reason=reason,
        ended_at_us=now_us,
        early=(),
        checked=False,
    )


def with_values(run: Run, brought: Mapping[str, Scalar]) -> Run:
    """The run with values that a block brought."""
    return replace(run, values={**run.values, **brought}) if brought else run


def _entered(plan: Plan, run: Run, now_us: int) -> Run:
    """The run in its block. Each kind of block has its case here; one that needs something first stays RUNNING."""
    run = run if run.entered_at_us else replace(run, entered_at_us=now_us)
    match plan.actions[run.block]:
        case Wait(duration_us, until=None):
            return _waiting(run, run.entered_at_us + duration_us)
        case WaitFor() as wait:
            return _waiting_for(plan, run, wait, now_us)
        case Condition():
            return _asking(plan, run, now_us)
        case Wait() | Split() | Control():
            return run
        case Send() | SendGroup() if plan.definition.sends_per_minute and not run.due_at_us:
            return run
        case Exit(reason):
            taken = Step(run.block, now_us, f"exit:{reason}" if reason else "exit")
            return ended(replace(run, steps=(*run.steps, taken)), reason or "exit", now_us)
        case SetAttribute(from_value=name) if name and name not in values_in(plan, run):
            return gone(plan, run, Step(run.block, now_us, f"refused:{MISSING_VALUE}{name}"), 0)
        case StartScenario() if _links(run) >= MAX_CHAIN:
            return gone(plan, run, Step(run.block, now_us, "refused:chain_too_long"), 0)
        case _:
            return replace(run, state=State.SENDING, message_id=message_id_of(run), due_at_us=0, checked=False)


def _waiting(run: Run, due_at_us: int) -> Run:
    return replace(run, state=State.WAITING, due_at_us=due_at_us, early=(), checked=False)


def _waiting_for(plan: Plan, run: Run, wait: WaitFor, now_us: int) -> Run:
    """While the run waits, or asks, for what this block names, `due_at_us` is set."""
    for block, brought in run.early:
        if block == run.block:
            # It came while the run was on its way here, so it is not asked of the past.
            return gone(plan, replace(with_values(run, brought), early=()), Step(run.block, now_us, "met"), 0)
    due_at_us = run.due_at_us or run.entered_at_us + wait.timeout_us
    if not wait.condition.strip():
        return _waiting(run, due_at_us)
    asking = _asking(plan, run, now_us)
    return asking if asking.state is State.ENDED or run.due_at_us else replace(run, due_at_us=due_at_us)


def _asking(plan: Plan, run: Run, now_us: int) -> Run:
    missing = sorted(plan.conditions[run.block].parameters - values_in(plan, run).keys())
    return ended(run, f"{MISSING_VALUE}{missing[0]}", now_us) if missing else run


def needed(plan: Plan, run: Run) -> Command:
    """What the run needs from the world now; a function of the run alone, so that it is known after a restart."""
    match run.state:
        case State.ENDED:
            return End(run.end_reason)
        case State.SENDING:
            return _telling(plan, run)
        case State.WAITING if not run.check_position or not asks_exit(plan, run):
            return SetTimer(run.due_at_us)
    if plan.exit_text is not None and asks_exit(plan, run) and not run.checked:
        return _ask(plan, run, Question.EXIT, plan.exit_text, max(run.check_position, run.min_position))
    match plan.actions[run.block]:
        case Wait(until=DateAttribute(attribute)):
            return AskContact(run.contact, (attribute,), run.upstream_position)
        case Wait() | Split() | Control():
            return AskContact(run.contact, (), run.upstream_position)
        case Send() | SendGroup():
            return TakeTurn(plan.definition.sends_per_minute)
    position = max(run.check_position, run.min_position, run.ask_position)
    return _ask(plan, run, Question.CONDITION, plan.conditions[run.block], position)


def _ask(plan: Plan, run: Run, question: Question, text: RunText, min_position: int) -> AskCondition:
    values = values_in(plan, run) if text.parameters else {}
    named = {name: value for name, value in values.items() if name in text.parameters}
    return AskCondition(question, run.contact, text.asked, named, min_position)


def values_in(plan: Plan, run: Run) -> dict[str, Scalar]:
    """All values that the texts and templates of a run may name."""
    return values_of(run.run_id, run.trigger_id, run.trigger_at_us, run.values, plan.definition.values)


def _telling(plan: Plan, run: Run) -> Telling:
    values = values_in(plan, run)
    match plan.actions[run.block]:
        case Send() as send:
            return _message(plan, run, values, send)
        case SendGroup(options, by_preference, patience_us):
            return replace(
                _message(plan, run, values, options[0]),
                alternatives=tuple((option.channel, option.template) for option in options[1:]),
                by_preference=by_preference,
                patience_us=patience_us,
            )
        case CallWebhook(template, _, timeout_us):
            call = Send("webhook", template, "transactional", expires_after_us=timeout_us)
            return _message(plan, run, values, call)
        case SetAttribute(name, value, from_value):
            written = values[from_value] if from_value else value
            return ChangeContact(run.message_id, run.contact, run.entered_at_us, name, written)
        case ChangeLists(joined, left):
            return ChangeContact(run.message_id, run.contact, run.entered_at_us, joined=joined, left=left)
        case IssueCoupon(pool):
            return TakeCoupon(run.message_id, run.contact, pool)
        case StartScenario(scenario, names):
            trigger_id = f"chain:{_links(run) + 1}:{run.message_id}"
            values = _handed_over(plan, run, names)
            return StartRun(run.message_id, trigger_id, run.contact, scenario, values, run.items)
        case action:
            raise ValueError(f"run {run.run_id} tells nobody anything from {run.block!r}, a {type(action).__name__}")


def _message(plan: Plan, run: Run, values: Mapping[str, Scalar], send: Send) -> SendMessage:
    # A run stored by an earlier version does not know when it came here.
    came_at_us = run.entered_at_us or (run.steps[-1].at_us if run.steps else run.started_at_us)
    return SendMessage(
        run.message_id,
        run.contact,
        send.channel,
        send.template,
        send.kind,
        values,
        run.items,
        run.block,
        run.upstream_position,
        filled(send.content, values),
        came_at_us + (send.expires_after_us or DEFAULT_EXPIRY_US),
        plan.definition.category,
    )


def _links(run: Run) -> int:
    """How many scenarios started each other in a row until this run."""
    found = _CHAIN.fullmatch(run.trigger_id)
    return 0 if found is None else int(found[1])


def _handed_over(plan: Plan, run: Run, names: tuple[str, ...]) -> dict[str, Scalar]:
    """The values for another scenario's run: those named, as far as there are; else those of the trigger."""
    if names:
        values = values_in(plan, run)
        return {name: values[name] for name in names if name in values}
    return {
        name: value
        for name, value in run.values.items()
        if name not in OWN_VALUES and not is_brought(plan.definition, name)
    }


def filled(content: str, values: Mapping[str, Scalar]) -> str:
    """`content` with values in the place of ":name"; empty where it names one that is not there, because contents with
    gaps would seem the same."""
    if any(found[1] not in values for found in PLACEHOLDER.finditer(content)):
        return ""
    return PLACEHOLDER.sub(lambda found: _text(values[found[1]]), content)


def _text(value: Scalar) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case Instant(us):
            return str(us)
        case date():
            return value.isoformat()
        case _:
            return str(value)
