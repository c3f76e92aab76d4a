"""When time alone changes memberships: the instants in a span at which segments must be looked at again, and for whom.

Each distinct window edge (event type, offset) is one cursor into the time-ordered events: those with
`occurred_at + offset` in the span name the contacts that are due, each at its exact instant. Nothing is queued per
contact. Local days make the whole segment due at the midnights they begin with.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np

from core.index.root import Edges as Pairs
from core.index.root import Root
from core.query.ast import Zone
from core.query.edges import ZONE_ATTRIBUTE
from core.query.local_time import find_zone, local_date, start_of
from core.schema import Kind
from core.segments.saved import Saved


@dataclass(slots=True)
class Due:
    """What is due at one instant: contacts by segment name, and segments that are due as a whole."""

    contacts: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    whole: set[str] = field(default_factory=set)


def agenda(root: Root, segments: Mapping[str, Saved], zone: str, after_us: int, until_us: int) -> list[tuple[int, Due]]:
    """The instants in (after, until] in order, each with what is due. `zone` is the workspace's. Empty span: []."""
    due: dict[int, Due] = defaultdict(Due)
    if until_us <= after_us or not segments:
        return []

    def add(names: list[str], pairs: Pairs, offset_us: int) -> None:
        contacts, instants = pairs
        for contact, instant in zip(contacts.tolist(), (instants + offset_us).tolist(), strict=True):
            at = due[instant]
            for name in names:
                at.contacts[name].append(contact)

    for (event, offset_us), names in _by_event(root, segments).items():
        add(names, root.event_edges(event, after_us - offset_us, until_us - offset_us), offset_us)
    values: dict[tuple[str, int], list[str]] = defaultdict(list)
    writes: dict[str, list[str]] = defaultdict(list)
    lists: dict[str, list[str]] = defaultdict(list)
    days: dict[Zone, list[str]] = defaultdict(list)
    for name, saved in segments.items():
        for attribute, offsets in saved.edges.instant_values.items():
            for offset_us in offsets:
                values[attribute, offset_us].append(name)
        for attribute in saved.edges.attribute_writes:
            writes[attribute].append(name)
        for list_name in saved.touches.lists:
            lists[list_name].append(name)
        for day_zone in saved.edges.local_days:
            days[day_zone].append(name)
        for instant in saved.edges.instants:
            if after_us < instant <= until_us:
                due[instant].whole.add(name)
    for (attribute, offset_us), names in values.items():
        add(names, root.instant_value_edges(attribute, after_us - offset_us, until_us - offset_us), offset_us)
    for attribute, names in writes.items():
        add(names, root.attribute_edges(attribute, after_us, until_us), 0)
    for list_name, names in lists.items():
        add(names, root.list_edges(list_name, after_us, until_us), 0)
    add(list(segments), root.existence_edges(after_us, until_us), 0)
    for day_zone, names in days.items():
        for midnight in _midnights(root, day_zone, zone, after_us, until_us):
            due[midnight].whole.update(names)
    return sorted(due.items())


def _by_event(root: Root, segments: Mapping[str, Saved]) -> dict[tuple[str, int], list[str]]:
    """(event type, offset) -> the segments that watch this edge; prefixes are spelt out by the types seen."""
    watched: dict[tuple[str, int], list[str]] = defaultdict(list)
    for name, saved in segments.items():
        pairs: set[tuple[str, int]] = set()
        for pattern, offsets in saved.edges.events.items():
            if pattern.endswith("*"):
                types = [event for event in root.events if event.startswith(pattern[:-1])]
            else:
                types = [pattern]
            pairs.update((event, offset_us) for event in types for offset_us in offsets)
        for pair in pairs:
            watched[pair].append(name)
    return watched


def _midnights(root: Root, day_zone: Zone, workspace_zone: str, after_us: int, until_us: int) -> list[int]:
    names = {workspace_zone}
    if day_zone is Zone.UTC:
        names = {"UTC"}
    elif day_zone is Zone.CONTACT:
        names |= _zones_in_use(root)
    midnights: set[int] = set()
    for name in names:
        zone = find_zone(name)
        if zone is None:
            continue  # a contact's unknown zone counts as the workspace's, which is among the names
        day = local_date(after_us, zone)
        last = local_date(until_us, zone) + timedelta(days=1)
        while day <= last:
            midnight = start_of(day, zone)
            if after_us < midnight <= until_us:
                midnights.add(midnight)
            day += timedelta(days=1)
    return sorted(midnights)


def _zones_in_use(root: Root) -> set[str]:
    view = root.attributes.get(ZONE_ATTRIBUTE)
    if view is None:
        return set()
    codes: set[int] = set()
    for run in view.runs:
        codes.update(np.unique(run.values[run.kinds == Kind.TEXT]).tolist())
    return {root.dictionary.text(code) for code in codes}
