"""Conditions on events and messages as canonical text."""

from __future__ import annotations

from dataclasses import replace

from core.query.ast import (
    AggregateMeasure,
    Daypart,
    EventAggregate,
    EventCount,
    FirstTime,
    MessageCount,
    PickedEvent,
    Regularly,
    Restarted,
    Sequence,
    Step,
    Stopped,
    Trend,
)
from core.query.text.format_filters import bracketed_text, filter_text, operator_text
from core.query.text.format_population import measure_text
from core.query.text.format_selections import clauses_text, count_text, event_window_text, is_never, selection_text
from core.query.text.format_values import dotted_text, duration_text, name_text
from core.query.text.format_windows import zone_text
from core.query.text.words import VERB_PREPOSITIONS

_SENT = {None: "", Daypart.DAY: " sent by day", Daypart.NIGHT: " sent at night"}


def event_count_text(condition: EventCount) -> str:
    """`did E (filter) at least 2 times in last 30 days for the same p`."""
    verb, count = "did", count_text(condition.compare, condition.counts)
    if is_never(condition.compare, condition.counts):
        verb, count = "did not", ""
    same = "" if condition.same is None else f" for the same {dotted_text(condition.same)}"
    return f"{verb} {selection_text(condition.events, count)}{same}"


def message_text(condition: MessageCount) -> str:
    """`opened message (filter) sent at night at least 2 times in last 30 days`."""
    preposition = VERB_PREPOSITIONS.get(condition.verb)
    verb = condition.verb.value if preposition is None else f"{condition.verb.value} {preposition}"
    count = count_text(condition.compare, condition.counts)
    if is_never(condition.compare, condition.counts):
        verb, count = f"{'never' if condition.window is None else 'not'} {verb}", ""
    machines = " including machines" if condition.with_machines else ""
    which = f"{bracketed_text(condition.filter)}{_SENT[condition.sent]}{machines}"
    return f"{verb} message{which}{count}{event_window_text(condition.window)}"


def aggregate_text(condition: EventAggregate) -> str:
    """`sum(E.p) where (filter) in last 30 days > 250`."""
    measure = measure_text(AggregateMeasure(condition.function, condition.path, condition.events))
    return f"{measure} {operator_text(condition.compare, condition.operands)}"


def first_time_text(condition: FirstTime) -> str:
    """`first time did E (filter) in last 30 days`."""
    return f"first time did {selection_text(replace(condition.events, window=condition.window))}"


def picked_text(condition: PickedEvent) -> str:
    """`last E (filter) in last 30 days had (conditions)`."""
    which = "first" if condition.first else "last"
    return f"{which} {selection_text(condition.events)} had ({filter_text(condition.conditions)})"


def stopped_text(condition: Stopped) -> str:
    """`stopped E: did in 90 days before, not in last 30 days`."""
    active, silent = duration_text(condition.active_us), duration_text(condition.silent_us)
    return f"stopped {selection_text(condition.events)}: did in {active} before, not in last {silent}"


def restarted_text(condition: Restarted) -> str:
    """`restarted E: did in last 30 days, not in 90 days before, but earlier`."""
    recent, silent = duration_text(condition.recent_us), duration_text(condition.silent_us)
    return f"restarted {selection_text(condition.events)}: did in last {recent}, not in {silent} before, but earlier"


def regularly_text(condition: Regularly) -> str:
    """`did E regularly: at least 2 times in at least 3 of last 4 calendar weeks`."""
    times = "" if condition.times == 1 else f"at least {condition.times} times "
    periods = condition.period.value if condition.n == 1 else f"{condition.period.value}s"
    rhythm = f"{times}in at least {condition.k} of last {condition.n} calendar {periods}{zone_text(condition.zone)}"
    return f"did {selection_text(condition.events)} regularly: {rhythm}"


def trend_text(condition: Trend) -> str:
    """`E (filter) rising by 50 % over last 14 days`."""
    # "created on monday" compares an attribute, so an event with such a clause is counted by name.
    counted = "number of " if clauses_text(condition.events) else ""
    way = "rising" if condition.rising else "falling"
    tail = f"{way} by {condition.percent} % over last {duration_text(condition.span_us)}"
    return f"{counted}{selection_text(condition.events)} {tail}"


def sequence_text(condition: Sequence, between: str = " ") -> str:
    """`sequence in last 30 days: a as v then b within 1 day`; `between` stands before each step."""
    same = "" if condition.same is None else f" with the same {dotted_text(condition.same)}"
    steps = f"{between}then ".join(_step_text(step) for step in condition.steps)
    return f"sequence{event_window_text(condition.window)}{same}:{between}{steps}"


def _step_text(step: Step) -> str:
    name = "" if step.name is None else f" as {name_text(step.name)}"
    within = "" if step.within_us is None else f" within {duration_text(step.within_us)}"
    first = " of the first" if step.from_first else ""
    return f"{'not ' if step.negative else ''}{selection_text(step.events)}{name}{within}{first}"
