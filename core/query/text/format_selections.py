"""Selections of events as canonical text."""

from __future__ import annotations

from core.query.ast import (
    Compare,
    EventSelection,
    Literal,
    Operand,
    ProductCondition,
    SinceLast,
    UntilFirst,
    Window,
)
from core.query.text.format_filters import bracketed_text
from core.query.text.format_values import events_text, operand_text
from core.query.text.format_windows import moments_text, window_text

_COUNT_WORDS = {
    Compare.GE: "at least",
    Compare.LE: "at most",
    Compare.EQ: "exactly",
    Compare.GT: "more than",
    Compare.LT: "fewer than",
    Compare.NE: "!=",
    Compare.BETWEEN: "between",
}


def selection_text(events: EventSelection, count: str = "") -> str:
    """`E (filter)` and all that follows; `count` stands before the window."""
    return f"{events_text(events.names)}{bracketed_text(events.filter)}{clauses_text(events, count)}"


def clauses_text(events: EventSelection, count: str = "") -> str:
    """What follows `E (filter)`, with a space before each: product, machines, count, window, weekdays and hours."""
    machines = " including machines" if events.with_machines else ""
    moments = "" if events.moments is None else f" {moments_text(events.moments)}"
    return f"{_products_text(events.products)}{machines}{count}{event_window_text(events.window)}{moments}"


def event_window_text(window: Window | None) -> str:
    """A window of events with a space before it; nothing for all time."""
    match window:
        case None:
            return ""
        case SinceLast(events):
            return f" since last {_anchor_text(events)}"
        case UntilFirst(events):
            return f" until first {_anchor_text(events)}"
        case _:
            return f" {window_text(window)}"


def count_text(compare: Compare, counts: tuple[Operand, ...]) -> str:
    """` at least 2 times`, with a space before it; nothing for at least once."""
    if compare is Compare.GE and counts == (Literal(1),):
        return ""
    times = "time" if counts == (Literal(1),) else "times"
    return f" {_COUNT_WORDS[compare]} {' and '.join(operand_text(count) for count in counts)} {times}"


def is_never(compare: Compare, counts: tuple[Operand, ...]) -> bool:
    """Whether a count is that of `did not`."""
    return compare is Compare.EQ and counts == (Literal(0),)


def _anchor_text(events: EventSelection) -> str:
    plain = events.moments is None and not events.products and not events.with_machines
    return selection_text(events) if plain else f"({selection_text(events)})"


def _products_text(products: tuple[ProductCondition, ...]) -> str:
    if not products:
        return ""
    texts = [_product_text(product) for product in products]
    return f" on a product {texts[0]}" if len(texts) == 1 else f" on a product ({' and '.join(texts)})"


def _product_text(product: ProductCondition) -> str:
    if product.price_drop is not None:
        return f"whose price dropped by at least {product.price_drop} %"
    state = "" if product.state is None else product.state.value
    return f"{'that was' if product.at_event else 'now'} {state}"
