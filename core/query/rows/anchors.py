"""Windows that other events of the contact bound: since the last of them, until the first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.query.ast import EventSelection, SinceLast, UntilFirst
from core.query.execute_context import Context
from core.query.rows.picked import Picked
from core.query.windows import GREATEST, LEAST

#: How the events of a selection are found: selecting.pick.
Pick = Callable[[EventSelection, Context], list[Picked]]


@dataclass(frozen=True, slots=True)
class Anchors:
    """For each row of a context whether the contact has such an event, and the instant of the one that counts."""

    present: NDArray[np.bool_]
    instants_us: NDArray[np.int64]


def anchors_of(window: SinceLast | UntilFirst, context: Context, pick: Pick) -> Anchors:
    """The latest (of UntilFirst: the earliest) event that bounds the window, of every row; found once for a context."""
    known: Anchors | None = context.computed.get(window)
    if known is None:
        known = context.computed[window] = _find(window, context, pick)
    return known


def within_anchors(
    window: SinceLast | UntilFirst,
    anchors: Anchors,
    instants_us: NDArray[np.int64],
    contacts: NDArray[np.uint32],
    context: Context,
) -> NDArray[np.bool_]:
    """Which instants, at or before as_of, lie in the window of their contact; none of a contact without one."""
    rows = context.row_of(contacts)
    bound = anchors.instants_us[rows]
    inside = instants_us > bound if isinstance(window, SinceLast) else instants_us < bound
    return np.asarray(inside & anchors.present[rows], np.bool_)


def _find(window: SinceLast | UntilFirst, context: Context, pick: Pick) -> Anchors:
    latest = isinstance(window, SinceLast)
    none = LEAST if latest else GREATEST
    instants = np.full(context.rows, none, np.int64)
    present = np.zeros(context.rows, np.bool_)
    for picked in pick(window.events, context):
        rows = context.row_of(picked.contacts)
        present[rows] = True
        (np.maximum if latest else np.minimum).at(instants, rows, picked.run.occurred_at_us[picked.rows])
    return Anchors(present, instants)
