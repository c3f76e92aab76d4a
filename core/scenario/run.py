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
    """RUNNING: about to do its block. WAITING: for `due_at_us`. SENDING: its message may be with the channel."""

    RUNNING = "running"
    WAITING = "waiting"
    SENDING = "sending"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Step:
    """What a run did in `block`: waited, true, false, sent:<id>, refused:<reason>, exit:<reason>. `position` is that
    of the profile log which the engine's answer includes; 0 without an answer."""

    block: str
    at_us: int
    outcome: str
    position: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """`block` is where it stands ("" at the end). `key` is what it is about (core.scenario.reentry).

    `values` are the parameters of its texts, `items` the lines of the trigger, both as of `described_at_us`: a trigger
    that comes again for the same key brings newer ones. `upstream_position` is that of
    ingest's log which brought the trigger. `check_position` > 0: the exit condition is still to be asked as of that
    position of the profile log. `checked`: it was asked since the run came to its block; never kept over a restart.
    `part`: the contact that the run would be of had nobody ever been merged; None: `contact`.
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
