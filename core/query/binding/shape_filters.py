"""Whether selections of events and their filters are well-formed."""

from __future__ import annotations

from core.query.ast import Branch, ElementMatch, EventSelection, FilterTree, Window
from core.query.binding.shape_tree import check_tree
from core.query.binding.shape_values import check_comparison, check_moments, check_name, check_percent, check_window
from core.query.limits import MAX_OPERANDS
from core.query.problems import SHAPE, place, problem
from core.query.walk import anchors

#: Product conditions of one selection.
_MAX_PRODUCTS = 100


def check_selection(events: EventSelection, where: str, *, windowed: bool = True) -> int:
    """Checks a selection and returns the number of nodes in its filters. `windowed`: it may have a window."""
    if not events.names or len(events.names) > MAX_OPERANDS:
        raise problem(SHAPE, where, f"a selection names 1 to {MAX_OPERANDS} events.")
    for name in events.names:
        check_name(name, where)
    if not windowed and events.window is not None:
        raise problem(SHAPE, where, "these events take no window of their own.")
    if events.moments is not None:
        check_moments(events.moments, where)
    if len(events.products) > _MAX_PRODUCTS:
        raise problem(SHAPE, where, f"a selection has at most {_MAX_PRODUCTS} conditions on its product.")
    for product in events.products:
        here = place(product.span, where)
        if (product.state is None) == (product.price_drop is None) or (product.at_event and product.state is None):
            raise problem(SHAPE, here, "a condition on a product is a state, or a drop of its price.")
        if product.price_drop is not None:
            check_percent(product.price_drop, here)
    return check_event_window(events.window, where) + check_filter(events.filter, where)


def check_event_window(window: Window | None, where: str) -> int:
    """Checks a window of events, and the events that bound it; returns the number of nodes in their filters."""
    check_window(window, where)
    anchor = anchors(window)
    return 0 if anchor is None else check_selection(anchor, where, windowed=False)


def check_element(element: ElementMatch, where: str) -> int:
    """Checks an element match and returns the number of nodes in its filter."""
    check_name(element.name, where)
    if not element.filter:
        raise problem(SHAPE, where, "an element match needs a filter.")
    return check_filter(element.filter, where, elements_allowed=False)


def check_filter(nodes: FilterTree, where: str, *, elements_allowed: bool = True) -> int:
    """Checks a filter and returns its number of nodes, those inside of elements included."""
    if not nodes:
        return 0
    check_tree(nodes, f"{where} filter")
    count = len(nodes)
    for index, node in enumerate(nodes):
        here = place(node.span, f"{where} filter[{index}]")
        if isinstance(node, ElementMatch):
            if not elements_allowed:
                raise problem(SHAPE, here, "the fields of an element are single values; no element match fits there.")
            count += check_element(node, here)
        elif not isinstance(node, Branch):
            check_comparison(node, here)
    return count
