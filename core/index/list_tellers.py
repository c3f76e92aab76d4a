"""Of whom a change of a list was told, where it was heard by others as well.

A change of a list that is told of one part of a merged contact holds for all its parts from then on, and is written to
each. When the merge is taken back, each side forgets what was told of the other one; so it is kept who was meant.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.index.step_run import StepRun

#: A list, the log order of a change, and the part that it was told of.
Row = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class TellersView:
    """The first `count` of `rows`, which are shared with the writer: later ones may stand beyond them."""

    rows: Sequence[Row] = ()
    count: int = 0

    def __bool__(self) -> bool:
        """Whether there are any."""
        return self.count > 0

    def arrays(self) -> tuple[dict[str, NDArray[Any]], list[str]]:
        """For a section of a snapshot: arrays, and the names of lists that `lists` are places of."""
        rows = self.rows[: self.count]
        names = sorted({name for name, _, _ in rows})
        places = {name: place for place, name in enumerate(names)}
        return {
            "lists": np.array([places[name] for name, _, _ in rows], np.int64),
            "orders": np.array([order for _, order, _ in rows], np.int64),
            "parts": np.array([part for _, _, part in rows], np.int64),
        }, names


class ListTellers:
    """The writer. A change that is not here was told of the part that holds it."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._of_list: dict[str, dict[int, int]] = {}

    def add(self, name: str, order: int, part: int) -> None:
        """The change of list `name` with this log order was told of `part`."""
        self._rows.append((name, order, part))
        self._of_list.setdefault(name, {})[order] = part

    def told_of(self, name: str, run: StepRun, side: Collection[int]) -> NDArray[np.bool_]:
        """Which changes of the list were told of a part on this side; those of `run` are of such parts."""
        tellers = self._of_list.get(name, {})
        pairs = zip(run.contacts.tolist(), run.log_order.tolist(), strict=True)
        return np.array([tellers.get(order, contact) in side for contact, order in pairs], np.bool_)

    def view(self) -> TellersView:
        """All of them, as of now."""
        return TellersView(self._rows, len(self._rows))

    def load(self, arrays: Mapping[str, NDArray[Any]], names: Sequence[str]) -> None:
        """Put back what `TellersView.arrays` gave."""
        columns = (arrays[column].tolist() for column in ("lists", "orders", "parts"))
        for place, order, part in zip(*columns, strict=True):
            self.add(names[place], order, part)
