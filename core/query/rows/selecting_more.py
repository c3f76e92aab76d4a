"""What a selection asks of its events beyond type, window and filter: moments, products, other events."""

from __future__ import annotations

from core.query.ast import EventSelection, SinceLast, UntilFirst, Window
from core.query.execute_context import Context
from core.query.rows.anchors import Pick, anchors_of, within_anchors
from core.query.rows.local_moments import at_moments
from core.query.rows.picked import Picked
from core.query.rows.selecting_products import product_mask

_ANCHORED = (SinceLast, UntilFirst)


def needs_refining(events: EventSelection) -> bool:
    """Whether the selection asks more than types, a filter and one interval for all contacts."""
    return events.moments is not None or bool(events.products) or is_anchored(events.window)


def refined(found: list[Picked], events: EventSelection, context: Context) -> list[Picked]:
    """Those of `found` that satisfy the selection's moments and product conditions; its window is `bounded`'s."""
    kept = []
    for candidate in found:
        picked = candidate
        if events.moments is not None:
            times = picked.run.occurred_at_us[picked.rows]
            picked = picked.only(at_moments(events.moments, times, picked.contacts, context))
        if events.products and len(picked):
            picked = picked.only(product_mask(picked, events.products, context))
        if len(picked):
            kept.append(picked)
    return kept


def is_anchored(window: Window | None) -> bool:
    """Whether other events of the contact bound the window, so that `bounded` has something to do."""
    return isinstance(window, _ANCHORED)


def bounded(found: list[Picked], window: Window | None, context: Context, pick: Pick) -> list[Picked]:
    """Those of `found` that lie in a window which other events of their contact bound."""
    if not isinstance(window, SinceLast | UntilFirst) or not found:
        return found
    anchors = anchors_of(window, context, pick)
    kept = []
    for candidate in found:
        times = candidate.run.occurred_at_us[candidate.rows]
        picked = candidate.only(within_anchors(window, anchors, times, candidate.contacts, context))
        if len(picked):
            kept.append(picked)
    return kept
