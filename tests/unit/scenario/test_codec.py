"""Stored runs: every field comes back, what earlier versions wrote is read, and what waits is small."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import date
from pathlib import Path

import pytest

from core.clock import HOUR_US
from core.scenario.run import Run, State, Step, values_of
from core.schema import DecimalUnits, Instant
from services.scenario.active import Active
from services.scenario.codec import (
    EndedRow,
    Head,
    decode_ended,
    decode_run,
    encode_ended,
    encode_run,
    head_of,
    is_current,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "scenario_runs"
T0 = 1_800_000_000_000_000

#: A run with something in every field.
FULL = Run(
    "0123456789abcdef0123456789abcdef",
    "Warenkorb \N{SNOWMAN}",
    2,
    7,
    '[["cart_id","text:c1"]]',
    "e1",
    T0,
    T0 + 100,
    {"cart_id": "c1", "total": DecimalUnits(125_000), "n": 3, "gift": True, "day": date(2027, 3, 1), "at": Instant(5)},
    ({"product_id": "p1", "quantity": 2, "price": DecimalUnits(99)},),
    T0 + 50,
    12,
    State.WAITING,
    "wait_for_open",
    T0 + 2 * HOUR_US,
    41,
    "abc",
    "exit_when",
    T0 + 9,
    (Step("wait_for_purchase", T0 + 200, "waited"), Step("email", T0 + 300, "true", 40)),
    5,
    T0 + 250,
    "2027-03-28T02:30:00 Europe/Berlin",
    42,
    43,
    (("click", {"click_link": "https://x"}),),
)


def test_every_field_comes_back() -> None:
    plain = Run("r", "s", 1, 1, "", "", 0, 0, {})
    assert all(getattr(FULL, one.name) != getattr(plain, one.name) for one in fields(Run) if one.name != "checked")
    assert decode_run(encode_run(FULL)) == FULL
    for field in fields(Run):
        if field.name not in ("checked", "run_id"):
            changed = replace(plain, **{field.name: getattr(FULL, field.name)})
            assert decode_run(encode_run(changed)) == changed, field.name


def test_the_head() -> None:
    head = head_of(encode_run(FULL))
    assert head == Head(T0 + 100, 7, FULL.scenario, 2, T0 + 2 * HOUR_US, False)
    plain = replace(FULL, check_position=0, due_local="")
    assert head_of(encode_run(plain)).waits
    assert not head_of(encode_run(replace(plain, state=State.RUNNING))).waits
    assert is_current(encode_run(FULL))
    assert not is_current((GOLDEN / "run-1.json").read_bytes())


def test_the_first_version_is_read() -> None:
    first = decode_run((GOLDEN / "run-1.json").read_bytes())
    own = values_of(first.run_id, "e1", T0, {}, {})
    later = ("check_position", "message_id", "end_reason", "ended_at_us", "entered_at_us", "due_local", "ask_position")
    expected = replace(
        FULL,
        scenario="n3",
        values={**{name: value for name, value in FULL.values.items() if name != "at"}, **own},
        due_at_us=T0 + 2 * HOUR_US + 100,
        steps=(Step("wait_for_purchase", T0 + 200, "waited"), Step("email", T0 + 300, "sent:abc")),
        **{name: getattr(first, name) for name in (*later, "min_position", "early")},
    )
    assert first == expected
    assert (first.check_position, first.entered_at_us, first.early) == (41, 0, ())
    assert decode_run(encode_run(first)) == replace(
        first, values={name: value for name, value in first.values.items() if name not in own}
    ), "written anew it is the same, without what every run has by itself"


def test_the_second_version_is_read_and_written() -> None:
    stored = (GOLDEN / "run-2.bin").read_bytes()
    assert decode_run(stored) == FULL
    assert encode_run(FULL) == stored


def test_a_later_version_is_not_guessed() -> None:
    with pytest.raises(ValueError, match="another version"):
        decode_run(b"\x03" + encode_run(FULL)[1:])


def test_ended_rows() -> None:
    row = EndedRow("s", 7, "k", 5, True, 3, 99)
    assert decode_ended(encode_ended(row)) == row
    assert decode_ended(b'["s", 7, "k", 5, true]') == EndedRow("s", 7, "k", 5, True)
    assert decode_ended(b'["s", 7, "k", 5, true, 3]') == EndedRow("s", 7, "k", 5, True, 3)


def test_a_run_that_waits_is_small() -> None:
    """The abandoned cart as it waits for two hours, with a line: a few hundred bytes."""
    waiting = Run(
        FULL.run_id, "Abandoned cart", 1, 7, FULL.key, "evt-0123456789abcdef", T0, T0 + 5, {"cart_id": "c1"},
        ({"product_id": "p1", "quantity": 2},), T0, 12, State.WAITING, "wait_for_purchase", T0 + HOUR_US,
        entered_at_us=T0 + 5,
    )  # fmt: skip
    assert len(encode_run(waiting)) < 320


def test_active_runs() -> None:
    active = Active()
    running = replace(FULL, run_id="a" * 32, state=State.RUNNING, checked=True)
    active[FULL.run_id], active[running.run_id] = FULL, running
    assert active[FULL.run_id] == FULL
    assert active[running.run_id] is running, "what is about to act is kept as it is"
    assert {one: head.contact for one, head in active.heads()} == {FULL.run_id: 7, running.run_id: 7}
    del active[FULL.run_id]
    assert (len(active), FULL.run_id in active, active.get(FULL.run_id)) == (1, False, None)
