"""A run: one contact's way through one version of a scenario. Its whole state is this value."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from core.schema import Instant, Scalar

#: Values that every run has by itself; they win over values of the same name.
TRIGGER_AT, TRIGGER_ID, RUN_ID = "trigger_at", "trigger_id", "run_id"
OWN_VALUES = frozenset((TRIGGER_AT, TRIGGER_ID, RUN_ID))


class State(StrEnum):
    """RUNNING: about to do its block. WAITING: for `due_at_us`. SENDING: what it tells another service, a message most
    often, may be told already."""

    RUNNING = "running"
    WAITING = "waiting"
    SENDING = "sending"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Step:
    """What a run did in `block`: waited, no_date, met, timeout, true, false, branch:<name>, control, not_control,
    sent:<id>, set, lists_changed, issued, answered, started:<run id>, refused:<reason>, failed:<reason>,
    exit:<reason>. `position` is that of the profile log which the answer includes; 0 without an answer."""

    block: str
    at_us: int
    outcome: str
    position: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """`block` is where it stands ("" at the end). `key` is what it is about (core.scenario.reentry).

    `values` are those of its trigger and those that blocks brought (`values_of` has all), `items` the lines of the
    trigger, both as of `described_at_us`: a trigger that comes again for the same key brings newer ones.
    `upstream_position` is that of ingest's log which holds the trigger and what the run itself changed. Positions of
    the profile log: `check_position` > 0, the exit condition is still to be asked as of it; `ask_position` the same of
    the condition that it waits for; `min_position` what every answer must include, because the run changed something
    there. `checked`: the exit was asked since the run came to its block; never kept over a restart.
    `part`: the contact that the run would be of had nobody ever been merged; None: `contact`.

    `entered_at_us`: when it came to its block; 0: not yet. `due_local`: the wall time and zone that `due_at_us` is made
    of (core.scenario.waits). `early`: blocks ahead whose event came while the run was on its way, with its values.
    """

    run_id: str
    scenario: str
    version: int
    contact: int
    key: str
    trigger_id: str
    trigger_at_us: int
    started_at_us: int
    values: Mapping[str, Scalar]
    items: tuple[Mapping[str, Scalar], ...] = ()
    described_at_us: int = 0
    upstream_position: int = 0
    state: State = State.RUNNING
    block: str = ""
    due_at_us: int = 0
    check_position: int = 0
    message_id: str = ""
    end_reason: str = ""
    ended_at_us: int = 0
    steps: tuple[Step, ...] = ()
    part: int | None = None
    entered_at_us: int = 0
    due_local: str = ""
    ask_position: int = 0
    min_position: int = 0
    early: tuple[tuple[str, Mapping[str, Scalar]], ...] = ()
    checked: bool = field(default=False, compare=False)


def moved(run: Run, contact: int) -> Run:
    """The run as that of another contact, by a merge or because one is taken back."""
    part = run.contact if run.part is None else run.part
    return replace(run, contact=contact, part=None if part == contact else part)


def run_id_of(scenario: str, version: int, contact: int, trigger_id: str) -> str:
    """The id of the run that this trigger starts: the same trigger never makes two."""
    return _digest(scenario, str(version), str(contact), trigger_id)


def message_id_of(run: Run) -> str:
    """The id of the message that `run` sends from where it stands, for ever: made of run, step and contact."""
    return _digest(run.run_id, f"{len(run.steps)}:{run.block}", str(run.contact))


def values_of(
    run_id: str,
    trigger_id: str,
    trigger_at_us: int,
    of_trigger: Mapping[str, Scalar],
    of_scenario: Mapping[str, Scalar],
) -> dict[str, Scalar]:
    """What a run's texts and templates may name: its trigger's values, the scenario's over them, its own over all."""
    own: dict[str, Scalar] = {TRIGGER_AT: Instant(trigger_at_us), TRIGGER_ID: trigger_id, RUN_ID: run_id}
    return {**of_trigger, **of_scenario, **own}


def _digest(*parts: str) -> str:
    # Lengths stand before the parts, so that no two lists of parts give one text.
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
