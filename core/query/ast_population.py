"""Conditions that compare a contact with the others: statistics, RFM cells, cohorts, random buckets, limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from core.query.ast_events import Function
from core.query.ast_tree import NOWHERE, Span
from core.query.ast_values import Compare, Comparison, EventSelection, Operand, Window
from core.query.interest_model import InterestModel
from core.schema import DecimalUnits


class Scope(Enum):
    """Who is counted: contacts with a way to name them, visitors without, or both."""

    KNOWN = "known"
    ANONYMOUS = "anonymous"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Population:
    """The contacts whose values a statistic is made of: those of the scope, of one base if `base` is given (its name
    is among the texts of the attribute "bases"). Binding writes the rule's own into its conditions."""

    scope: Scope
    base: str | None = None


@dataclass(frozen=True, slots=True)
class AttributeMeasure:
    """The number, instant or date that the attribute holds."""

    name: str


@dataclass(frozen=True, slots=True)
class CountMeasure:
    """The number of selected events, where there is at least one."""

    events: EventSelection


@dataclass(frozen=True, slots=True)
class AggregateMeasure:
    """An aggregate of a parameter over the selected events, where at least one has it."""

    function: Function
    path: str
    events: EventSelection


@dataclass(frozen=True, slots=True)
class EventTime:
    """The instant of the latest selected event, or with `first` of the earliest, where there is one."""

    events: EventSelection
    first: bool = False


@dataclass(frozen=True, slots=True)
class Interest:
    """The score of `value` (a text or a parameter) in the interest model `model`, where it is above 0; without a value
    the text that has the highest score (see core.query.leaves.interests). Binding writes the model into `of`."""

    model: str
    value: Operand | None = None
    of: InterestModel | None = None


Measure = AttributeMeasure | CountMeasure | AggregateMeasure | EventTime | Interest


@dataclass(frozen=True, slots=True)
class MeasureCondition:
    """A contact's own measure compared as an attribute is; the name of `test` is how errors call it. As written, the
    measure is an interest; binding also makes of it what is asked of a computed attribute. A number of events, a sum, a
    number of different values and a score are 0 where they do not exist, all others are missing."""

    measure: Measure
    test: Comparison
    span: Span = field(default=NOWHERE, compare=False)


class Standard(Enum):
    """What a measure is compared with. AVERAGE: the mean over contacts; EVENT_AVERAGE: the sum of all values over
    the number of values (aggregates of numbers only); TOP and BOTTOM: the best (least) `percent` of contacts;
    PERCENTILE: the value of the max(1, ceil(percent * n / 100))-th smallest (median: 50)."""

    AVERAGE = "average"
    EVENT_AVERAGE = "average of events"
    TOP = "top"
    BOTTOM = "bottom"
    PERCENTILE = "percentile"


@dataclass(frozen=True, slots=True)
class PopulationCondition:
    """A contact's measure against its population's. `compare` is one of LT LE GT GE EQ NE for AVERAGE, EVENT_AVERAGE
    and PERCENTILE (`above average` is GT, `below average` LT) and GE for TOP and BOTTOM; `percent` is set for TOP,
    BOTTOM and PERCENTILE (above 0, at most 100). A contact without the measure is in none."""

    measure: Measure
    standard: Standard
    compare: Compare
    percent: DecimalUnits | None = None
    population: Population | None = None
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class RfmInCell:
    """The contact is in one of the named `cells` of the RFM model `model` (see rfm_model.py). "other": in no cell;
    "none": no matching event."""

    model: str
    cells: tuple[str, ...]
    population: Population | None = None
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class RfmMoved:
    """In one of `before` at as_of - duration and in one of `after` at as_of; an empty tuple is any cell, but a move is
    between two different cells."""

    model: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    duration_us: int
    population: Population | None = None
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class InCohort:
    """The first of `events` ever lies in `window` (in the past, not bounded by other events). `events` None: the
    contact was added then (its earliest fact)."""

    events: EventSelection | None
    window: Window
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class RandomBucket:
    """Bucket of `salt`, 0 to 9,999, both ends inclusive."""

    low: int
    high: int
    salt: str
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` members: the first by hash of `salt`, or the best by `by` (the largest first, or the smallest),
    those without a value out, ties by hash, then contact id."""

    count: int
    by: Measure | None = None
    smallest: bool = False
    salt: str = ""
