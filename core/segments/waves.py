"""Cutting an entry of the log into waves: at most one step per contact, so that batching never shows.

A step is what one accepted item said of one contact: row facts of one `item` are neighbours, and those that an event
brought join the event. Steps of one contact keep the order of the log; contacts are independent of each other, so a
wave may hold steps of many contacts. A merge is a step of both its contacts, and so is an unmerge with all that its
item tells of them anew.
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
    MachineMark,
    Merge,
    ProductState,
    Unmerge,
)
from core.segments.changes import Cause
from core.segments.pieces import Steps


@dataclass(slots=True)
class Step:
    """Why one contact may change in a wave, and where its records stand among those of the entry. `witness` is the row
    of the event that did it, -1: none."""

    order: int
    cause: Cause
    effective_at_us: int
    witness: int = -1


@dataclass(slots=True)
class Wave:
    """Facts to apply together: `event_rows` ascending rows of the entry's events, and row facts in order. `steps` are
    those of the contacts named; `product`: the step of everyone whose events name the product of the one fact."""

    event_rows: list[int] = field(default_factory=list)
    facts: list[ContactFact] = field(default_factory=list)
    steps: dict[int, Step] = field(default_factory=dict)
    product: Step | None = None

    def table(self, columns: EventColumns) -> Steps:
        """The steps as columns."""
        contacts = sorted(self.steps)
        steps = [self.steps[contact] for contact in contacts]
        return Steps(
            np.array(contacts, np.uint32),
            np.array([step.order for step in steps], np.int64),
            np.array([int(step.cause) for step in steps], np.uint8),
            np.array([step.effective_at_us for step in steps], np.int64),
            np.array([step.witness for step in steps], np.int64),
        )

    def events(self, columns: EventColumns) -> EventColumns:
        """The wave's events."""
        if len(self.event_rows) == len(columns):
            return columns
        rows: NDArray[np.intp] = np.array(self.event_rows, np.intp)
        return columns.take(rows)


@dataclass(frozen=True, slots=True)
class _Open:
    """The step that the next fact joins if it is of the same contact and item. `other` is the second contact of an
    unmerge, whose step is in the same wave."""

    contact: int
    before_event: int
    item: int
    other: int | None = None

    def takes(self, here: _Open) -> bool:
        """Whether a fact of that contact and item joins."""
        mine = here.contact in (self.contact, self.other)
        return mine and (here.before_event, here.item) == (self.before_event, self.item)


class EventWave:
    """A wave of events alone: many contacts cost no more than their columns."""

    facts: tuple[ContactFact, ...] = ()
    product: Step | None = None

    def __init__(self, rows: NDArray[np.intp], columns: EventColumns) -> None:
        """`rows` ascending, of different contacts."""
        self._rows = rows
        self._columns = columns

    @property
    def event_rows(self) -> list[int]:
        """The rows as a wave of facts has them."""
        return list(self._rows.tolist())

    @property
    def steps(self) -> dict[int, Step]:
        """The steps as a wave of facts has them."""
        table = self.table(self._columns)
        columns = (table.contacts, table.order, table.causes, table.effective_at_us, table.witness)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return {contact: Step(order, Cause(cause), at_us, row) for contact, order, cause, at_us, row in rows}

    def table(self, columns: EventColumns) -> Steps:
        """The steps as columns."""
        assert columns.contacts is not None
        rows = self._rows[np.argsort(columns.contacts[self._rows], kind="stable")]
        imported = (columns.flags[rows] & IMPORTED) != 0
        causes = np.where(imported, int(Cause.IMPORT), int(Cause.EVENT)).astype(np.uint8)
        numbers = rows.astype(np.int64)
        return Steps(columns.contacts[rows], numbers, causes, columns.occurred_at_us[rows], numbers)

    def events(self, columns: EventColumns) -> EventColumns:
        """The wave's events."""
        return columns if len(self._rows) == len(columns) else columns.take(self._rows)


def event_waves(columns: EventColumns, rows: NDArray[np.intp] | None = None) -> Iterator[EventWave]:
    """The n-th event of each contact is in the n-th wave; of `rows` (ascending; None: of all)."""
    if rows is None:
        rows = np.arange(len(columns))
    if len(rows) == 0:
        return
    assert columns.contacts is not None, "unification resolves events before they come here"
    mine = columns.contacts[rows]
    order = np.argsort(mine, kind="stable")
    contacts = mine[order]
    starts = np.flatnonzero(np.concatenate(([True], contacts[1:] != contacts[:-1])))
    lengths = np.diff(np.append(starts, len(contacts)))
    number = np.empty(len(contacts), np.intp)
    number[order] = np.arange(len(contacts)) - np.repeat(starts, lengths)
    for wave in range(int(lengths.max())):
        yield EventWave(rows[number == wave], columns)


def waves(
    columns: EventColumns, facts: Sequence[ContactFact], rows: NDArray[np.intp] | None = None
) -> Iterator[Wave | EventWave]:
    """Cut an entry into waves, in the order in which they are applied. An empty entry gives none. `rows`: ascending,
    the only events to take; the others, of contacts without facts, keep their place in the order of records."""
    if not facts:
        yield from event_waves(columns, rows)
        return
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
        wave.steps[contact] = Step(order, cause, instants[row], row)
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

    def add_unmerge(fact: Unmerge) -> None:
        nonlocal opened
        both = (fact.survivor, fact.restored)
        newest.update(dict.fromkeys(both, max(newest.get(contact, -1) for contact in both)))
        for contact in both:
            wave_for(contact).steps[contact] = Step(order, Cause.UNMERGE, fact.occurred_at_us)
        made[newest[fact.survivor]].facts.append(fact)
        opened = _Open(fact.survivor, fact.before_event, fact.item, fact.restored)

    def add_row(fact: ContactState | AttributeWrite | ListChange | MachineMark) -> None:
        nonlocal opened
        here = _Open(fact.contact, fact.before_event, fact.item)
        cause = Cause.IMPORT if fact.imported else Cause.EVENT
        instant_us = fact.occurred_at_us
        if isinstance(fact, ContactState) and fact.told_at_us is not None:
            instant_us = fact.told_at_us
        if opened is not None and opened.takes(here):
            step = made[newest[fact.contact]].steps[fact.contact]
            step.cause = min(step.cause, cause)
            if step.cause not in (Cause.MERGE, Cause.UNMERGE):
                step.effective_at_us = instant_us
            here = opened
        else:
            wave_for(fact.contact).steps[fact.contact] = Step(order, cause, instant_us)
        made[newest[fact.contact]].facts.append(fact)
        opened = here

    def add_fact(fact: ContactFact) -> None:
        nonlocal floor, opened
        match fact:
            case ProductState():
                # The catalogue speaks to every contact: what came before is finished first, and each product is a step.
                made.append(Wave(product=Step(order, Cause.CATALOGUE, fact.occurred_at_us)))
                floor = len(made)
                made[-1].facts.append(fact)
                opened = None
            case Merge():
                add_merge(fact)
            case Unmerge():
                add_unmerge(fact)
            case Erasure():
                wave = wave_for(fact.contact)
                wave.facts.append(fact)
                wave.steps[fact.contact] = Step(order, Cause.ERASED, -1)
                opened = None
            case ContactState() | AttributeWrite() | ListChange() | MachineMark():
                add_row(fact)

    following = iter(facts)
    fact = next(following, None)
    taken = range(len(contacts)) if rows is None else rows.tolist()
    ahead = told = 0  # events and facts before the next fact
    for row in (*taken, len(contacts)):
        while fact is not None and (fact.before_event <= row or row == len(contacts)):
            ahead = min(max(ahead, fact.before_event), len(contacts))
            order = ahead + told
            add_fact(fact)
            told += 1
            fact = next(following, None)
        if row < len(contacts):
            order = row + told
            add_event(row)
    for wave in made:
        wave.event_rows.sort()
        yield wave
