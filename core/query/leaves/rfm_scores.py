"""Scores of RFM models as thresholds, and the cells that scores lie in.

The score of x among n values with k bins is 1 + floor(k * |{y < x}| / n). It is at least s where at least
c = ceil((s - 1) n / k) values are smaller, that is where the c-th smallest is smaller. So k - 1 values say everything:
the score is 1 + how many of them x exceeds. Fixed bounds are thresholds, too: "reaches b" is "exceeds b - 1".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.kernels.ranks import plain_values_at_places, values_at_places
from core.kernels.rfm import cells_of_values, plain_cells_of_values
from core.query.ast import Population
from core.query.execute_context import Context
from core.query.knowledge import RfmKey, RfmThresholds
from core.query.leaves.last_numbers import remembered
from core.query.leaves.population import members_of
from core.query.leaves.rfm_ranked import RankedValues, ranked_values
from core.query.leaves.rfm_values import RfmValues, events_of, rfm_values
from core.query.rfm_model import NONE, OTHER, Axis, RfmModel
from core.query.windows import GREATEST, LEAST

#: The cell of a contact with events that is outside of the population: none at all.
NO_CELL = -1


def thresholds(model: RfmModel, population: Population, context: Context) -> RfmThresholds:
    """The grid of the whole population as of as_of, from the facts; what a standing segment publishes. Computed once
    per context; candidates of `context` do not narrow it."""
    whole = context.whole()
    key = ("rfm thresholds", model, population)
    found: RfmThresholds | None = whole.computed.get(key)
    if found is None:
        found = whole.computed[key] = remembered(key, whole, lambda: _computed(model, population, whole))
    return found


def _computed(model: RfmModel, population: Population, whole: Context) -> RfmThresholds:
    ranked = population_values(model, population, whole)
    if ranked is not None:
        return _thresholds_of_ranked(model, ranked, whole.as_of_us)
    values = rfm_values(model, whole).among(members_of(population, whole))
    return thresholds_of(model, values, whole.as_of_us)


def population_values(model: RfmModel, population: Population, whole: Context) -> RankedValues | None:
    """The population's values folded together; None where they have to be found one by one, or where the values of
    every contact are there already. `whole` has no candidates; computed once per context."""
    if ("rfm values", model) in whole.computed:
        return None
    key = ("rfm ranked", model, population)
    if key not in whole.computed:
        members = members_of(population, whole)
        whole.computed[key] = ranked_values(events_of(model), model.value_path, members, whole)
    found: RankedValues | None = whole.computed[key]
    return found


def _thresholds_of_ranked(model: RfmModel, ranked: RankedValues, as_of_us: int) -> RfmThresholds:
    n = len(ranked)

    def places(axis: Axis) -> tuple[int, ...]:
        return () if axis.bounds is not None or n == 0 else rank_places(axis.bins, n)

    return RfmThresholds(
        ranked.recency_at(places(model.recency)),
        ranked.frequency_at(places(model.frequency)),
        ranked.monetary_at(places(model.monetary)),
        n,
        as_of_us,
    )


def thresholds_of(model: RfmModel, values: RfmValues, as_of_us: int) -> RfmThresholds:
    """The grid of these values."""
    return RfmThresholds(
        rank_thresholds(model.recency, values.recency),
        rank_thresholds(model.frequency, values.frequency),
        rank_thresholds(model.monetary, values.monetary),
        len(values),
        as_of_us,
    )


def rank_thresholds(axis: Axis, values: NDArray[Any]) -> tuple[int, ...]:
    """The thresholds of an axis that scores by rank; () where it has fixed bounds, or where there are no values."""
    if axis.bounds is not None or len(values) == 0:
        return ()
    places = rank_places(axis.bins, len(values))
    return plain_values_at_places(values, places) if values.dtype == object else values_at_places(values, places)


def rank_places(bins: int, n: int) -> tuple[int, ...]:
    """Which of n ascending values, counted from 0, are the thresholds of `bins` bins."""
    return tuple(-(-step * n // bins) - 1 for step in range(1, bins))


@dataclass(frozen=True, slots=True)
class Grid:
    """Thresholds of all axes at one instant, those of fixed bounds included."""

    recency: tuple[int, ...]
    frequency: tuple[int, ...]
    monetary: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Bins of each axis."""
        return len(self.recency) + 1, len(self.frequency) + 1, len(self.monetary) + 1

    def places(self, values: RfmValues) -> NDArray[np.uint16]:
        """The place of each contact in a table of `shape`, flattened: its scores - 1 are the indices."""
        found = np.zeros(len(values), np.uint16)
        recency, frequency = _array(self.recency), _array(self.frequency)
        if values.monetary.dtype == object:
            # Sums beyond 64 bits have thresholds beyond 64 bits.
            monetary: NDArray[Any] = np.array(self.monetary, object)
            plain_cells_of_values(
                values.recency, values.frequency, values.monetary, recency, frequency, monetary, found
            )
        else:
            monetary = _array(self.monetary)
            cells_of_values(values.recency, values.frequency, values.monetary, recency, frequency, monetary, found)
        return found


def _array(bounds: tuple[int, ...]) -> NDArray[np.int64]:
    """Thresholds of values of 64 bits; none lies beyond the ends."""
    return np.array([min(max(bound, LEAST), GREATEST) for bound in bounds], np.int64)


def grid_of(model: RfmModel, ranks: RfmThresholds, as_of_us: int) -> Grid | None:
    """The grid in force at `as_of_us`; None where an axis goes by rank and nobody was there to be ranked."""
    axes = (model.recency, model.frequency, model.monetary)
    if ranks.n == 0 and any(axis.bounds is None for axis in axes):
        return None
    recency = ranks.recency
    if model.recency.bounds is not None:
        # An age of at most b is a last event after as_of - b - 1.
        recency = tuple(sorted(as_of_us - bound - 1 for bound in model.recency.bounds))
    return Grid(recency, _or_fixed(model.frequency, ranks.frequency), _or_fixed(model.monetary, ranks.monetary))


def _or_fixed(axis: Axis, ranks: tuple[int, ...]) -> tuple[int, ...]:
    return ranks if axis.bounds is None else tuple(bound - 1 for bound in axis.bounds)


def cell_names(model: RfmModel) -> tuple[str, ...]:
    """Every cell that a contact can be in: the named ones in order, each once, then "other" and "none"."""
    return (*dict.fromkeys(cell.name for cell in model.cells if cell.name not in (OTHER, NONE)), OTHER, NONE)


def cell_table(model: RfmModel) -> NDArray[np.int16]:
    """The number of a cell's name in `cell_names` by score - 1 of recency, frequency, monetary: first match wins."""
    names = cell_names(model)
    shape = (model.recency.bins, model.frequency.bins, model.monetary.bins)
    table = np.full(shape, names.index(OTHER), np.int16)
    for cell in reversed(model.cells):
        box = tuple(slice(low - 1, high) for low, high in (cell.recency, cell.frequency, cell.monetary))
        table[box] = names.index(cell.name)
    return table


@dataclass(frozen=True, slots=True)
class Cells:
    """`numbers` of the cells (in `cell_names`, or NO_CELL) of `contacts` (uint32 ascending), which are those with a
    matching event; everyone else is in "none"."""

    contacts: NDArray[np.uint32]
    numbers: NDArray[np.int16]

    def of(self, contacts: NDArray[np.uint32], none: int) -> NDArray[np.int16]:
        """The cell of each of `contacts` (ascending); `none` is the number of "none"."""
        result = np.full(len(contacts), none, np.int16)
        places = np.searchsorted(contacts, self.contacts)
        inside = np.flatnonzero(places < len(contacts))
        held = inside[contacts[places[inside]] == self.contacts[inside]]
        result[places[held]] = self.numbers[held]
        return result


def cells_of(model: RfmModel, population: Population, age_us: int, context: Context) -> Cells:
    """The cells of the contacts of `context` at as_of - age, scored within the population of that instant, by the
    published grid where there is one."""
    then = context.at(context.as_of_us - age_us)
    # Before the thresholds: those of everyone come from these values then.
    values = rfm_values(model, then)
    ranks = context.knowledge.rfm.get(RfmKey(model.name, population, age_us))
    if ranks is None:
        ranks = thresholds(model, population, context.whole().at(then.as_of_us))
    grid = grid_of(model, ranks, then.as_of_us)
    if grid is None:
        numbers = np.full(len(values), cell_names(model).index(OTHER), np.int16)
    else:
        numbers = cell_table(model).reshape(-1)[grid.places(values)]
    inside = members_of(population, then).has(values.contacts)
    return Cells(values.contacts, np.where(inside, numbers, np.int16(NO_CELL)))
