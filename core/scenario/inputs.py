"""What may happen to a run: the inputs of the machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.events.columns import Event as ContactEvent
from core.scenario.commands import Question
from core.schema import Scalar, Value

#: Events by which a channel tells what became of a webhook; both name its `message_id`.
WEBHOOK_ANSWERED, WEBHOOK_FAILED = "webhook_answered", "webhook_failed"
#: Before the names of a webhook's answer.
ANSWER_PREFIX = "answer_"


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
class ContactTold:
    """Who `contact` is, as the profile service knows it now: the public id `key`, the zone (the workspace's where that
    of the contact is unknown), and those of the attributes asked for that there are."""

    contact: int
    workspace: str
    key: str
    zone: str
    workspace_zone: str
    attributes: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TurnTaken:
    """The run may send from `at_us` on."""

    at_us: int


@dataclass(frozen=True, slots=True)
class Sent:
    """The channel took the message over, or refused it for good with a reason."""

    message_id: str
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """What another service was told is done, or was refused for good. `result`: a coupon's code, a run's id. What it
    changed stands at `upstream_position` of ingest's log, and at `position` of the profile log at the latest."""

    message_id: str
    refusal: str = ""
    result: str = ""
    upstream_position: int = 0
    position: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """Facts of the contact that may change every answer (a merge, say) stand at `position` of the profile log."""

    position: int


@dataclass(frozen=True, slots=True)
class Happened:
    """`event` of the contact stands at `position` of the profile log, which accepted it at `recorded_at_us`; `zone` is
    the workspace's. Given for events that `machine.wants`; any other changes nothing."""

    event: ContactEvent
    position: int
    recorded_at_us: int
    zone: str


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


Input = Started | TimerDue | Answered | ContactTold | TurnTaken | Sent | Done | Event | Happened | Refreshed | Stopped
