"""Cutting an entry of the log into waves: at most one step per contact, so that batching never shows.

A step is what one accepted item said of one contact. Unification tells an item as: merges, the contact's state if it
changed, its writes (all of one instant), then the item's event if it is one; so a state begins a step unless a merge
of the same item has, writes of another instant begin one, and an event joins what was told of it. Steps of one contact
keep the order of the log; contacts are independent of each other, so a wave may hold steps of many contacts. A merge
is a step of both its contacts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.events.columns import IMPORTED, EventColumns
from core.events.facts import AttributeWrite, ContactFact, ContactState, Erasure, ListChange, Merge, ProductState
from core.segments.changes import Cause


@dataclass(slots=True)
class Step:
    """Why one contact may change in a wave, and where its records stand among those of the entry."""

    order: int
    cause: Cause
    effective_at_us: int
    witness: str | None = None


@dataclass(slots=True)
class Wave:
    """Facts to apply together: `event_rows` ascending rows of the entry's events, and row facts in order."""

    event_rows: list[int] = field(default_factory=list)
    facts: list[ContactFact] = field(default_factory=list)
    steps: dict[int, Step] = field(default_factory=dict)

    def events(self, columns: EventColumns) -> EventColumns:
        """The wave's events."""
        if len(self.event_rows) == len(columns):
            return columns
        rows: NDArray[np.intp] = np.array(self.event_rows, np.intp)
        return columns.take(rows)


@dataclass(frozen=True, slots=True)
class _Open:
    """A step that the next fact may join: whose it is, before which event, the instant of its writes (None: none)."""

    contact: int
    before_event: int
    instant_us: int | None
    by_merge: bool

    def takes(self, contact: int, before_event: int, instant_us: int) -> bool:
        """Whether what stands there belongs to the same item."""
        return (self.contact, self.before_event) == (contact, before_event) and self.instant_us in (None, instant_us)


def waves(columns: EventColumns, facts: Sequence[ContactFact]) -> Iterator[Wave]:
    """Cut an entry into waves, in the order in which they are applied. An empty entry gives none."""
    made: list[Wave] = []
    newest: dict[int, int] = {}  # contact -> its last wave
    opened: _Open | None = None  # the step of the last fact; None after an event
    assert columns.contacts is not None, "unification resolves events before they come here"
    contacts = columns.contacts.tolist()
    instants = columns.occurred_at_us.tolist()
    flags = columns.flags.tolist()
    floor = 0
    order = 0

    def wave_for(contact: int) -> Wave:
        number = max(newest.get(contact, -1) + 1, floor)
        newest[contact] = number
        while len(made) <= number:
            made.append(Wave())
        return made[number]

    def add_event(row: int) -> None:
        nonlocal opened
        contact = contacts[row]
        cause = Cause.IMPORT if flags[row] & IMPORTED else Cause.EVENT
        if opened is not None and opened.takes(contact, row, instants[row]):
            wave = made[newest[contact]]
            cause = min(wave.steps[contact].cause, cause)
        else:
            wave = wave_for(contact)
        wave.event_rows.append(row)
        wave.steps[contact] = Step(order, cause, instants[row], columns.ids[row])
        opened = None

    def add_fact(fact: ContactFact) -> None:
        nonlocal floor, opened
        match fact:
            case ProductState():
                # The catalogue speaks to every contact: what came before is finished first.
                if floor == 0 or floor < len(made):
                    made.append(Wave())
                    floor = len(made)
                made[floor - 1].facts.append(fact)
                opened = None
            case Merge():
                number = max(newest.get(fact.survivor, -1), newest.get(fact.loser, -1))
                newest[fact.survivor] = newest[fact.loser] = number
                for contact in (fact.loser, fact.survivor):
                    wave = wave_for(contact)
                    wave.steps[contact] = Step(order, Cause.MERGE, -1)
                wave.facts.append(fact)
                opened = _Open(fact.survivor, fact.before_event, None, by_merge=True)
            case Erasure():
                wave = wave_for(fact.contact)
                wave.facts.append(fact)
                wave.steps[fact.contact] = Step(order, Cause.ERASED, -1)
                opened = None
            case ContactState():
                if opened is None or not (opened.by_merge and opened.takes(fact.contact, fact.before_event, 0)):
                    wave_for(fact.contact).steps[fact.contact] = Step(order, Cause.EVENT, fact.occurred_at_us)
                made[newest[fact.contact]].facts.append(fact)
                opened = _Open(fact.contact, fact.before_event, None, by_merge=False)
            case AttributeWrite() | ListChange():
                cause = Cause.IMPORT if fact.imported else Cause.EVENT
                if opened is not None and opened.takes(fact.contact, fact.before_event, fact.occurred_at_us):
                    step = made[newest[fact.contact]].steps[fact.contact]
                    step.cause = min(step.cause, cause)
                    if step.cause is not Cause.MERGE:
                        step.effective_at_us = fact.occurred_at_us
                else:
                    wave_for(fact.contact).steps[fact.contact] = Step(order, cause, fact.occurred_at_us)
                made[newest[fact.contact]].facts.append(fact)
                opened = _Open(fact.contact, fact.before_event, fact.occurred_at_us, by_merge=False)

    following = iter(facts)
    fact = next(following, None)
    for row in range(len(contacts) + 1):
        while fact is not None and (fact.before_event <= row or row == len(contacts)):
            add_fact(fact)
            order += 1
            fact = next(following, None)
        if row < len(contacts):
            add_event(row)
            order += 1
    for wave in made:
        wave.event_rows.sort()
        yield wave
