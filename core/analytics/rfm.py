"""The grid of an RFM model: how many contacts in each cell, what they are worth, and who moved."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from core.query.ast import Population
from core.query.execute_context import Context
from core.query.leaves.population import members_of
from core.query.leaves.rfm_scores import NO_CELL, Cells, cell_names, cells_of, grid_of, population_values, thresholds
from core.query.leaves.rfm_values import rfm_values
from core.query.leaves.statistics import exact_sum
from core.query.rfm_model import NONE, RfmModel
from core.schema import format_units


@dataclass(frozen=True, slots=True)
class CellSize:
    """A named cell: its `contacts`, their share of the population, and the sum of their monetary values in units of
    1e-4. "none" is everyone of the population without an event, "other" everyone in no named cell."""

    name: str
    contacts: int
    share: Fraction
    value_units: int

    @property
    def mean_units(self) -> Fraction | None:
        """Value by contact, exact; None where there is nobody."""
        return Fraction(self.value_units, self.contacts) if self.contacts else None


@dataclass(frozen=True, slots=True)
class RfmMatrix:
    """`grid[r - 1, f - 1, m - 1]` (int64): contacts with these scores. `cells` in the order of the model, then "other"
    and "none". `moves[i, j]` (int64; None where no earlier instant was asked for): contacts of the population that were
    in cell i then and are in cell j now, i and j places in `cells`; the diagonal are those that stayed."""

    grid: NDArray[np.int64]
    cells: tuple[CellSize, ...]
    moves: NDArray[np.int64] | None

    def rate(self, before: int, after: int) -> Fraction | None:
        """The share of those in cell `before` then that are in cell `after` now; None where there was nobody."""
        if self.moves is None or not self.moves[before].any():
            return None
        return Fraction(int(self.moves[before, after]), int(self.moves[before].sum()))


def rfm_matrix(model: RfmModel, population: Population, context: Context, *, since_us: int | None = None) -> RfmMatrix:
    """The grid of the population as of as_of. `since_us`: an earlier instant to tell moves from, scored within the
    population of then by today's model. Candidates of `context` do not narrow the answer, and published grids do not
    count: everything is of as_of."""
    whole = _by_facts(context)
    members = members_of(population, whole)
    names = cell_names(model)
    now = cells_of(model, population, 0, whole)
    values = rfm_values(model, whole)
    sizes = []
    for number, name in enumerate(names):
        mine = now.numbers == number
        count = int(np.count_nonzero(mine))
        if name == NONE:
            count = len(members) - int(np.count_nonzero(now.numbers != NO_CELL))
        share = Fraction(count, len(members)) if len(members) else Fraction(0)
        sizes.append(CellSize(name, count, share, exact_sum(values.monetary[mine])))
    moves = None if since_us is None else _moves(model, population, whole, now, since_us)
    return RfmMatrix(rfm_grid(model, population, whole), tuple(sizes), moves)


def rfm_grid(model: RfmModel, population: Population, context: Context) -> NDArray[np.int64]:
    """Contacts of the population by recency, frequency and monetary score - 1, as of as_of; int64."""
    whole = _by_facts(context)
    shape = (model.recency.bins, model.frequency.bins, model.monetary.bins)
    grid = grid_of(model, thresholds(model, population, whole), whole.as_of_us)
    if grid is None:
        return np.zeros(shape, np.int64)
    ranked = population_values(model, population, whole)
    if ranked is not None:
        return ranked.cells(grid.recency, grid.frequency, grid.monetary).reshape(shape)
    mine = rfm_values(model, whole).among(members_of(population, whole))
    cells = shape[0] * shape[1] * shape[2]
    return np.bincount(grid.places(mine), minlength=cells).astype(np.int64).reshape(shape)


def _by_facts(context: Context) -> Context:
    """The same evaluation for all contacts, without published numbers."""
    if not context.knowledge.rfm:
        return context.whole()
    return Context(context.root, context.as_of_us, context.zone_name, None, context.setting)


def _moves(model: RfmModel, population: Population, whole: Context, now: Cells, since_us: int) -> NDArray[np.int64]:
    names = cell_names(model)
    none = names.index(NONE)
    then = cells_of(model, population, whole.as_of_us - since_us, whole)
    contacts = members_of(population, whole).numbers()
    before, after = then.of(contacts, none), now.of(contacts, none)
    had_cell = (before != NO_CELL) & (after != NO_CELL)
    pairs = before[had_cell].astype(np.int64) * len(names) + after[had_cell]
    return np.bincount(pairs, minlength=len(names) ** 2).astype(np.int64).reshape(len(names), len(names))


def rfm_csv(matrix: RfmMatrix) -> str:
    """One line a cell: its name, contacts, share in per cent, value and value by contact, money with four decimals at
    most; then, where moves were asked for, how many came from each cell."""
    names = [cell.name for cell in matrix.cells]
    moved = [] if matrix.moves is None else [f"from {name}" for name in names]
    lines = [_line(["cell", "contacts", "share %", "value", "mean", *moved])]
    for place, cell in enumerate(matrix.cells):
        share = round(cell.share * 10_000)
        mean = "" if cell.mean_units is None else format_units(round(cell.mean_units))
        row = [cell.name, str(cell.contacts), f"{share // 100}.{share % 100:02d}", format_units(cell.value_units), mean]
        if matrix.moves is not None:
            row += [str(int(count)) for count in matrix.moves[:, place]]
        lines.append(_line(row))
    return "\n".join(lines) + "\n"


def _line(fields: list[str]) -> str:
    """RFC 4180: quoted where a name needs it."""
    return ",".join('"' + one.replace('"', '""') + '"' if any(c in one for c in ',"\r\n') else one for one in fields)
