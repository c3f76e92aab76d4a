"""10,000 runs that wait over 30 virtual days in which clocks change: each goes on once, never early, whatever happens
to the process meanwhile."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import pytest

from core.clock import DAY_US, HOUR_US, MINUTE_US
from core.scenario import machine
from core.scenario.commands import AskContact, SetTimer
from core.scenario.definition import Block, Definition, EventTrigger, Exit, LocalTime, Wait
from core.scenario.inputs import ContactTold, TimerDue
from core.scenario.plan import Plan
from core.scenario.run import Run, State
from core.scenario.trigger import Occurrence
from core.scenario.validate import plan_of
from core.scenario.waits import zone_named
from services.scenario.codec import decode_run, encode_run
from services.scenario.timers import Agenda

RUNS = 10_000
#: 20 days before the clocks of Europe go forward, and 6 before those of America do.
T0 = round(datetime(2027, 3, 8, tzinfo=UTC).timestamp()) * 1_000_000
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Beirut", "Australia/Lord_Howe", "Asia/Tokyo", "UTC")


def plans(random: Random) -> list[Plan]:
    waits = [Wait(random.randrange(1, 30 * DAY_US)) for _ in range(20)]
    waits += [Wait(0, until=LocalTime(random.randrange(24 * 60), (), False)) for _ in range(20)]
    waits += [Wait(0, until=LocalTime(minute, (6,))) for minute in (0, 90, 120, 150, 179, 180)]
    return [
        plan_of(f"s{index}", 1, Definition(EventTrigger("a"), (Block("w", wait), Block("end", Exit()))))
        for index, wait in enumerate(waits)
    ]


@pytest.mark.parametrize("seed", range(1))
def test_each_goes_on_once_and_never_early(seed: int) -> None:
    print(f"seed {seed}")
    random = Random(seed)
    ready = plans(random)
    by_name = {plan.name: plan for plan in ready}
    stored: dict[str, bytes] = {}
    zone_of: dict[int, str] = {}
    agenda = Agenda()
    arrivals = sorted(random.randrange(T0, T0 + 25 * DAY_US) for _ in range(RUNS))
    fired: dict[str, int] = {}
    now_us, last_due_us, started = T0, 0, 0
    while len(fired) < RUNS:
        now_us += random.choice((MINUTE_US, HOUR_US, random.randrange(12 * HOUR_US)))
        while started < RUNS and arrivals[started] <= now_us:
            zone_of[started] = random.choice(ZONES)
            run = begun(random.choice(ready), started, arrivals[started], zone_of[started])
            stored[run.run_id] = encode_run(run)
            agenda.timers.set(run.run_id, run.due_at_us)
            started += 1
        if random.randrange(30) == 0:  # the process ends; its timers are made anew of what is stored
            agenda = Agenda()
            for run_id in random.sample(sorted(stored), len(stored)):
                run = machine.replanned(decode_run(stored[run_id]))
                if run.state is State.WAITING:
                    agenda.timers.set(run_id, run.due_at_us)
            last_due_us = 0
        while due := agenda.timers.pop_due(now_us, random.randrange(1, 300)):
            for due_at_us, run_id in due:
                assert last_due_us <= due_at_us <= now_us, "in the order of their instants, none early"
                last_due_us = due_at_us if due_at_us >= T0 else 0
                run = decode_run(stored[run_id])
                plan = by_name[run.scenario]
                check_instant(plan, run, zone_of[run.contact])
                after, _ = machine.step(plan, run, TimerDue(), now_us)
                assert run_id not in fired
                fired[run_id] = now_us
                stored[run_id] = encode_run(after)
        last_due_us = 0
    assert len(fired) == RUNS


def begun(plan: Plan, contact: int, at_us: int, zone: str) -> Run:
    run, command = machine.start(plan, Occurrence(f"e{contact}", at_us, contact, {}), at_us)
    if isinstance(command, AskContact):
        told = ContactTold(contact, "w", f"key-{contact}", zone, "UTC")
        run, command = machine.step(plan, run, told, at_us + 3)
    assert isinstance(command, SetTimer)
    assert command.due_at_us > at_us
    with pytest.raises(ValueError, match="no timer due"):
        machine.step(plan, run, TimerDue(), command.due_at_us - 1)
    return run


def check_instant(plan: Plan, run: Run, zone: str) -> None:
    """A wall time is shown at its instant; one that the clocks skip is passed over at it."""
    wait = plan.actions["w"]
    assert isinstance(wait, Wait)
    if not isinstance(wait.until, LocalTime):
        assert run.due_at_us == run.entered_at_us + wait.duration_us
        return
    shown = [
        datetime.fromtimestamp((run.due_at_us + offset_us) // 1_000_000, UTC).astimezone(zone_named(zone))
        for offset_us in (-MINUTE_US, 0)
    ]
    before, at = (moment.hour * 60 + moment.minute for moment in shown)
    assert at == wait.until.minute or before < wait.until.minute < at or before > at > wait.until.minute
    assert run.due_at_us - run.entered_at_us <= (8 if wait.until.weekdays else 1) * DAY_US + 2 * HOUR_US
    assert replace(run) == machine.replanned(run)
