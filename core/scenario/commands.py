"""What a run may need of the world: the commands of the machine, one at a time.

The run must be kept before a command of `Telling` is done: the id in it, which is made of the run and the step, makes a
repetition harmless.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from core.schema import Scalar


class Question(Enum):
    """What is asked of the engine: the scenario's exit condition, or the condition of a block."""

    EXIT = "exit"
    CONDITION = "condition"


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Come back with `TimerDue` at `due_at_us`."""

    due_at_us: int


@dataclass(frozen=True, slots=True)
class AskCondition:
    """Ask whether the contact is in `text` now, including the profile log up to `min_position`. `parameters` are
    those values of the run that the text names."""

    question: Question
    contact: int
    text: str
    parameters: Mapping[str, Scalar]
    min_position: int


@dataclass(frozen=True, slots=True)
class AskContact:
    """Ask who the contact is, and for the values of `attributes`, including ingest's log up to `upstream_position`."""

    contact: int
    attributes: tuple[str, ...]
    upstream_position: int


@dataclass(frozen=True, slots=True)
class TakeTurn:
    """Take the scenario's next turn to send, of so many a minute."""

    a_minute: int


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Hand this message to its channel. `alternatives` are (channel, template), tried in this order by the channel when
    the one before is refused, or not delivered within `patience_us` > 0. Nothing is sent after `expires_at_us`."""

    message_id: str
    contact: int
    channel: str
    template: str
    kind: str
    values: Mapping[str, Scalar]
    items: tuple[Mapping[str, Scalar], ...]
    step: str
    upstream_position: int
    content: str = ""
    expires_at_us: int = 0
    category: str = ""
    alternatives: tuple[tuple[str, str], ...] = ()
    by_preference: bool = False
    patience_us: int = 0


@dataclass(frozen=True, slots=True)
class ChangeContact:
    """Tell ingest of a change of the contact, as of `at_us`: the attribute `name` has `value` (None: it is removed),
    or, where there is no name, lists joined and left."""

    message_id: str
    contact: int
    at_us: int
    name: str = ""
    value: Scalar | None = None
    joined: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TakeCoupon:
    """Have a coupon of `pool` issued to the contact."""

    message_id: str
    contact: int
    pool: str


@dataclass(frozen=True, slots=True)
class StartRun:
    """Start a run of another scenario for the same contact, by the trigger `trigger_id`."""

    message_id: str
    trigger_id: str
    contact: int
    scenario: str
    values: Mapping[str, Scalar]
    items: tuple[Mapping[str, Scalar], ...]


@dataclass(frozen=True, slots=True)
class End:
    """The run is over; it has no timer any more."""

    reason: str


#: Commands by which other services are told something.
Telling = SendMessage | ChangeContact | TakeCoupon | StartRun
#: Commands that a run waits to be done, all but a timer and the end.
Work = AskCondition | AskContact | TakeTurn | Telling
Command = SetTimer | Work | End
