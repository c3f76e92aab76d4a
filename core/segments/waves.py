"""Cutting an entry of the log into waves: at most one step per contact, so that batching never shows.

A step is what one accepted item said of one contact: an event, or the changes that stand before the same event and
have the same instant. Steps of one contact keep the order of the log; contacts are independent of each other, so a
wave may hold steps of many contacts. A merge is a step of both its contacts.
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


def waves(columns: EventColumns, facts: Sequence[ContactFact]) -> Iterator[Wave]:
    """Cut an entry into waves, in the order in which they are applied. An empty entry gives none."""
    made: list[Wave] = []
    newest: dict[int, int] = {}  # contact -> its last wave
    open_step: dict[int, tuple[int, int]] = {}  # contact -> (before_event, instant) of its open step of row facts
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
        contact = contacts[row]
        opened = open_step.pop(contact, None)
        cause = Cause.IMPORT if flags[row] & IMPORTED else Cause.EVENT
        if opened == (row, instants[row]):
            # The event itself made its contact: one item, one step.
            wave = made[newest[contact]]
            wave.event_rows.append(row)
            wave.steps[contact] = Step(wave.steps[contact].order, cause, instants[row], columns.ids[row])
            return
        wave = wave_for(contact)
        wave.event_rows.append(row)
        wave.steps[contact] = Step(order, cause, instants[row], columns.ids[row])

    def add_fact(fact: ContactFact) -> None:
        nonlocal floor
        match fact:
            case ProductState():
                # The catalogue speaks to every contact: what came before is finished first.
                floor = len(made)
                made.append(Wave(facts=[fact]))
                floor = len(made)
                open_step.clear()
            case Merge():
                number = max(newest.get(fact.survivor, -1), newest.get(fact.loser, -1)) + 1
                newest[fact.survivor] = newest[fact.loser] = number - 1
                open_step.pop(fact.survivor, None)
                open_step.pop(fact.loser, None)
                for contact in (fact.loser, fact.survivor):
                    wave = wave_for(contact)
                    wave.steps[contact] = Step(order, Cause.MERGE, -1)
                wave.facts.append(fact)
            case Erasure():
                wave = wave_for(fact.contact)
                wave.facts.append(fact)
                wave.steps[fact.contact] = Step(order, Cause.ERASED, -1)
                open_step.pop(fact.contact, None)
            case ContactState() | AttributeWrite() | ListChange():
                place = (fact.before_event, fact.occurred_at_us)
                imported = not isinstance(fact, ContactState) and fact.imported
                if open_step.get(fact.contact) == place:
                    wave = made[newest[fact.contact]]
                    step = wave.steps[fact.contact]
                    if imported:
                        step.cause = Cause.IMPORT
                else:
                    wave = wave_for(fact.contact)
                    cause = Cause.IMPORT if imported else Cause.EVENT
                    wave.steps[fact.contact] = Step(order, cause, fact.occurred_at_us)
                    open_step[fact.contact] = place
                wave.facts.append(fact)

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
