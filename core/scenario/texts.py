"""Texts of the segment language inside a scenario: parsed once, with what the machine must know of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from core.query.ast import (
    Absolute,
    AttributeCondition,
    AttributeOperand,
    Branch,
    Calendar,
    Comparison,
    Condition,
    ElementMatch,
    EventAggregate,
    EventCount,
    FilterTree,
    MessageCount,
    Operand,
    Parameter,
    SegmentReference,
    Span,
    Window,
    Zone,
)
from core.query.edges import MESSAGE_EVENTS, comparisons
from core.query.lexer import tokenize
from core.query.parse import parse
from core.query.parse_cursor import Cursor
from core.query.parse_filters import at_element, take_comparison, take_element
from core.query.parse_tree import TreeReader
from core.query.parse_unsupported import refuse_product

#: A run's contact is asked about whoever it is: known or a visitor. A text may still say whom it means.
_ANYBODY = "among all contacts: "


@dataclass(frozen=True, slots=True)
class RunText:
    """A condition of a scenario. `asked` is what the engine is asked; `parameters` are the run's values that it names;
    `events` the event types that it names (a trailing `*` is a prefix); `refers` whether it refers to segments, whose
    events it does not name."""

    asked: str
    parameters: frozenset[str]
    events: frozenset[str]
    refers: bool

    def concerned_by(self, event_type: str) -> bool:
        """Whether an event of this type may change the answer."""
        return self.refers or any(
            event_type.startswith(name[:-1]) if name.endswith("*") else event_type == name for name in self.events
        )


def read_text(text: str) -> RunText:
    """`text` parsed. Raises CdpError INVALID with the place of the first mistake, as core.query.parse does."""
    rule = parse(text)
    leaves = [node for node in rule.nodes if not isinstance(node, Branch)]
    return RunText(
        text if tokenize(text)[0].word == "among" else _ANYBODY + text,
        frozenset(operand.name for leaf in leaves for operand in _operands(leaf) if isinstance(operand, Parameter)),
        frozenset(name for leaf in leaves for name in _event_names(leaf)),
        any(isinstance(leaf, SegmentReference) for leaf in leaves),
    )


def read_filter(text: str) -> FilterTree:
    """A filter as it stands inside `did type (...)`; the empty tree for an empty text. Raises as `read_text` does."""
    cursor = Cursor(tokenize(text))
    if cursor.at_end():
        return ()
    tree = TreeReader[Comparison | ElementMatch](cursor, _take_leaf, _span_of).read()
    if not cursor.at_end():
        raise cursor.fail('a ")" closes nothing.')
    return tree


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


def _operands(leaf: Condition) -> Iterable[Operand]:
    match leaf:
        case AttributeCondition(test):
            return filter_operands((test,))
        case SegmentReference(_, arguments):
            return [operand for _, operand in arguments]
        case EventCount(events, _, counts):
            return [*filter_operands(events.filter), *_window_operands(events.window), *counts]
        case MessageCount(_, matching, window, _, counts):
            return [*filter_operands(matching), *_window_operands(window), *counts]
        case EventAggregate(_, _, events, _, operands):
            return [*filter_operands(events.filter), *_window_operands(events.window), *operands]
        case _:
            return ()


def _window_operands(window: Window | None) -> tuple[Operand, ...]:
    if not isinstance(window, Absolute):
        return ()
    return tuple(end for end in (window.start, window.until) if end is not None)


def _event_names(leaf: Condition) -> tuple[str, ...]:
    match leaf:
        case EventCount(events) | EventAggregate(_, _, events):
            return events.names
        case MessageCount(verb):
            return tuple(MESSAGE_EVENTS[verb])
        case _:
            return ()
