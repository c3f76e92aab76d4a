"""Texts of the segment language inside a scenario: parsed once, with what the machine must know of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from core.query.ast import (
    Absolute,
    AttributeAtEvent,
    AttributeCondition,
    AttributeOperand,
    Calendar,
    Changed,
    Compare,
    Comparison,
    ElementMatch,
    EventSelection,
    FilterTree,
    Group,
    HasBeen,
    HasBeenIn,
    InList,
    Interest,
    MessageCount,
    MessageVerb,
    OnDay,
    Operand,
    Parameter,
    ProductCondition,
    Reachable,
    RfmInCell,
    RfmMoved,
    SegmentReference,
    Span,
    StepOperand,
    WasIn,
    Window,
    Zone,
)
from core.query.edges import MESSAGE_EVENTS, SCENARIO_EVENTS
from core.query.problems import UNSUPPORTED
from core.query.text.lexer import tokenize
from core.query.text.parse import parse
from core.query.text.parse_comparisons import take_comparison
from core.query.text.parse_cursor import Cursor
from core.query.text.parse_filters import at_element, take_element
from core.query.text.parse_products import refuse_product
from core.query.text.parse_tree import TreeReader
from core.query.walk import comparisons, parts

#: Parts that are about the contact's attributes, lists and consents.
_OF_PROFILE = (AttributeCondition, AttributeOperand, InList, HasBeen, Changed, WasIn, HasBeenIn, Reachable)
#: A run's contact is asked about whoever it is: known or a visitor. A text may still say whom it means.
_ANYBODY = "among all contacts: "


@dataclass(frozen=True, slots=True)
class RunText:
    """A condition of a scenario. `asked` is what the engine is asked; `parameters` are the run's values that it names;
    `events` the event types that it names (a trailing `*` is a prefix); `refers` whether it refers to segments or
    RFM models, whose events it does not name. `profile`: whether it reads what the contact is, on lists and in consents
    included; `catalogue`: whether it reads what products are now."""

    asked: str
    parameters: frozenset[str]
    events: frozenset[str]
    refers: bool
    profile: bool = False
    catalogue: bool = False

    def concerned_by(self, event_type: str) -> bool:
        """Whether an event of this type may change the answer."""
        return self.refers or any(
            event_type.startswith(name[:-1]) if name.endswith("*") else event_type == name for name in self.events
        )


def read_text(text: str) -> RunText:
    """`text` parsed. Raises CdpError INVALID with the place of the first mistake, as core.query.text.parse does."""
    rule = parse(text)
    all_parts = list(parts(rule))
    return RunText(
        text if tokenize(text)[0].word == "among" else _ANYBODY + text,
        frozenset(part.name for part in all_parts if isinstance(part, Parameter)),
        frozenset(name for part in all_parts for name in _event_names(part)),
        any(_refers(part) for part in all_parts),
        any(isinstance(part, _OF_PROFILE) for part in all_parts),
        any(isinstance(part, ProductCondition) for part in all_parts),
    )


def read_filter(text: str) -> FilterTree:
    """A filter as it stands inside `did type (...)`; the empty tree for an empty text. Raises as `read_text` does, and
    RULE_UNSUPPORTED for what an event at hand cannot be asked (filter_row.py)."""
    cursor = Cursor(tokenize(text))
    if cursor.at_end():
        return ()
    tree = TreeReader[Comparison | ElementMatch](cursor, _take_leaf, _span_of).read()
    if not cursor.at_end():
        raise cursor.fail('a ")" closes nothing.')
    beyond = beyond_rows(tree)
    if beyond is not None:
        text = "a trigger cannot ask this; ask it in a condition block."
        raise cursor.fail(text, reason=UNSUPPORTED, span=beyond.span)
    return tree


def beyond_rows(tree: FilterTree) -> Comparison | ElementMatch | None:
    """The first leaf of a filter that an event at hand cannot be asked; None where there is none."""
    leaves = (part for part in parts(tree) if isinstance(part, Comparison | ElementMatch))
    return next((leaf for leaf in leaves if _is_beyond_rows(leaf)), None)


def _is_beyond_rows(leaf: Comparison | ElementMatch) -> bool:
    """Whether filter_row.py has no meaning for a leaf."""
    if isinstance(leaf, ElementMatch):
        return leaf.every
    return (
        leaf.compare in (Compare.ANNIVERSARY, Compare.AGE, Compare.AT, Compare.DISTANCE)
        or (leaf.compare is Compare.LENGTH and leaf.relation is Compare.BETWEEN)
        or isinstance(leaf.window, OnDay)
        or leaf.zone is not Zone.WORKSPACE
        or any(isinstance(operand, AttributeAtEvent | StepOperand) for operand in leaf.operands)
    )


def filter_operands(tree: FilterTree) -> Iterator[Operand]:
    """Every operand of a filter, those of windows and of element matches included."""
    for test in comparisons(tree):
        yield from test.operands
        yield from _window_operands(test.window)


def reads_contacts_zone(tree: FilterTree) -> bool:
    """Whether a window of the filter is read in the contact's own zone."""
    windows = (test.window for test in comparisons(tree))
    return any(isinstance(window, Absolute | Calendar) and window.zone is Zone.CONTACT for window in windows)


def attributes_in(tree: FilterTree) -> tuple[str, ...]:
    """Attributes of the contact that a filter compares with."""
    return tuple(operand.name for operand in filter_operands(tree) if isinstance(operand, AttributeOperand))


def _take_leaf(cursor: Cursor, _negated: bool) -> tuple[Comparison | ElementMatch, bool]:
    refuse_product(cursor)
    return (take_element(cursor) if at_element(cursor) else take_comparison(cursor)), False


def _span_of(leaf: Comparison | ElementMatch) -> Span:
    return leaf.span


def _window_operands(window: Window | None) -> tuple[Operand, ...]:
    if not isinstance(window, Absolute):
        return ()
    return tuple(end for end in (window.start, window.until) if end is not None)


def _refers(part: object) -> bool:
    """Whether an answer comes from events that the text does not name: those of another segment, of its history, or of
    an RFM model or a model of interests."""
    match part:
        case SegmentReference() | RfmInCell() | RfmMoved() | Interest():
            return True
        case WasIn(group) | HasBeenIn(group):
            return group is Group.SEGMENT
        case _:
            return False


def _event_names(part: object) -> tuple[str, ...]:
    """The events that one part of a rule reads by itself; those of selections inside of it are parts of their own."""
    match part:
        case EventSelection(names):
            return names
        case MessageCount(verb, sent=sent):
            of_sending = () if sent is None else MESSAGE_EVENTS[MessageVerb.SENT]
            return (*MESSAGE_EVENTS[verb], *of_sending)
        case WasIn(Group.SCENARIO) | HasBeenIn(Group.SCENARIO):
            return SCENARIO_EVENTS
        case _:
            return ()
