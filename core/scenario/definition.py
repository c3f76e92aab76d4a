"""What a marketer writes: a trigger, blocks, an exit condition and how often somebody may run through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from core.clock import HOUR_US
from core.schema import Scalar

#: Facts older than this when they are accepted start nothing, unless the trigger says otherwise.
DEFAULT_MAX_AGE_US = HOUR_US
#: The reasons for which a message may be sent.
MESSAGE_KINDS = ("promo", "trigger", "transactional")


class Reentry(Enum):
    """How many runs a contact may have for one key (see core.scenario.reentry)."""

    ONE_AT_A_TIME = "one_at_a_time"
    ONCE = "once"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class EventTrigger:
    """An event of `type` that passes `filter`: the inside of `did type (...)` in the segment language."""

    type: str
    filter: str = ""


@dataclass(frozen=True, slots=True)
class SegmentTrigger:
    """Entering (or leaving) a segment because of an event, of passing time or of the catalogue."""

    segment: str
    on_leave: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """Stand still for `duration_us` > 0, counted from the instant at which the run comes here."""

    duration_us: int
    next: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """Ask whether the contact is in the segment `text`, with the run's values as parameters."""

    text: str
    when_true: str = ""
    when_false: str = ""


@dataclass(frozen=True, slots=True)
class Send:
    """Hand one message to a channel. What becomes of it does not change the way of the run."""

    channel: str
    template: str
    kind: str = "trigger"
    next: str = ""


@dataclass(frozen=True, slots=True)
class Exit:
    """End the run."""

    reason: str = ""


Action = Wait | Condition | Send | Exit


@dataclass(frozen=True, slots=True)
class Block:
    """One step. A successor that is left empty is the block that follows in the list, after the last one the end."""

    id: str
    action: Action


@dataclass(frozen=True, slots=True)
class Definition:
    """A scenario as saved; the first block is where a run starts.

    `exit_when`: a segment text that ends a run as soon as it holds; empty: never. `values`: what every run has beside
    the values of its trigger. A paused scenario starts nothing and its runs stand still.
    """

    trigger: EventTrigger | SegmentTrigger
    blocks: tuple[Block, ...]
    exit_when: str = ""
    reentry: Reentry = Reentry.ONE_AT_A_TIME
    max_age_us: int = DEFAULT_MAX_AGE_US
    values: Mapping[str, Scalar] = field(default_factory=dict)
    description: str = ""
    paused: bool = False
