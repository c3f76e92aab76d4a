"""What a question is, and how its constants are drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tests.bench.engine import Answer, At, Constants, Form
from tests.bench.ours import Ours
from tests.bench.workload import DAYS, EVENT_TYPES, SHARES, TEXT_ATTRIBUTES, Workload

_HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Question:
    """`ours` is a rule's text as a template over the constants, or a call where the answer is a table. Peers' forms go
    by name; all of them are tried and the fastest is kept; a peer without forms is not asked. Where `is_set`, a form
    selects `contact`; else its rows are the answer. `touched`: bytes that any plan over plain narrow columns must read
    or write, results left out. `in_mean`: whether it counts in the geometric mean."""

    name: str
    title: str
    draw: Callable[[Draw], Constants]
    ours: str | Callable[[Ours, Constants, int], Answer]
    duckdb: Mapping[str, Form]
    clickhouse: Mapping[str, Form]
    touched: Callable[[Workload, Constants], int]
    in_mean: bool = True

    @property
    def is_set(self) -> bool:
        """Whether the answer is a set of contacts."""
        return isinstance(self.ours, str)


class Draw:
    """Constants of one repetition, drawn around one instant."""

    def __init__(self, generator: np.random.Generator, as_of_us: int) -> None:
        self._generator = generator
        self.as_of_us = as_of_us

    def between(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return int(self._generator.integers(low, high + 1))

    def value(self, attribute: str, most: int) -> str:
        """One of the `most` most frequent values of a text attribute."""
        return self.values(attribute, most, 1)[0]

    def values(self, attribute: str, most: int, n: int) -> list[str]:
        """`n` different ones of the `most` most frequent values."""
        chosen = self._generator.choice(most, n, replace=False)
        return [TEXT_ATTRIBUTES[attribute][int(code)] for code in chosen]

    def one_of(self, values: Sequence[str]) -> str:
        """One of `values`."""
        return values[int(self._generator.integers(len(values)))]

    def some_of(self, n: int, k: int) -> list[int]:
        """`k` different ones of 0 to n - 1."""
        return [int(one) for one in self._generator.choice(n, k, replace=False)]

    def window(self, name: str, days: int) -> dict[str, int | At]:
        """About `days` days, in whole hours: `<name>_h`, and the instant at which it opens: `<name>_open`."""
        hours = self.between(days * 22, min(days * 26, DAYS * 24))
        return {f"{name}_h": hours, f"{name}_open": At(self.as_of_us - hours * _HOUR_US)}


def rows_in(workload: Workload, event_type: str, hours: object) -> int:
    """About how many events of a type lie in a window of so many hours."""
    assert isinstance(hours, int)
    return int(workload.events * SHARES[EVENT_TYPES.index(event_type)] * hours / (DAYS * 24))


def words(workload: Workload) -> int:
    """Bytes of a dense set of all contacts."""
    return workload.contacts // 8
