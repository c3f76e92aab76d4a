"""Changes of an attribute: which writes are looked at, and what the history says about them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from core.clock import DAY_US, HOUR_US
from core.events.facts import AttributeWrite
from core.scenario.definition import Block, Definition, Exit, FieldTrigger
from core.scenario.plan import Plan
from core.scenario.trigger_fields import FieldChange, Write, change_of, is_worth_a_look, values_of_change
from core.scenario.validate import plan_of
from core.schema import DecimalUnits, Value
from tests.unit.scenario.plays import T0


def plan(trigger: FieldTrigger, causes: tuple[str, ...] = ()) -> Plan:
    return plan_of("f", 1, Definition(trigger, (Block("a", Exit()),), causes=causes))


WRITE = AttributeWrite(7, "tier", "gold", T0, False, 0)


@pytest.mark.parametrize(
    ("which", "write", "recorded_after_us", "expected"),
    [
        (plan(FieldTrigger("tier")), WRITE, 0, True),
        (plan(FieldTrigger("tier")), replace(WRITE, value=None), 0, True),
        (plan(FieldTrigger("tier", new="gold")), WRITE, 0, True),
        (plan(FieldTrigger("tier", new="silver")), WRITE, 0, False),
        (plan(FieldTrigger("city")), WRITE, 0, False),
        (plan(FieldTrigger("tier")), WRITE, HOUR_US, True),
        (plan(FieldTrigger("tier")), WRITE, HOUR_US + 1, False),
        (plan(FieldTrigger("tier")), replace(WRITE, occurred_at_us=T0 + 1), 0, False),
        (plan(FieldTrigger("tier")), replace(WRITE, imported=True), 0, False),
        (plan(FieldTrigger("tier"), ("import",)), replace(WRITE, imported=True), 0, True),
    ],
)
def test_what_is_looked_at(which: Plan, write: AttributeWrite, recorded_after_us: int, expected: bool) -> None:
    assert is_worth_a_look(which, write, T0 + recorded_after_us) is expected


ANY = FieldTrigger("tier")
UP = FieldTrigger("tier", "silver", "gold")


def history(*writes: tuple[int, Value | None]) -> list[Write]:
    return [Write(T0 + at_us, value) for at_us, value in writes]


@pytest.mark.parametrize(
    ("trigger", "writes", "expected"),
    [
        (ANY, [(-9, "silver"), (0, "gold")], FieldChange("silver", "gold")),
        (UP, [(-9, "silver"), (0, "gold")], FieldChange("silver", "gold")),
        (UP, [(-9, "bronze"), (0, "gold")], None),
        (UP, [(-9, "silver"), (-5, "bronze"), (0, "gold")], None),
        (ANY, [(0, "gold")], FieldChange(None, "gold")),
        (ANY, [(-9, "gold"), (0, None)], FieldChange("gold", None)),
        # The same value again, or one that was written over at the same instant.
        (ANY, [(-9, "gold"), (0, "gold")], None),
        (ANY, [(-9, "gold"), (0, "silver"), (0, "gold")], None),
        # A late write: what is present is another, later one.
        (ANY, [(-9, "bronze"), (0, "gold"), (5, "silver")], None),
        (ANY, [(-9, "bronze"), (0, "gold"), (5, "gold")], FieldChange("bronze", "gold")),
        # One that is not there any more, because it was taken back.
        (ANY, [(-9, "bronze"), (5, "silver")], None),
        (ANY, [], None),
        # Beyond the end of the time that it has to hold.
        (ANY, [(-9, "bronze"), (0, "gold"), (DAY_US + 1, "silver")], FieldChange("bronze", "gold")),
    ],
)
def test_the_change_that_a_write_made(
    trigger: FieldTrigger, writes: list[tuple[int, Value | None]], expected: FieldChange | None
) -> None:
    assert change_of(trigger, history(*writes), T0, T0 + DAY_US) == expected


@pytest.mark.parametrize(
    ("written", "value", "expected"),
    [
        (100, DecimalUnits(1_000_000), True),
        (1, True, False),
        ("2026-01-02", date(2026, 1, 2), True),
        ("tomorrow", date(2026, 1, 2), False),
        ("a", ("a",), False),
        ("1", 1, False),
    ],
)
def test_values_meet_as_a_marketer_writes_them(written: str | int, value: Value, expected: bool) -> None:
    trigger = FieldTrigger("x", new=written)
    assert is_worth_a_look(plan(FieldTrigger("x", new=written)), replace(WRITE, name="x", value=value), T0) is expected
    assert (change_of(trigger, history((0, value)), T0, T0) is not None) is expected


def test_what_a_run_knows_of_it() -> None:
    assert values_of_change(UP, FieldChange("silver", "gold")) == {"attribute": "tier", "old": "silver", "new": "gold"}
    assert values_of_change(ANY, FieldChange(None, ("a", "b"))) == {"attribute": "tier"}
