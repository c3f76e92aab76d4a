"""Moves between cells of an RFM model: which records make one, and which scenarios it starts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.clock import HOUR_US
from core.scenario.definition import Block, Definition, Exit, RfmTrigger
from core.scenario.plan import Plan
from core.scenario.trigger import Cause, MembershipChange
from core.scenario.trigger_cells import (
    CellMove,
    cell_moves,
    cell_of,
    cells_needed,
    segment_of_cell,
    started_by_move,
    text_of_cell,
)
from core.scenario.validate import plan_of
from tests.unit.scenario.plays import T0


def record(cell: str, entered: bool, at_us: int = T0, contact: int = 7, number: int = 0) -> MembershipChange:
    segment = segment_of_cell("purchases", cell)
    return MembershipChange(contact, segment, entered, Cause.EVENT, at_us, at_us, f"5.{number}")


def told(*changes: MembershipChange) -> list[tuple[int, str | None, str | None]]:
    return [(move.contact, move.from_cell, move.to_cell) for move in cell_moves(changes, ["purchases"])]


def test_a_move_is_one_step_out_of_a_cell_and_into_another() -> None:
    assert told(record("VIP", False), record("at risk", True)) == [(7, "VIP", "at risk")]
    assert told(record("at risk", True), record("VIP", False)) == [(7, "VIP", "at risk")]
    assert told(record("VIP", True)) == [(7, None, "VIP")]
    assert told(record("VIP", False)) == [(7, "VIP", None)]


def test_steps_at_other_instants_and_of_others_are_moves_of_their_own() -> None:
    two_steps = (record("a", False), record("b", True), record("b", False, T0 + 1), record("c", True, T0 + 1))
    assert told(*two_steps) == [(7, "a", "b"), (7, "b", "c")]
    assert told(record("a", False), record("b", True, contact=8)) == [(7, "a", None), (8, None, "b")]
    others = replace(record("b", True), segment="VIP")
    assert told(record("a", False), others) == [(7, "a", None)]


def test_the_segment_of_a_cell_names_its_model_and_cell() -> None:
    assert text_of_cell("purchases", 'at "risk"') == 'rfm purchases in cell "at \\"risk\\""'
    assert cell_of(segment_of_cell("a / b", "c"), ["a", "a / b"]) == ("a / b", "c")
    assert cell_of(segment_of_cell("other", "c"), ["a"]) is None
    assert cell_of("VIP", ["a"]) is None
    named = ("VIP", "lost")
    assert cells_needed(RfmTrigger("m", ("VIP",), ("lost", "VIP")), named) == ("VIP", "lost")
    assert cells_needed(RfmTrigger("m", ("VIP",)), named) == ("VIP", "lost", "other", "none")


def plan(from_cells: tuple[str, ...] = (), to_cells: tuple[str, ...] = (), causes: tuple[str, ...] = ()) -> Plan:
    trigger = RfmTrigger("purchases", from_cells, to_cells)
    return plan_of("r", 1, Definition(trigger, (Block("a", Exit()),), causes=causes))


MOVE = CellMove(7, "purchases", "VIP", "at risk", Cause.EVENT, T0, T0, "5.1")


@pytest.mark.parametrize(
    ("which", "move", "expected"),
    [
        (plan(), MOVE, True),
        (plan(("VIP",), ("at risk",)), MOVE, True),
        (plan(("VIP", "lost")), MOVE, True),
        (plan(("lost",)), MOVE, False),
        (plan((), ("lost",)), MOVE, False),
        (plan(), replace(MOVE, model="other"), False),
        (plan(), replace(MOVE, to_cell=None), False),
        (plan(), replace(MOVE, from_cell=None), True),
        (plan(("VIP",)), replace(MOVE, from_cell=None), False),
        (plan(), replace(MOVE, from_cell=None, to_cell="none"), False),
        (plan(), replace(MOVE, to_cell="none"), True),
        (plan(), replace(MOVE, cause=Cause.TIME), True),
        (plan(), replace(MOVE, cause=Cause.POPULATION), True),
        (plan(), replace(MOVE, cause=Cause.IMPORT), False),
        (plan(causes=("import",)), replace(MOVE, cause=Cause.IMPORT), True),
        (plan(), replace(MOVE, cause=Cause.MERGE), False),
        (plan(causes=("edit",)), replace(MOVE, cause=Cause.EDIT), False),
        (plan(), replace(MOVE, cause=Cause.OTHER), False),
        (plan(), replace(MOVE, effective_at_us=T0 - HOUR_US), True),
        (plan(), replace(MOVE, effective_at_us=T0 - HOUR_US - 1), False),
    ],
)
def test_what_a_move_starts(which: Plan, move: CellMove, expected: bool) -> None:
    found = started_by_move(which, move)
    assert (found is not None) is expected
    if found is not None:
        assert found.values["to_cell"] == move.to_cell
        assert found.values.get("from_cell") == move.from_cell
        assert (found.contact, found.at_us) == (7, move.effective_at_us)
