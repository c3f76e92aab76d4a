"""What the passing of time alone can change in a rule's answer, as data: where an engine looks again, and when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from core.query.ast import (
    AggregateMeasure,
    AttributeAtEvent,
    AttributeCondition,
    AttributeMeasure,
    AttributeOperand,
    BetweenAgo,
    Branch,
    Calendar,
    Changed,
    Compare,
    Comparison,
    Condition,
    CountMeasure,
    ElementMatch,
    EventSelection,
    EventTime,
    FirstTime,
    Group,
    HasBeen,
    HasBeenIn,
    InCohort,
    InLast,
    InList,
    InNext,
    Interest,
    Measure,
    MeasureCondition,
    MessageCount,
    MessageVerb,
    Moments,
    MoreThanAgo,
    OnDay,
    PopulationCondition,
    Regularly,
    Restarted,
    RfmInCell,
    RfmMoved,
    Sequence,
    SinceLast,
    Stopped,
    Trend,
    UntilFirst,
    WasIn,
    Window,
    Zone,
)
from core.query.names import BoundRule
from core.query.rfm_model import RfmModel
from core.query.walk import comparisons, parts_of, selections
from core.schema import Kind

#: The attribute that says where a contact's local time is.
ZONE_ATTRIBUTE = "time_zone"
#: The attribute that says to which bases a contact belongs.
BASES_ATTRIBUTE = "bases"
#: The events that say who is in a scenario, and who was.
SCENARIO_EVENTS = ("scenario_entered", "scenario_left")
MESSAGE_SENT = "message_sent"

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

Offsets = frozenset[int]


@dataclass(frozen=True, slots=True)
class Edges:
    """Between two instants after < until, the answer about a contact can change by time alone only if

    - an event of a type in `events` (a trailing `*` is a prefix) has `occurred_at + D` in (after, until] for one of
      its offsets D (microseconds; 0 always: a fact of the future becomes valid);
    - a write of an attribute in `attribute_writes`, a change of a list in `lists`, or a recorded change of a segment
      in `histories` has `instant + D` there for one of its offsets;
    - the INSTANT value v of an attribute in `instant_values` has `v + D` there for one of its offsets (which may be
      negative: `in next`);
    - the contact's earliest fact has `instant + D` there for D = 0 (it comes to exist: for every rule) or one of the
      offsets `existence`;
    - with `products`, the state of a product that the contact's events name begins there;
    - a local day begins there in one of `local_days`: then the whole rule is to be evaluated anew, just at that
      instant (for CONTACT, at the midnights of all zones in use; an unset zone is the workspace's).

    `together`: contacts decide about each other (a limit): whenever one is due, the whole rule is to be evaluated.
    """

    events: Mapping[str, Offsets] = field(default_factory=dict)
    instant_values: Mapping[str, Offsets] = field(default_factory=dict)
    attribute_writes: Mapping[str, Offsets] = field(default_factory=dict)
    lists: Mapping[str, Offsets] = field(default_factory=dict)
    histories: Mapping[str, Offsets] = field(default_factory=dict)
    existence: Offsets = frozenset()
    local_days: frozenset[Zone] = frozenset()
    products: bool = False
    together: bool = False


def edges(bound: BoundRule) -> Edges:
    """The edges of a rule and of every segment that it refers to."""
    found = _Found()
    for rule in (bound, *bound.segments.values()):
        for node in rule.rule.nodes:
            if not isinstance(node, Branch):
                _of_condition(node, rule, found)
        if rule.rule.base is not None:
            found.write(BASES_ATTRIBUTE)
        if rule.rule.limit is not None:
            found.together = True
            if rule.rule.limit.by is not None:
                _of_operands(rule.rule.limit.by, found)
                _of_measure(rule.rule.limit.by, found)
    return found.edges()


@dataclass(slots=True)
class _Found:
    events: dict[str, set[int]] = field(default_factory=dict)
    instant_values: dict[str, set[int]] = field(default_factory=dict)
    attribute_writes: dict[str, set[int]] = field(default_factory=dict)
    lists: dict[str, set[int]] = field(default_factory=dict)
    histories: dict[str, set[int]] = field(default_factory=dict)
    existence: set[int] = field(default_factory=set)
    local_days: set[Zone] = field(default_factory=set)
    products: bool = False
    together: bool = False

    def event(self, names: Iterable[str], offsets: Iterable[int] = ()) -> None:
        """These events matter now and these offsets later."""
        for name in names:
            self.events.setdefault(name, set()).update((0, *offsets))

    def write(self, name: str, offsets: Iterable[int] = ()) -> None:
        """The same for writes of an attribute."""
        self.attribute_writes.setdefault(name, set()).update((0, *offsets))

    def days(self, zone: Zone) -> None:
        """Local midnights matter; a contact's own zone may also be written anew."""
        self.local_days.add(zone)
        self.zone(zone)

    def zone(self, zone: Zone) -> None:
        """The zone is read."""
        if zone is Zone.CONTACT:
            self.write(ZONE_ATTRIBUTE)

    def edges(self) -> Edges:
        """What was found, frozen."""
        return Edges(
            _frozen(self.events),
            _frozen(self.instant_values),
            _frozen(self.attribute_writes),
            _frozen(self.lists),
            _frozen(self.histories),
            frozenset(self.existence),
            frozenset(self.local_days),
            self.products,
            self.together,
        )


def _frozen(offsets: Mapping[str, set[int]]) -> dict[str, Offsets]:
    return {name: frozenset(one) for name, one in sorted(offsets.items())}


def _of_condition(condition: Condition, rule: BoundRule, found: _Found) -> None:
    for selection in selections(condition):
        _of_selection(selection, found)
    for test in comparisons(condition):
        is_own = isinstance(condition, AttributeCondition) and test is condition.test
        of_instant = is_own and rule.attributes[test.name] is Kind.INSTANT
        if isinstance(condition, MeasureCondition) and test is condition.test:
            of_instant = isinstance(condition.measure, EventTime)
        _of_zones(test, found, of_instant=of_instant)
    _of_operands(condition, found)
    for moments in parts_of(condition, Moments):
        found.zone(moments.zone)
    match condition:
        case AttributeCondition(ElementMatch(name)):
            found.write(name)
        case AttributeCondition(Comparison() as test):
            found.write(test.name)
            _of_attribute_window(test, rule.attributes[test.name], found)
        case MeasureCondition(EventTime(events), test):
            found.event(events.names, {offset for offset in _offsets(test.window) if offset >= 0})
        case InList(name):
            found.lists.setdefault(name, set()).add(0)
        case MessageCount(verb, _, window):
            found.event(MESSAGE_EVENTS[verb], _offsets(window))
            _of_window(window, found)
            if condition.sent is not None:
                found.event((MESSAGE_SENT,))
        case FirstTime(events, window):
            found.event(events.names, _offsets(window))
            _of_window(window, found)
        case InCohort(events, window):
            if events is None:
                found.existence.update(_offsets(window))
            else:
                found.event(events.names, _offsets(window))
            _of_window(window, found)
        case Stopped(events, active_us, silent_us):
            found.event(events.names, (silent_us, silent_us + active_us))
        case Restarted(events, recent_us, silent_us):
            found.event(events.names, (recent_us, recent_us + silent_us))
        case Regularly(_, _, _, _, _, zone):
            found.days(zone)
        case Trend(events, _, _, span_us):
            found.event(events.names, (span_us, 2 * span_us))
        case Sequence():
            _of_sequence(condition, found)
        case PopulationCondition(measure):
            _of_measure(measure, found)
        case RfmInCell(model):
            _of_model(rule.setting.rfm[model], 0, found)
        case RfmMoved(model, _, _, duration_us):
            _of_model(rule.setting.rfm[model], 0, found)
            _of_model(rule.setting.rfm[model], duration_us, found)
        case HasBeen(test, duration_us):
            found.write(test.name, (duration_us,))
        case Changed(name, _, _, window):
            found.write(name, _offsets(window))
            _of_window(window, found)
        case WasIn(group, name, window):
            # Being in until just before t ends at t: a window lets it go one microsecond before it lets t go.
            offsets = _offsets(window)
            _of_group(group, name, offsets | {offset - 1 for offset in offsets}, found)
            _of_window(window, found)
        case HasBeenIn(group, name, duration_us):
            _of_group(group, name, {duration_us}, found)
        case _:
            pass


def _of_operands(whole: object, found: _Found) -> None:
    """Attributes that stand as operands, and what computes them; interests wherever they stand."""
    for operand in parts_of(whole, AttributeOperand | AttributeAtEvent):  # type: ignore[arg-type]
        if isinstance(operand, AttributeOperand) and operand.measure is not None:
            _of_inside(operand.measure, found)
        else:
            found.write(operand.name)
    for _ in parts_of(whole, Interest):
        found.days(Zone.UTC)


def _of_inside(measure: Measure, found: _Found) -> None:
    """All that a computed operand depends on; those that stand in it are operands of the whole themselves."""
    for selection in selections(measure):
        _of_selection(selection, found)
    for test in comparisons(measure):
        _of_zones(test, found, of_instant=False)
    for moments in parts_of(measure, Moments):
        found.zone(moments.zone)


def _of_selection(events: EventSelection, found: _Found) -> None:
    found.event(events.names, _offsets(events.window))
    _of_window(events.window, found)
    found.products |= bool(events.products)


def _of_sequence(sequence: Sequence, found: _Found) -> None:
    """The window moves over the first event; a trailing negative step is decided once its time has passed."""
    found.event(sequence.steps[0].events.names, _offsets(sequence.window))
    _of_window(sequence.window, found)
    last = max(place for place, step in enumerate(sequence.steps) if not step.negative)
    for step in sequence.steps[last + 1 :]:
        if step.within_us is not None:
            measured = sequence.steps[0 if step.from_first else last]
            found.event(measured.events.names, (step.within_us,))


def _of_measure(measure: Measure, found: _Found) -> None:
    match measure:
        case AttributeMeasure(name):
            found.write(name)
        case CountMeasure(events) | AggregateMeasure(_, _, events) | EventTime(events):
            _of_selection(events, found)
        case Interest():
            _of_inside(measure, found)


def _of_model(model: RfmModel, earlier_us: int, found: _Found) -> None:
    """A cell at as_of - `earlier_us`."""
    offsets = {earlier_us}
    if model.period_us is not None:
        offsets.add(model.period_us + earlier_us)
    if model.recency.bounds is not None:
        offsets.update(bound + earlier_us + step for bound in model.recency.bounds for step in (0, 1))
    found.event(model.events.names, offsets)
    _of_operands(model.events, found)


def _of_group(group: Group, name: str, offsets: Iterable[int], found: _Found) -> None:
    match group:
        case Group.SEGMENT:
            found.histories.setdefault(name, set()).update((0, *offsets))
        case Group.LIST:
            found.lists.setdefault(name, set()).update((0, *offsets))
        case Group.SCENARIO:
            found.event(SCENARIO_EVENTS, offsets)


def _of_zones(test: Comparison, found: _Found, *, of_instant: bool) -> None:
    """Where a comparison asks for today, and whose day it is. Rolling windows of instants have edges of their own."""
    asks_for_today = test.compare in (Compare.ANNIVERSARY, Compare.AGE) or isinstance(test.window, OnDay)
    if asks_for_today or (_offsets(test.window) and not of_instant):
        found.days(test.zone)
    _of_window(test.window, found)


def _of_attribute_window(test: Comparison, kind: Kind, found: _Found) -> None:
    offsets = _offsets(test.window)
    if not offsets or kind is Kind.DATE or test.compare is not Compare.WITHIN:
        return
    if isinstance(test.window, InLast | InNext):
        offsets.add(0)
    found.instant_values.setdefault(test.name, set()).update(offsets)


def _of_window(window: Window | None, found: _Found) -> None:
    """Calendar periods move at midnight."""
    match window:
        case Calendar():
            found.days(window.zone)
        case None:
            pass
        case SinceLast() | UntilFirst():
            pass  # the events that bound it are selections of the condition
        case _:
            found.zone(getattr(window, "zone", Zone.WORKSPACE))


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
