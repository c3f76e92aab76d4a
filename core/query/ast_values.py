"""Operands, comparisons, windows and filters: the parts that conditions are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from core.query.ast_tree import NOWHERE, Branch, Span
from core.schema import DecimalUnits, Kind, Scalar

if TYPE_CHECKING:
    from core.query.ast_population import Measure

# --- operands -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Literal:
    """A value as written; binding turns it into the kind of what it is compared with."""

    value: Scalar


@dataclass(frozen=True, slots=True)
class Parameter:
    """`:name`, bound at evaluation. Binding infers `kind`; None before."""

    name: str
    kind: Kind | None = None


@dataclass(frozen=True, slots=True)
class AttributeOperand:
    """`attribute name`: the contact's own value as of as_of (cross reference). Binding writes into it what a computed
    attribute is the number of; None for one that facts write."""

    name: str
    measure: Measure | None = None


@dataclass(frozen=True, slots=True)
class AttributeAtEvent:
    """`attribute name at the event`: the contact's value as of the filtered event. Only in filters of events."""

    name: str


@dataclass(frozen=True, slots=True)
class StepOperand:
    """`v.product_id`: parameter `path` of the event matched by an earlier positive step named `step`. Only in filters
    of later steps of a sequence."""

    step: str
    path: str


Operand = Literal | Parameter | AttributeOperand | AttributeAtEvent | StepOperand

# --- words of comparison ------------------------------------------------------------------------------------------


class Compare(Enum):
    """How a value is compared; the number of operands is fixed by the operator (see shape_values.py)."""

    EQ = "="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    BETWEEN = "between"
    IN = "in"
    NOT_IN = "not in"
    CONTAINS = "contains"
    NOT_CONTAINS = "does not contain"
    STARTS = "starts with"
    ENDS = "ends with"
    MATCHES = "matches"
    MISSING = "is missing"
    PRESENT = "is present"
    HAS_ANY = "has any"
    HAS_ALL = "has all"
    HAS_NONE = "has none"
    LENGTH = "length"  # of a list; operands: numbers for the relation that stands in `relation`
    WITHIN = "within"  # an instant or date lies in `window`
    ANNIVERSARY = "has anniversary"  # a date or instant has one in `window` (InLast, InNext or OnDay, whole days)
    AGE = "age"  # completed years since a date or instant; operands and `relation` as for LENGTH
    AT = "at"  # an instant (a date: weekdays only) falls on the weekdays and hours of `moments`
    DISTANCE = "within distance"  # a location lies in `circle`


class Zone(Enum):
    """Whose local time calendar words mean."""

    WORKSPACE = "workspace"
    UTC = "utc"
    CONTACT = "contact"


class Period(Enum):
    """A calendar period; weeks start on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Moments:
    """Weekdays (1 Monday to 7 Sunday, ascending; none: every day) and hours of the local day. `hours` are two whole
    seconds of the day, 0 to 86,400, `[from, until)`; until <= from wraps midnight (its part after midnight belongs to
    the weekday that then is); None: the whole day. At least one of both is given."""

    weekdays: tuple[int, ...] = ()
    hours: tuple[int, int] | None = None
    zone: Zone = Zone.WORKSPACE


@dataclass(frozen=True, slots=True)
class Circle:
    """Everything at most `radius_mm` millimetres from a point, by haversine; degrees in units of 1e-7."""

    latitude_e7: int
    longitude_e7: int
    radius_mm: int


# --- windows ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InLast:
    """`(as_of - duration, as_of]`."""

    duration_us: int


@dataclass(frozen=True, slots=True)
class InNext:
    """`(as_of, as_of + duration]`, for attributes."""

    duration_us: int


@dataclass(frozen=True, slots=True)
class BetweenAgo:
    """`(as_of - far, as_of - near]` with near < far."""

    near_us: int
    far_us: int


@dataclass(frozen=True, slots=True)
class MoreThanAgo:
    """`(-inf, as_of - duration]`."""

    duration_us: int


@dataclass(frozen=True, slots=True)
class Absolute:
    """`[start, until)`, either end may be None. Operands are instants, dates (the first instant of that local day) or
    parameters. `through`: `until` is a date whose whole local day still belongs to the window."""

    start: Operand | None
    until: Operand | None
    through: bool = False
    zone: Zone = Zone.WORKSPACE


@dataclass(frozen=True, slots=True)
class Calendar:
    """offset 0: this period (`count` is 1); offset -1: the last `count` complete ones; +1: the next `count`."""

    period: Period
    offset: int
    count: int
    zone: Zone = Zone.WORKSPACE


@dataclass(frozen=True, slots=True)
class OnDay:
    """The local day `offset` days after today (negative: before); of dates and anniversaries."""

    offset: int


@dataclass(frozen=True, slots=True)
class SinceLast:
    """`(b, as_of]` with b the latest of `events` (which have no window) at or before as_of. With no b the condition
    that has this window is false, negative ones included. Events only."""

    events: EventSelection


@dataclass(frozen=True, slots=True)
class UntilFirst:
    """`(-inf, b)` with b the earliest of `events` (which have no window). With no b the condition is false."""

    events: EventSelection


#: None in a condition means all time.
Window = InLast | InNext | BetweenAgo | MoreThanAgo | Absolute | Calendar | OnDay | SinceLast | UntilFirst

# --- comparisons and filters --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Comparison:
    """`name` of whatever stands around it (contact, event, element) against operands. `ignoring_case` folds texts.
    `relation` (EQ NE LT LE GT GE BETWEEN) is used by LENGTH and AGE, `window` by WITHIN and ANNIVERSARY, `moments` by
    AT, `circle` by DISTANCE; `zone` says whose today ANNIVERSARY, AGE and rolling windows on dates mean."""

    name: str
    compare: Compare
    operands: tuple[Operand, ...] = ()
    ignoring_case: bool = False
    relation: Compare | None = None
    window: Window | None = None
    moments: Moments | None = None
    circle: Circle | None = None
    zone: Zone = Zone.WORKSPACE
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class ElementMatch:
    """`any item (...)`, `any child (...)`: some one element of the list `name` satisfies the whole filter; with `every`
    all elements do (true of an empty list, false of a missing one). `name` is "items" for the lines of an event."""

    name: str
    filter: FilterTree
    every: bool = False
    span: Span = field(default=NOWHERE, compare=False)


FilterNode = Branch | Comparison | ElementMatch
#: Post-order; the empty tuple is no filter: everything matches.
FilterTree = tuple[FilterNode, ...]


class Stock(Enum):
    """States of a product; semantics.md says what each means. LOW is above 0 and at most the workspace's limit."""

    IN_STOCK = "in stock"
    OUT_OF_STOCK = "out of stock"
    LOW = "low in stock"
    LAST_ITEM = "the last item"
    ON_PROMOTION = "on promotion"


@dataclass(frozen=True, slots=True)
class ProductCondition:
    """Something about the product of an event (of its `product_id`, or of one line's): its `state` at the event or as
    of as_of, or that its price now is lower by at least `price_drop` percent than the event's. Exactly one of `state`
    and `price_drop` is given; `at_event` goes with `state`. Unknown, deleted, stock-unknown products make it false."""

    state: Stock | None = None
    at_event: bool = False
    price_drop: DecimalUnits | None = None
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class EventSelection:
    """Which events: type names (a trailing `*` is a prefix), a filter on their parameters, a window (None: ever),
    weekdays and hours, conditions on the product (some one line, or the event itself, satisfies all of them), and
    whether those of machines count."""

    names: tuple[str, ...]
    filter: FilterTree = ()
    window: Window | None = None
    moments: Moments | None = None
    products: tuple[ProductCondition, ...] = ()
    with_machines: bool = False
