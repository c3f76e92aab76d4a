"""Picking the events that a condition speaks of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from core.index.event_run import EventRun
from core.index.root import Root
from core.kernels.semijoin import rows_in_words
from core.query.ast import EventSelection, FilterTree, Window, Zone
from core.query.execute_context import Context
from core.query.rows.filters import matching
from core.query.rows.picked import Picked as Picked
from core.query.rows.selecting_more import bounded, is_anchored, needs_refining, refined
from core.query.windows import zone_of

#: Nanoseconds, measured: finding one contact in the order of a run by contacts, asking one row for its contact.
_ONE_CONTACT, _ONE_ROW = 110, 0.6
#: Below this many rows neither way takes long.
_FEW = 1024


def matching_types(names: Sequence[str], root: Root) -> tuple[str, ...]:
    """The event types that were seen and are named, directly or by a prefix (a trailing `*`)."""
    if len(names) == 1 and not names[0].endswith("*"):
        return (names[0],) if names[0] in root.events else ()
    prefixes = tuple(name[:-1] for name in names if name.endswith("*"))
    return tuple(name for name in root.events if name in names or name.startswith(prefixes))


def runs_between(
    names: tuple[str, ...], start_us: int, until_us: int, context: Context
) -> list[tuple[str, EventRun, slice]]:
    """The runs of the events named, by name or prefix, that have rows with `start <= occurred_at < until`: their types,
    and these rows. Found once for a context."""
    key = (runs_between, names, start_us, until_us)
    found: list[tuple[str, EventRun, slice]] | None = context.computed.get(key)
    if found is None:
        found = context.computed[key] = []
        for type_name in matching_types(names, context.root):
            for run in context.root.events[type_name]:
                rows = run.between(start_us, until_us)
                if rows.stop > rows.start:
                    found.append((type_name, run, rows))
    return found


def pick(events: EventSelection, context: Context) -> list[Picked]:
    """The events of a selection: filter and window hold, made by humans, at or before as_of, of contacts that take
    part. One entry per run that has any."""
    types = matching_types(events.names, context.root)
    found = pick_in(types, events.filter, events.window, context, with_machines=events.with_machines)
    return refined(found, events, context) if needs_refining(events) else found


def pick_in(
    types: Sequence[str],
    tree: FilterTree,
    window: Window | None,
    context: Context,
    *,
    with_machines: bool = False,
) -> list[Picked]:
    """The same for types that are named outright."""
    found = []
    for candidate in _in_window(types, window, context, with_machines=with_machines):
        picked = candidate
        if tree and len(picked):
            picked = picked.only(matching(tree, picked.domain(), context))
        if len(picked):
            found.append(picked)
    return bounded(found, window, context, pick) if is_anchored(window) else found


def _in_window(
    types: Sequence[str], window: Window | None, context: Context, *, with_machines: bool
) -> Iterator[Picked]:
    if context.rows == 0:
        return
    interval = context.interval(window)
    until = min(interval.until, context.as_of_us + 1)
    if interval.start >= until:
        return
    for type_name in types:
        for run in context.root.events[type_name]:
            picked = _rows_between(type_name, run, interval.start, until, context)
            if len(picked) == 0:
                continue
            if run.has_machine and not with_machines:
                picked = picked.only(~run.by_machine(picked.rows))
            if zone_of(window) is Zone.CONTACT and len(picked):
                times = run.occurred_at_us[picked.rows]
                picked = picked.only(context.in_window(window, times, picked.contacts, dates=False))
            yield picked


def _rows_between(type_name: str, run: EventRun, start_us: int, until_us: int, context: Context) -> Picked:
    """By time where all contacts take part, by contact where few do; the cheaper of both otherwise."""
    inside = run.between(start_us, until_us)
    candidates = context.candidates
    if candidates is None or inside.stop == inside.start:
        return Picked(type_name, run, inside, run.contacts[inside])
    count = inside.stop - inside.start
    asking_rows = count * _ONE_ROW + context.scan_start_work()
    if len(candidates) < count and (count < _FEW or len(candidates) * _ONE_CONTACT < asking_rows):
        rows = run.rows_of_contacts(candidates, inside)
        if rows is not None:
            return Picked(type_name, run, rows, run.contacts[rows])
    contacts = run.contacts[inside]
    places = np.empty(count + 1, np.uint32)
    kept = places[: rows_in_words(contacts, context.candidate_words(), places)].astype(np.int64)
    return Picked(type_name, run, kept + inside.start, contacts[kept])
