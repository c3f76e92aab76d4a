"""The tree of a rule: one flat, frozen form that text and protobuf are converted to and from.

A `Tree` is a tuple of nodes in post-order: children stand before their parent, the last node is the root, and a
`Branch` names its children by index. So passes are loops, depth costs no stack, and a node's number is its name in
counts and plans. Leaves of a rule are `Condition`s; leaves of a filter are `Comparison`s or `ElementMatch`es.

The parts stand in ast_tree (branches), ast_values (operands, windows, comparisons, filters, selections of events),
ast_events, ast_population and ast_history (conditions); everything is imported from here.

Adding a condition kind: a frozen class in one of them, its name in `Condition` below, its phrase in text/parse_*.py
and text/format_*.py, shape and binding in binding/, its meaning in leaves/leaf_*.py with one case in execute.py,
what can change it in edges.py (touches.py where it may hold of nobody), its message in
protos/cdp/segment/v1/rule.proto, and the oracle's own reading of semantics.md. tests/property/coverage.py names the
class that lacks a property.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from core.query.ast_events import (
    Daypart as Daypart,
)
from core.query.ast_events import (
    EventAggregate as EventAggregate,
)
from core.query.ast_events import (
    EventCount as EventCount,
)
from core.query.ast_events import (
    FirstTime as FirstTime,
)
from core.query.ast_events import (
    Function as Function,
)
from core.query.ast_events import (
    MessageCount as MessageCount,
)
from core.query.ast_events import (
    MessageVerb as MessageVerb,
)
from core.query.ast_events import (
    PickedEvent as PickedEvent,
)
from core.query.ast_events import (
    Regularly as Regularly,
)
from core.query.ast_events import (
    Restarted as Restarted,
)
from core.query.ast_events import (
    Sequence as Sequence,
)
from core.query.ast_events import (
    Step as Step,
)
from core.query.ast_events import (
    Stopped as Stopped,
)
from core.query.ast_events import (
    Trend as Trend,
)
from core.query.ast_history import (
    Changed as Changed,
)
from core.query.ast_history import (
    Group as Group,
)
from core.query.ast_history import (
    HasBeen as HasBeen,
)
from core.query.ast_history import (
    HasBeenIn as HasBeenIn,
)
from core.query.ast_history import (
    Reachable as Reachable,
)
from core.query.ast_history import (
    WasIn as WasIn,
)
from core.query.ast_population import (
    AggregateMeasure as AggregateMeasure,
)
from core.query.ast_population import (
    AttributeMeasure as AttributeMeasure,
)
from core.query.ast_population import (
    CountMeasure as CountMeasure,
)
from core.query.ast_population import (
    EventTime as EventTime,
)
from core.query.ast_population import (
    InCohort as InCohort,
)
from core.query.ast_population import (
    Interest as Interest,
)
from core.query.ast_population import (
    Limit as Limit,
)
from core.query.ast_population import (
    Measure as Measure,
)
from core.query.ast_population import (
    MeasureCondition as MeasureCondition,
)
from core.query.ast_population import (
    Population as Population,
)
from core.query.ast_population import (
    PopulationCondition as PopulationCondition,
)
from core.query.ast_population import (
    RandomBucket as RandomBucket,
)
from core.query.ast_population import (
    RfmInCell as RfmInCell,
)
from core.query.ast_population import (
    RfmMoved as RfmMoved,
)
from core.query.ast_population import (
    Scope as Scope,
)
from core.query.ast_population import (
    Standard as Standard,
)
from core.query.ast_tree import (
    NOWHERE as NOWHERE,
)
from core.query.ast_tree import (
    Branch as Branch,
)
from core.query.ast_tree import (
    Op as Op,
)
from core.query.ast_tree import (
    Span as Span,
)
from core.query.ast_values import (
    Absolute as Absolute,
)
from core.query.ast_values import (
    AttributeAtEvent as AttributeAtEvent,
)
from core.query.ast_values import (
    AttributeOperand as AttributeOperand,
)
from core.query.ast_values import (
    BetweenAgo as BetweenAgo,
)
from core.query.ast_values import (
    Calendar as Calendar,
)
from core.query.ast_values import (
    Circle as Circle,
)
from core.query.ast_values import (
    Compare as Compare,
)
from core.query.ast_values import (
    Comparison as Comparison,
)
from core.query.ast_values import (
    ElementMatch as ElementMatch,
)
from core.query.ast_values import (
    EventSelection as EventSelection,
)
from core.query.ast_values import (
    FilterNode as FilterNode,
)
from core.query.ast_values import (
    FilterTree as FilterTree,
)
from core.query.ast_values import (
    InLast as InLast,
)
from core.query.ast_values import (
    InNext as InNext,
)
from core.query.ast_values import (
    Literal as Literal,
)
from core.query.ast_values import (
    Moments as Moments,
)
from core.query.ast_values import (
    MoreThanAgo as MoreThanAgo,
)
from core.query.ast_values import (
    OnDay as OnDay,
)
from core.query.ast_values import (
    Operand as Operand,
)
from core.query.ast_values import (
    Parameter as Parameter,
)
from core.query.ast_values import (
    Period as Period,
)
from core.query.ast_values import (
    ProductCondition as ProductCondition,
)
from core.query.ast_values import (
    SinceLast as SinceLast,
)
from core.query.ast_values import (
    StepOperand as StepOperand,
)
from core.query.ast_values import (
    Stock as Stock,
)
from core.query.ast_values import (
    UntilFirst as UntilFirst,
)
from core.query.ast_values import (
    Window as Window,
)
from core.query.ast_values import (
    Zone as Zone,
)

# --- conditions on attributes and membership; the others stand in the modules above -------------------------------


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


Condition = (
    Everyone
    | AttributeCondition
    | InList
    | SegmentReference
    | EventCount
    | MessageCount
    | EventAggregate
    | FirstTime
    | PickedEvent
    | Stopped
    | Restarted
    | Regularly
    | Trend
    | Sequence
    | MeasureCondition
    | PopulationCondition
    | RfmInCell
    | RfmMoved
    | InCohort
    | HasBeen
    | Changed
    | WasIn
    | HasBeenIn
    | Reachable
    | RandomBucket
)
Node = Branch | Condition


@dataclass(frozen=True, slots=True)
class Rule:
    """A whole segment: `nodes` in post-order (never empty), the scope it is counted in, the base that it keeps to
    (None: all), and its limit, which applies after everything else."""

    nodes: tuple[Node, ...]
    scope: Scope = Scope.KNOWN
    base: str | None = None
    limit: Limit | None = None
