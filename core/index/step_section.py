"""An attribute or a static list as a section of a snapshot."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.index.distinct import Entries
from core.index.patched import FrozenTable
from core.index.section import Content, Draft, Section, unpack
from core.index.step_run import MISSING, StepRun, step_run
from core.index.steps import AT, CODE, KIND, ORDER, VALUE, StepView

_BEFORE_ALL = -(2**63)
_HISTORY = ("history_contacts", "history_at_us", "history_log_order", "history_kinds", "history_values")


def pack_steps(name: str, view: StepView) -> Draft:
    """The latest writes as columns over contacts, and the superseded ones. Entries that no write holds any more are
    left out: their code stays, as MISSING."""
    return Draft(name, partial(_content, view), (view,))


def _content(view: StepView) -> Content:
    latest = view.latest
    arrays: dict[str, NDArray[Any]] = {"at_us": latest.whole(AT), "order": latest.whole(ORDER)}
    if view.entries is None:
        arrays |= {"kinds": latest.whole(KIND), "values": latest.whole(VALUE)}
    else:
        used = view.entries_in_use()
        arrays["codes"] = latest.whole(CODE)
        arrays["entry_kinds"] = np.where(used, view.entries.kinds, MISSING).astype(np.uint8)
        arrays["entry_values"] = np.where(used, view.entries.values, 0)
    history = step_run(view.history)
    arrays |= dict(zip(_HISTORY, history.columns(), strict=True))
    # Of what is there: the view's bound may still be an instant of somebody who was erased.
    latest_us = max(int(column.max(initial=_BEFORE_ALL)) for column in (arrays["at_us"], history.at_us))
    return arrays, {"latest_us": latest_us}


def unpack_steps(section: Section | Draft) -> StepView:
    """What `pack_steps` packed. Raises CdpError where the section is damaged."""
    arrays, facts = unpack(section)
    numbered = "codes" in arrays
    entries = Entries(arrays["entry_kinds"], arrays["entry_values"]) if numbered else None
    names = ("codes",) if numbered else ("kinds", "values")
    columns = tuple(arrays[name] for name in ("at_us", "order", *names))
    contacts, at_us, log_order, kinds, values = (arrays[name] for name in _HISTORY)
    history = StepRun(contacts, at_us, log_order, kinds, values)
    none = np.zeros(0, np.uint32)
    latest = FrozenTable(len(columns[0]), columns, none, tuple(column[:0] for column in columns), {})
    return StepView(latest, entries, (history,), facts["latest_us"])
