"""What a marketer writes: a trigger, blocks, an exit condition and how often somebody may run through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from core.clock import DAY_US, HOUR_US
from core.schema import Scalar

#: Facts older than this when they are accepted start nothing, unless the trigger says otherwise.
DEFAULT_MAX_AGE_US = HOUR_US
#: A message that was not sent this long after it was handed over is not sent any more.
DEFAULT_EXPIRY_US = 3 * DAY_US
#: The reasons for which a message may be sent.
MESSAGE_KINDS = ("promo", "trigger", "transactional")


class Reentry(Enum):
    """How many runs a contact may have for one key (see core.scenario.reentry)."""

    ONE_AT_A_TIME = "one_at_a_time"
    ONCE = "once"
    ALWAYS = "always"
    #: One at a time, and the next one `reentry_after_us` after the former one ended.
    AFTER = "after"


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
class RfmTrigger:
    """Moving between cells of a saved RFM model; no cells: any."""

    model: str
    from_cells: tuple[str, ...] = ()
    to_cells: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FieldTrigger:
    """An attribute changes from one value to another; None: from or to any, missing included. With `held_for_us` > 0
    only if it still has the new value after that time. The run knows `:old` and `:new`, where they are no lists."""

    attribute: str
    old: Scalar | None = None
    new: Scalar | None = None
    held_for_us: int = 0


@dataclass(frozen=True, slots=True)
class ScheduleTrigger:
    """For everybody in `segment` at the instants of `cron` (five fields) in `zone` (IANA; empty: the workspace's), from
    `not_before_us` on (0: from activation) until `until_us`, exclusive (0: for ever)."""

    segment: str
    cron: str
    zone: str = ""
    not_before_us: int = 0
    until_us: int = 0


@dataclass(frozen=True, slots=True)
class ProductTrigger:
    """A product changes in one of the ways `changes` (names of core.events.facts.ProductChangeKind in lower case); a
    run for each contact of the parametric `segment`, its parameter `product_id` bound, and product."""

    changes: tuple[str, ...]
    segment: str
    at_least_percent_units: int = 0


@dataclass(frozen=True, slots=True)
class ApiTrigger:
    """A call, or another scenario, starts it; `required` values must be given."""

    required: tuple[str, ...] = ()


Trigger = EventTrigger | SegmentTrigger | RfmTrigger | FieldTrigger | ScheduleTrigger | ProductTrigger | ApiTrigger


@dataclass(frozen=True, slots=True)
class LocalTime:
    """The next `minute` of the day (0 to 1439), strictly after the instant asked about, on one of `weekdays` (0 is
    Monday; none: any), in the contact's zone or the workspace's."""

    minute: int
    weekdays: tuple[int, ...] = ()
    workspace_zone: bool = False


@dataclass(frozen=True, slots=True)
class DateAttribute:
    """The date or instant that `attribute` holds, shifted by `offset_us`; of a date the `minute` of the contact's day;
    `yearly`: the next anniversary. In the past, or without a value: on at once by `when_missing` (empty: next)."""

    attribute: str
    offset_us: int = 0
    minute: int = 0
    yearly: bool = False
    when_missing: str = ""


@dataclass(frozen=True, slots=True)
class Wait:
    """Stand still for `duration_us` > 0, counted from the instant at which the run comes here, or until `until`."""

    duration_us: int
    next: str = ""
    until: LocalTime | DateAttribute | None = None


@dataclass(frozen=True, slots=True)
class WaitFor:
    """Stand still until an event of the contact that passes the filter, or until the segment `condition` holds (asked
    on arrival, at every event of a type that it names, when what it reads of the contact or of products changes, and at
    the end); for `timeout_us` at most. Scalar parameters of the event become values named `<store_as>_<name>`."""

    timeout_us: int
    event: EventTrigger | None = None
    condition: str = ""
    store_as: str = ""
    when_met: str = ""
    when_timeout: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """Ask whether the contact is in the segment `text`, with the run's values as parameters."""

    text: str
    when_true: str = ""
    when_false: str = ""


@dataclass(frozen=True, slots=True)
class Branch:
    """A way out of a split for `share` of 10,000 contacts."""

    share: int
    next: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Split:
    """Divide contacts by a stable draw (core.scenario.draw); the shares are together 10,000."""

    branches: tuple[Branch, ...]
    salt: str = ""


@dataclass(frozen=True, slots=True)
class Control:
    """`share` of 10,000 contacts are the control group: they go on at `when_in`, or end (reason "control") where it is
    empty. `whole_workspace`: the one group that is the same for every scenario."""

    share: int
    whole_workspace: bool = False
    when_in: str = ""
    next: str = ""


@dataclass(frozen=True, slots=True)
class Send:
    """Hand one message to a channel. What becomes of it does not change the way of the run. `content`: what is
    advertised, with values as ":cart_id"; a contact gets the same content once. It is not sent any more
    `expires_after_us` after it was handed over."""

    channel: str
    template: str
    kind: str = "trigger"
    next: str = ""
    content: str = ""
    expires_after_us: int = DEFAULT_EXPIRY_US


@dataclass(frozen=True, slots=True)
class SendGroup:
    """One message by the first of two to eight `options` that works: refused ones, and with `patience_us` > 0 those not
    delivered in that time, give way to the next. `by_preference`: the contact's preferred channel first. Kind, content
    and expiry are the first option's."""

    options: tuple[Send, ...]
    by_preference: bool = False
    patience_us: int = 0
    next: str = ""


@dataclass(frozen=True, slots=True)
class SetAttribute:
    """Give the contact's attribute a value: `value`, or the run's value named `from_value`; neither: remove it."""

    name: str
    value: Scalar | None = None
    from_value: str = ""
    next: str = ""


@dataclass(frozen=True, slots=True)
class ChangeLists:
    """Put the contact on lists, and take it off others, in one fact."""

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    next: str = ""


@dataclass(frozen=True, slots=True)
class IssueCoupon:
    """A coupon of `pool`, once for this run and block; its code is the run's value `store_as`. `when_empty`: no coupon
    is left, or the person may have no more."""

    pool: str
    store_as: str = "coupon"
    next: str = ""
    when_empty: str = ""


@dataclass(frozen=True, slots=True)
class CallWebhook:
    """Post the webhook `template`, and wait for the answer: its scalar JSON fields become values named
    `<store_as>_<name>`. Refused, or no answer within `timeout_us`: `when_failed` (empty: next)."""

    template: str
    store_as: str = "answer"
    timeout_us: int = HOUR_US
    next: str = ""
    when_failed: str = ""


@dataclass(frozen=True, slots=True)
class StartScenario:
    """Start a run of another scenario, which has an `api` trigger, for the same contact; hand over the run's `values`
    (none named: those of its trigger). What becomes of it does not change the way of this run."""

    scenario: str
    values: tuple[str, ...] = ()
    next: str = ""


@dataclass(frozen=True, slots=True)
class Exit:
    """End the run."""

    reason: str = ""


Action = (
    Wait
    | WaitFor
    | Condition
    | Split
    | Control
    | Send
    | SendGroup
    | SetAttribute
    | ChangeLists
    | IssueCoupon
    | CallWebhook
    | StartScenario
    | Exit
)


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

    trigger: Trigger
    blocks: tuple[Block, ...]
    exit_when: str = ""
    reentry: Reentry = Reentry.ONE_AT_A_TIME
    max_age_us: int = DEFAULT_MAX_AGE_US
    values: Mapping[str, Scalar] = field(default_factory=dict)
    description: str = ""
    paused: bool = False
    #: Causes of membership changes that start runs beside event, time and catalogue.
    causes: tuple[str, ...] = ()
    reentry_after_us: int = 0
    #: The greatest number of runs ever started, and of messages a minute over all runs; 0: no limit.
    entries_limit: int = 0
    sends_per_minute: int = 0
    category: str = ""
