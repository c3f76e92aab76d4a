"""What the passing of time alone can change in a rule's answer, as data: where an engine looks again, and when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from core.query.ast import (
    Absolute,
    AttributeCondition,
    AttributeOperand,
    BetweenAgo,
    Branch,
    Calendar,
    Comparison,
    Condition,
    ElementMatch,
    EventAggregate,
    EventCount,
    FilterTree,
    InLast,
    InNext,
    MessageCount,
    MessageVerb,
    MoreThanAgo,
    Operand,
    Window,
    Zone,
)
from core.query.names import BoundRule
from core.schema import Kind

#: The attribute that says where a contact's local time is.
ZONE_ATTRIBUTE = "time_zone"

#: The events that can change the answer about a verb: a bounce denies that a sent message was received, a click opens.
MESSAGE_EVENTS: Mapping[MessageVerb, tuple[str, ...]] = {
    MessageVerb.RECEIVED: ("message_bounced", "message_delivered", "message_sent"),
    MessageVerb.SENT: ("message_sent",),
    MessageVerb.OPENED: ("message_clicked", "message_opened"),
    MessageVerb.CLICKED: ("message_clicked",),
    MessageVerb.BOUNCED: ("message_bounced",),
    MessageVerb.UNSUBSCRIBED: ("message_unsubscribed",),
    MessageVerb.COMPLAINED: ("message_complained",),
}


@dataclass(frozen=True, slots=True)
class Edges:
    """Between two instants after < until, the answer about a contact can change by time alone only if

    - an event of a type in `events` (a trailing `*` is a prefix) has `occurred_at + D` in (after, until] for one of
      its offsets D (microseconds; 0 always: a fact of the future becomes valid);
    - an attribute of `attribute_writes` has a write that becomes valid there;
    - the INSTANT value v of an attribute in `instant_values` has `v + D` there for one of its offsets (which may be
      negative: `in next`);
    - the contact's earliest fact lies there (it comes to exist: for every rule);
    - a local day begins there in one of `local_days`: then the whole rule is to be evaluated anew, just at that
      instant (for CONTACT, at the midnights of all zones in use; an unset zone is the workspace's);
    - one of the absolute `instants` lies there (no condition of this version has one).
    """

    events: Mapping[str, frozenset[int]] = field(default_factory=dict)
    instant_values: Mapping[str, frozenset[int]] = field(default_factory=dict)
    attribute_writes: frozenset[str] = frozenset()
    local_days: frozenset[Zone] = frozenset()
    instants: frozenset[int] = frozenset()


def edges(bound: BoundRule) -> Edges:
    """The edges of a rule and of every segment that it refers to."""
    found = _Found({}, {}, set(), set())
    for rule in (bound, *bound.segments.values()):
        for node in rule.rule.nodes:
            if not isinstance(node, Branch):
                _of_condition(node, rule, found)
    return Edges(
        {name: frozenset(offsets) for name, offsets in sorted(found.events.items())},
        {name: frozenset(offsets) for name, offsets in sorted(found.instant_values.items())},
        frozenset(found.attribute_writes),
        frozenset(found.local_days),
    )


@dataclass(slots=True)
class _Found:
    events: dict[str, set[int]]
    instant_values: dict[str, set[int]]
    attribute_writes: set[str]
    local_days: set[Zone]


def _of_condition(condition: Condition, rule: BoundRule, found: _Found) -> None:
    match condition:
        case AttributeCondition(ElementMatch(name, matching)):
            found.attribute_writes.add(name)
            _of_filter(matching, found)
        case AttributeCondition(Comparison() as test):
            found.attribute_writes.add(test.name)
            _of_operands(test.operands, found)
            _of_attribute_window(test, rule.attributes[test.name], found)
        case EventCount(events):
            _of_events(events.names, events.filter, events.window, found)
        case EventAggregate(_, _, events, _, operands):
            _of_events(events.names, events.filter, events.window, found)
            _of_operands(operands, found)
        case MessageCount(verb, matching, window):
            _of_events(MESSAGE_EVENTS[verb], matching, window, found)


def _of_events(names: tuple[str, ...], matching: FilterTree, window: Window | None, found: _Found) -> None:
    offsets = {0} | _offsets(window)
    for name in names:
        found.events.setdefault(name, set()).update(offsets)
    _of_zone(window, found)
    _of_filter(matching, found)


def _of_filter(matching: FilterTree, found: _Found) -> None:
    for test in comparisons(matching):
        _of_operands(test.operands, found)
        if test.window is not None:
            _of_zone(test.window, found)
            if _offsets(test.window):  # only dates move inside a filter: binding refuses instants there
                found.local_days.add(Zone.WORKSPACE)


def _of_attribute_window(test: Comparison, kind: Kind, found: _Found) -> None:
    _of_zone(test.window, found)
    offsets = _offsets(test.window)
    if not offsets:
        return
    if kind is Kind.DATE:
        found.local_days.add(Zone.WORKSPACE)
        return
    if isinstance(test.window, InLast | InNext):
        offsets.add(0)
    found.instant_values.setdefault(test.name, set()).update(offsets)


def _of_operands(operands: tuple[Operand, ...], found: _Found) -> None:
    found.attribute_writes.update(operand.name for operand in operands if isinstance(operand, AttributeOperand))


def _of_zone(window: Window | None, found: _Found) -> None:
    """Calendar periods move at midnight; a contact's own zone may also be written anew."""
    if isinstance(window, Calendar):
        found.local_days.add(window.zone)
    if isinstance(window, Calendar | Absolute) and window.zone is Zone.CONTACT:
        found.attribute_writes.add(ZONE_ATTRIBUTE)


def _offsets(window: Window | None) -> set[int]:
    """When, after the instant it holds, a window takes it in or lets it go."""
    match window:
        case InLast(duration_us) | MoreThanAgo(duration_us):
            return {duration_us}
        case InNext(duration_us):
            return {-duration_us}
        case BetweenAgo(near_us, far_us):
            return {near_us, far_us}
        case _:
            return set()


def comparisons(matching: FilterTree) -> Iterator[Comparison]:
    """Every comparison of a filter, those inside of elements included."""
    for node in matching:
        if isinstance(node, Comparison):
            yield node
        elif isinstance(node, ElementMatch):
            yield from comparisons(node.filter)
