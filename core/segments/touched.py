"""Which segments a wave of facts can change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from core.events.facts import AttributeWrite, ContactFact, ListChange
from core.segments.saved import Saved


def touched_segments(
    saved: Mapping[str, Saved], event_types: Set[str], facts: Sequence[ContactFact], *, appeared: bool
) -> list[str]:
    """Names, sorted, of the segments to look at again.

    Contacts that become known, merge or are erased change every segment; other facts those that name them; a contact
    that came to exist (`appeared`) those that hold for people of whom nothing is known.
    """
    attributes = {fact.name for fact in facts if isinstance(fact, AttributeWrite)}
    lists = {fact.list_name for fact in facts if isinstance(fact, ListChange)}
    if any(not isinstance(fact, AttributeWrite | ListChange) for fact in facts):
        return sorted(saved)
    return sorted(
        name
        for name, one in saved.items()
        if (appeared and one.touches.everything)
        or not attributes.isdisjoint(one.touches.attributes)
        or not lists.isdisjoint(one.touches.lists)
        or any(_matches(pattern, event_types) for pattern in one.touches.event_names)
    )


def _matches(pattern: str, event_types: Set[str]) -> bool:
    if pattern.endswith("*"):
        return any(event.startswith(pattern[:-1]) for event in event_types)
    return pattern in event_types
