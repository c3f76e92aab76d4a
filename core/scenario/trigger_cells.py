"""Moves between the cells of an RFM model, read off the memberships of one standing segment for each cell.

Cells of a model exclude each other and leave nobody out, so a move is one step of a contact: out of one cell's segment
and into another's, at one instant of the engine's record. The segments are saved by the scenario service, for the cells
that scenarios name; saving them, and another version of the model, is an edit and moves nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from core.query.rfm_model import NONE, OTHER
from core.query.text.format_values import label_text, quoted
from core.scenario.definition import RfmTrigger
from core.scenario.plan import Plan
from core.scenario.trigger import Cause, MembershipChange, Occurrence, is_fresh, may_cause

_PREFIX = "rfm cell: "


@dataclass(frozen=True, slots=True)
class CellMove:
    """One contact went from one cell to another; None: a cell that nobody watches. `record` names the place of the
    later of its two records in the membership log."""

    contact: int
    model: str
    from_cell: str | None
    to_cell: str | None
    cause: Cause
    effective_at_us: int
    recorded_at_us: int
    record: str


def segment_of_cell(model: str, cell: str) -> str:
    """The name of the segment that is kept for a cell."""
    return f"{_PREFIX}{model} / {cell}"


def text_of_cell(model: str, cell: str) -> str:
    """Its rule, in the segment language."""
    return f"rfm {label_text(model)} in cell {quoted(cell)}"


def cells_needed(trigger: RfmTrigger, cells_of_model: Sequence[str]) -> tuple[str, ...]:
    """The cells whose segments tell every move that `trigger` means, in their order: those that it names, and where it
    leaves an end open, all. `cells_of_model` are the model's named cells."""
    if not trigger.from_cells or not trigger.to_cells:
        return (*cells_of_model, OTHER, NONE)
    return tuple(dict.fromkeys((*trigger.from_cells, *trigger.to_cells)))


def cell_of(segment: str, models: Collection[str]) -> tuple[str, str] | None:
    """The model, one of `models`, and the cell whose segment this is; None for any other segment."""
    if not segment.startswith(_PREFIX):
        return None
    found = [model for model in models if segment.startswith(segment_of_cell(model, ""))]
    model = max(found, key=len, default=None)
    return None if model is None else (model, segment.removeprefix(segment_of_cell(model, "")))


def cell_moves(changes: Iterable[MembershipChange], models: Collection[str]) -> list[CellMove]:
    """The moves between cells of `models` that records of one entry of the membership log tell, in the order of their
    later records; other records are passed over."""
    steps: dict[tuple[int, str, int, int], CellMove] = {}
    for change in changes:
        place = cell_of(change.segment, models)
        if place is None:
            continue
        model, cell = place
        step = (change.contact, model, change.recorded_at_us, change.effective_at_us)
        known = steps.pop(step, None)
        from_cell, to_cell = (None, cell) if change.entered else (cell, None)
        if known is not None:
            from_cell, to_cell = from_cell or known.from_cell, to_cell or known.to_cell
        steps[step] = CellMove(
            change.contact, model, from_cell, to_cell, change.cause, change.effective_at_us, change.recorded_at_us,
            change.record,
        )  # fmt: skip
    return [move for move in steps.values() if move.from_cell != move.to_cell]


def started_by_move(plan: Plan, move: CellMove) -> Occurrence | None:
    """What a move starts, or None: other cells, another model, an edit, too old. Somebody of whom nothing was known
    before comes from no cell: that is a move for a trigger that takes people from anywhere, unless to "none"."""
    trigger = plan.definition.trigger
    if not isinstance(trigger, RfmTrigger) or trigger.model != move.model:
        return None
    if move.to_cell is None or (trigger.to_cells and move.to_cell not in trigger.to_cells):
        return None
    if trigger.from_cells and move.from_cell not in trigger.from_cells:
        return None
    if move.from_cell is None and move.to_cell == NONE:
        return None
    if not may_cause(plan.definition, move.cause):
        return None
    if not is_fresh(plan, move.effective_at_us, move.recorded_at_us):
        return None
    values = {"model": move.model, "to_cell": move.to_cell}
    if move.from_cell is not None:
        values["from_cell"] = move.from_cell
    at_us = min(move.effective_at_us, move.recorded_at_us)
    return Occurrence(f"{move.model}@{move.record}:moved", at_us, move.contact, values)
