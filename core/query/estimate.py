"""How many contacts a condition is likely to find, and how much has to be read for it, before anything is read.

Pure functions of a condition and of what the index knows without looking at rows: sizes, and by binary search the
number of events in a window. Sizes are exact bounds where they can be; `expected` is a guess that only orders work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.index.event_blocks import ROWS as BLOCK_ROWS
from core.query.ast import (
    AttributeCondition,
    Branch,
    Compare,
    Comparison,
    Condition,
    EventAggregate,
    EventCount,
    EventSelection,
    Everyone,
    InCohort,
    InList,
    Literal,
    MessageCount,
    Node,
    Op,
    Operand,
    PopulationCondition,
    RfmInCell,
    RfmMoved,
    SegmentReference,
    Zone,
)
from core.query.edges import MESSAGE_EVENTS
from core.query.execute_context import Context
from core.query.names import BoundRule
from core.query.rows.comparisons import positive_form
from core.query.rows.selecting import runs_between
from core.query.rows.selecting_more import needs_refining
from core.query.walk import anchors, selections
from core.query.windows import zone_of

#: Nanoseconds, measured with 5 M contacts; they only order and choose ways, so their ratios matter. A bit of a set and
#: of an attribute whose values are numbered; a row that a pass sets a bit for, counts, collects, or sorts and pairs.
_BIT, _ATTRIBUTE = 1 / 128, 1 / 16
_ROW, _COUNTED_ROW, _COLLECTED_ROW, _SORTED_ROW = 1, 2, 15, 40
#: A row of a whole run in a fold, and the total of a contact.
_FOLDED_ROW, _TOTAL = 0.7, 1.2
#: Asking about one contact: its attribute, its events in one run.
_ONE_ATTRIBUTE, _ONE_RUN = 30, 110
#: Share of rows that a comparison is guessed to keep.
_GUESS = {
    Compare.EQ: 0.1,
    Compare.IN: 0.2,
    Compare.BETWEEN: 0.25,
    Compare.PRESENT: 0.9,
    Compare.STARTS: 0.1,
    Compare.ENDS: 0.1,
    Compare.MATCHES: 0.1,
}
_OTHERWISE = 0.35


@dataclass(frozen=True, slots=True)
class Estimate:
    """Contacts found: at least `least`, at most `most`, perhaps `expected`. Nanoseconds, roughly: `work` to ask about
    everyone, `each` for every contact where only some are asked about."""

    least: int
    expected: int
    most: int
    work: int
    each: int

    def inverted(self, n: int) -> Estimate:
        """Of the complement among n contacts."""
        return Estimate(n - self.most, n - self.expected, n - self.least, self.work, self.each)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Events of some types in a window: how many, how many of them no block of a run covers (core.index.event_blocks),
    in how many blocks the others lie, and the runs with any and all their rows."""

    inside: int = 0
    single: int = 0
    blocks: int = 0
    runs: int = 0
    whole: int = 0

    @property
    def each(self) -> int:
        """Of finding the events of one contact."""
        return _ONE_RUN * max(self.runs, 1)


def estimate(nodes: Sequence[Node], bound: BoundRule, context: Context) -> tuple[Estimate, ...]:
    """For every node of a filled rule (or of a contiguous part of one, renumbered from 0)."""
    found: list[Estimate] = []
    for node in nodes:
        found.append(_branch(node, found, context.rows) if isinstance(node, Branch) else _leaf(node, bound, context))
    return tuple(found)


def _branch(node: Branch, found: Sequence[Estimate], n: int) -> Estimate:
    children = [found[child] for child in node.children]
    work = sum(child.work for child in children) + int(n * _BIT) * len(children)
    each = sum(child.each for child in children)
    if node.op is Op.NOT:
        return children[0].inverted(n)
    if node.op is Op.EXCEPT:
        children = [*children[: node.k], *(child.inverted(n) for child in children[node.k :])]
    if node.op in (Op.AND, Op.EXCEPT):
        expected = float(n)
        for child in children:
            expected *= child.expected / max(n, 1)
        most = min(child.most for child in children)
        least = max(0, sum(child.least for child in children) - n * (len(children) - 1))
        return Estimate(least, min(int(expected), most), most, work, each)
    most = min(n, sum(child.most for child in children))
    expected = min(most, sum(child.expected for child in children))
    if node.op is Op.AT_LEAST:
        return Estimate(0, int(expected) // max(node.k, 1), most, work, each)
    return Estimate(max(child.least for child in children), int(expected), most, work, each)


def _leaf(condition: Condition, bound: BoundRule, context: Context) -> Estimate:
    n = context.rows
    match condition:
        case Everyone():
            return Estimate(n, n, n, 1, 1)
        case AttributeCondition(Comparison() as test):
            form, complement = positive_form(test.compare)
            expected = int(n * _GUESS.get(form, _OTHERWISE))
            one = Estimate(0, expected, n, int(n * _ATTRIBUTE), _ONE_ATTRIBUTE)
            return one.inverted(n) if complement else one
        case InList():
            return Estimate(0, n // 10, n, int(n * _ATTRIBUTE), _ONE_ATTRIBUTE)
        case SegmentReference(name):
            target = bound.segments[name]
            if name in context.knowledge.members:
                size = len(context.knowledge.members[name])
                return Estimate(0, min(size, n), min(size, n), int(n * _BIT), 1)
            inside = estimate(target.rule.nodes, target, context)
            return Estimate(0, inside[-1].expected, n, sum(one.work for one in inside), sum(one.each for one in inside))
        case EventCount(events, compare, counts):
            return _of_count(events, compare, counts, context)
        case MessageCount(verb, matching, window, compare, counts):
            events = EventSelection(MESSAGE_EVENTS[verb], matching, window)
            rows = _rows(events, context)
            one = _of_rows(rows, rows.inside * _SORTED_ROW, events, n)
            return one.inverted(n) if compare is Compare.EQ and _is_zero(counts) else one
        case EventAggregate(events=events):
            rows = _rows(events, context)
            work = min(rows.inside * _COLLECTED_ROW, rows.whole * _FOLDED_ROW + n * _TOTAL)
            return _of_rows(rows, work, events, n)
        case PopulationCondition() | RfmInCell() | RfmMoved() | InCohort():
            every = [_rows(events, context) for events in selections(condition)]
            work = sum(rows.inside for rows in every) * _SORTED_ROW + n * 10
            # Who is asked about does not matter: everyone decides.
            return Estimate(0, n // 5, n, work, work)
        case _:
            every = [_rows(events, context) for events in selections(condition)]
            found = sum(rows.inside for rows in every)
            each = sum(rows.each for rows in every) + _ONE_ATTRIBUTE
            return Estimate(0, min(n // 10, found), n, found * _SORTED_ROW + int(n * _BIT), each)


def _of_count(events: EventSelection, compare: Compare, counts: Sequence[Operand], context: Context) -> Estimate:
    rows, n = _rows(events, context), context.rows
    if needs_refining(events) or zone_of(events.window) is Zone.CONTACT:
        work = float(rows.inside * _COLLECTED_ROW)
    elif not (compare is Compare.GE and counts == (Literal(1),)) and not _is_zero(counts):
        work = rows.inside * _COUNTED_ROW + n * _BIT * 8
    elif events.filter:
        work = rows.inside * _ROW * len(events.filter)
    else:
        work = rows.single * _ROW + rows.blocks * n * _BIT
    one = _of_rows(rows, work, events, n)
    silent = compare in (Compare.LT, Compare.LE) or (compare is Compare.EQ and _is_zero(counts))
    return one.inverted(n) if silent else one


def _of_rows(rows: _Rows, work: float, events: EventSelection, n: int) -> Estimate:
    expected = int(min(n * 0.9, rows.inside * _share(events) * 0.7))
    return Estimate(0, min(expected, rows.inside), min(n, rows.inside), int(work + n * _BIT), rows.each)


def _rows(events: EventSelection, context: Context) -> _Rows:
    """The events of the types in the window, filter aside: two binary searches a run."""
    if anchors(events.window) is not None:
        start_us, until_us = -(2**63), context.as_of_us + 1
    else:
        interval = context.interval(events.window)
        start_us, until_us = interval.start, min(interval.until, context.as_of_us + 1)
    if start_us >= until_us:
        return _Rows()
    inside = blocks = runs = whole = 0
    for _, run, rows in runs_between(events.names, start_us, until_us, context):
        inside += rows.stop - rows.start
        blocks += max(rows.stop // BLOCK_ROWS - -(-rows.start // BLOCK_ROWS), 0)
        runs += 1
        whole += len(run)
    return _Rows(inside, inside - blocks * BLOCK_ROWS, blocks, runs, whole)


def _share(events: EventSelection) -> float:
    """The share of the rows that the filter is guessed to keep."""
    share = 1.0
    for node in events.filter:
        if isinstance(node, Comparison):
            form, complement = positive_form(node.compare)
            kept = _GUESS.get(form, _OTHERWISE)
            share *= 1 - kept if complement else kept
    return max(share, 0.001)


def _is_zero(counts: Sequence[object]) -> bool:
    return all(getattr(count, "value", None) == 0 for count in counts)
