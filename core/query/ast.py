"""The tree of a rule: one flat, frozen form that text and protobuf are converted to and from.

A `Tree` is a tuple of nodes in post-order: children stand before their parent, the last node is the root, and a
`Branch` names its children by index. So passes are loops, depth costs no stack, and a node's number is its name in
counts and plans. Leaves of a rule are `Condition`s; leaves of a filter are `Comparison`s or `ElementMatch`es.

Adding a condition kind: a frozen class here, its phrase in parse.py and format.py, its checks in bind.py, its meaning
in execute.py, its message in protos/cdp/segment/v1/rule.proto, and the oracle's own reading of semantics.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from core.schema import Kind, Scalar


@dataclass(frozen=True, slots=True)
class Span:
    """Where a node stands in its text: 1-based line and column of its first character."""

    line: int
    column: int


#: The place of nodes that came from no text.
NOWHERE = Span(0, 0)


class Op(Enum):
    """How a branch joins its children. EXCEPT: all of the first `k` children and none of the others (include and
    exclude lists as written). AT_LEAST: at least `k` of them."""

    AND = "and"
    OR = "or"
    NOT = "not"
    AT_LEAST = "at_least"
    EXCEPT = "except"


@dataclass(frozen=True, slots=True)
class Branch:
    """An inner node; `children` are indices of earlier nodes, in the order written."""

    op: Op
    children: tuple[int, ...]
    k: int = 0
    span: Span = field(default=NOWHERE, compare=False)


# --- operands and comparisons -------------------------------------------------------------------------------------


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
    """`attribute name`: the contact's own value as of as_of (cross reference)."""

    name: str


Operand = Literal | Parameter | AttributeOperand


class Compare(Enum):
    """How a value is compared; the number of operands is fixed by the operator (see bind.py)."""

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
    LENGTH = "length"  # operands: one number; the relation stands in `relation`
    WITHIN = "within"  # an instant or date lies in `window`


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


#: None in a condition means all time.
Window = InLast | InNext | BetweenAgo | MoreThanAgo | Absolute | Calendar


@dataclass(frozen=True, slots=True)
class Comparison:
    """`name` of whatever stands around it (contact, event, element) against operands. `ignoring_case` folds texts.
    `relation` is used by LENGTH only, `window` by WITHIN only."""

    name: str
    compare: Compare
    operands: tuple[Operand, ...] = ()
    ignoring_case: bool = False
    relation: Compare | None = None
    window: Window | None = None
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class ElementMatch:
    """`any item (...)`, `any child (...)`: some one element of the list `name` satisfies the whole filter.
    `name` is "items" for the lines of an event."""

    name: str
    filter: FilterTree
    span: Span = field(default=NOWHERE, compare=False)


FilterNode = Branch | Comparison | ElementMatch
#: Post-order; the empty tuple is no filter: everything matches.
FilterTree = tuple[FilterNode, ...]

# --- conditions: the leaves of a rule -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Everyone:
    """Every contact of the scope."""

    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class AttributeCondition:
    """A comparison, or an element match, on attributes of the contact."""

    test: Comparison | ElementMatch
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class InList:
    """The contact is on the static list `name`."""

    name: str
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class SegmentReference:
    """The contact is in the segment `name`, evaluated in its own scope. `arguments` bind a parametric target's
    parameters, sorted by name; a target's parameter that is not named takes the one of the same name here."""

    name: str
    arguments: tuple[tuple[str, Operand], ...] = ()
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class EventSelection:
    """Which events: type names (a trailing `*` is a prefix), a filter on their parameters, a window (None: ever)."""

    names: tuple[str, ...]
    filter: FilterTree = ()
    window: Window | None = None


@dataclass(frozen=True, slots=True)
class EventCount:
    """The number of selected events compared with whole numbers: EQ NE LT LE GT GE (one operand) or BETWEEN (two).
    `did E` is GE 1, `did not E` is EQ 0. `same`: the parameter of `for the same p`, or None."""

    events: EventSelection
    compare: Compare
    counts: tuple[Operand, ...]
    same: str | None = None
    span: Span = field(default=NOWHERE, compare=False)


class MessageVerb(Enum):
    """Message activity; the values are the canonical events that carry it."""

    RECEIVED = "received"
    SENT = "sent"
    OPENED = "opened"
    CLICKED = "clicked"
    BOUNCED = "bounced"
    UNSUBSCRIBED = "unsubscribed"
    COMPLAINED = "complained"


@dataclass(frozen=True, slots=True)
class MessageCount:
    """The number of distinct messages for which the verb happened by a human in the window, compared as above."""

    verb: MessageVerb
    filter: FilterTree
    window: Window | None
    compare: Compare
    counts: tuple[Operand, ...]
    span: Span = field(default=NOWHERE, compare=False)


class Function(Enum):
    """An aggregate of one parameter over the selected events."""

    SUM = "sum"
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    DISTINCT = "distinct"


@dataclass(frozen=True, slots=True)
class EventAggregate:
    """`function(event.path)` over the selected events against operands. `path` is a parameter, or "items.p" for a
    field of the lines (one value a line)."""

    function: Function
    path: str
    events: EventSelection
    compare: Compare
    operands: tuple[Operand, ...]
    span: Span = field(default=NOWHERE, compare=False)


Condition = Everyone | AttributeCondition | InList | SegmentReference | EventCount | MessageCount | EventAggregate
Node = Branch | Condition


class Scope(Enum):
    """Who is counted: contacts with a way to name them, visitors without, or both."""

    KNOWN = "known"
    ANONYMOUS = "anonymous"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Rule:
    """A whole segment: `nodes` in post-order (never empty) and the scope it is counted in."""

    nodes: tuple[Node, ...]
    scope: Scope = Scope.KNOWN
