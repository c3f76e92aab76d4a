"""Cutting an entry of the log into waves: at most one step per contact, so that batching never shows.

A step is what one accepted item said of one contact: row facts of one `item` are neighbours, and those that an event
brought join the event. Steps of one contact keep the order of the log; contacts are independent of each other, so a
wave may hold steps of many contacts. A merge is a step of both its contacts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.events.columns import IMPORTED, EventColumns
from core.events.facts import (
    EVENT_ITEM,
    AttributeWrite,
    ContactFact,
    ContactState,
    Erasure,
    ListChange,
    Merge,
    ProductState,
)
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
    """The step that the next fact joins if it is of the same contact and item."""

    contact: int
    before_event: int
    item: int


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
        if opened == _Open(contact, row, EVENT_ITEM):
            wave = made[newest[contact]]
            cause = min(wave.steps[contact].cause, cause)
        else:
            wave = wave_for(contact)
        wave.event_rows.append(row)
        wave.steps[contact] = Step(order, cause, instants[row], columns.ids[row])
        opened = None

    def add_merge(fact: Merge) -> None:
        nonlocal opened
        number = newest.get(fact.survivor, -1)
        here = _Open(fact.survivor, fact.before_event, fact.item)
        if opened != here or newest.get(fact.loser, -1) >= number:
            newest[fact.survivor] = newest[fact.loser] = max(number, newest.get(fact.loser, -1))
            number = newest[fact.survivor] + 1
            wave_for(fact.survivor)
        newest[fact.loser] = number
        wave = made[newest[fact.survivor]]
        wave.facts.append(fact)
        for contact in (fact.loser, fact.survivor):
            wave.steps[contact] = Step(order, Cause.MERGE, -1)
        opened = here

    def add_row(fact: ContactState | AttributeWrite | ListChange) -> None:
        nonlocal opened
        here = _Open(fact.contact, fact.before_event, fact.item)
        cause = Cause.IMPORT if fact.imported else Cause.EVENT
        instant_us = fact.occurred_at_us
        if isinstance(fact, ContactState) and fact.told_at_us is not None:
            instant_us = fact.told_at_us
        if opened == here:
            step = made[newest[fact.contact]].steps[fact.contact]
            step.cause = min(step.cause, cause)
            if step.cause is not Cause.MERGE:
                step.effective_at_us = instant_us
        else:
            wave_for(fact.contact).steps[fact.contact] = Step(order, cause, instant_us)
        made[newest[fact.contact]].facts.append(fact)
        opened = here

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
                add_merge(fact)
            case Erasure():
                wave = wave_for(fact.contact)
                wave.facts.append(fact)
                wave.steps[fact.contact] = Step(order, Cause.ERASED, -1)
                opened = None
            case ContactState() | AttributeWrite() | ListChange():
                add_row(fact)

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
