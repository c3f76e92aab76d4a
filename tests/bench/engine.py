"""What every engine of the comparison offers, and what it answers with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tests.bench.workload import Contacts, Events


@dataclass(frozen=True, slots=True)
class At:
    """An instant among the constants of a question; each engine writes it in its own way."""

    us: int


@dataclass(frozen=True, slots=True)
class Money:
    """An amount among the constants of a question."""

    cents: int

    def __str__(self) -> str:
        return f"{self.cents // 100}.{self.cents % 100:02d}"


Constants = Mapping[str, int | str | At | Money]
#: Rows of whole numbers in ascending order. A set of contacts is one row: count, sum and exclusive or of its members.
Answer = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Form:
    """One way to ask a peer. `sql` is a template over the constants; where the answer is a set it selects `contact`,
    each once. `count`: a faster way to the number alone, for the clock; the members are then asked for by `sql`."""

    sql: str
    count: str = ""


class NotMeasuredError(Exception):
    """The question cannot be asked yet; the message says what is missing."""


class Peer(Protocol):
    """A database that holds the workload and answers templates."""

    name: str
    version: str

    def load_contacts(self, contacts: Contacts) -> None:
        """Fill the table of contacts."""
        ...

    def load_events(self, events: Events) -> None:
        """Append a batch; batches come in order of time."""
        ...

    def loaded(self) -> None:
        """Everything is in: bring it into the best order for reading."""
        ...

    def save_segments(self, members: Sequence[NDArray[np.uint32]]) -> None:
        """Store sets of contacts under the numbers 1, 2, 3 ..."""
        ...

    def run(self, template: str, constants: Constants) -> Answer:
        """The rows of a query, ascending."""
        ...

    def count(self, form: Form, constants: Constants) -> Answer:
        """The number of contacts that `form` selects, as one row of one number."""
        ...

    def members(self, form: Form, constants: Constants) -> Answer:
        """Count, sum and exclusive or of the contacts that `form` selects, as one row."""
        ...

    def close(self) -> None:
        """End it; its files may go then."""
        ...
