"""The states of a message, step by step."""

from __future__ import annotations

import pytest

from core.clock import HOUR_US, SECOND_US
from core.delivery.outbox import (
    MAXIMUM_ATTEMPTS,
    Accepted,
    Deferred,
    Delivery,
    Outcome,
    Rejected,
    State,
    Unknown,
    begin,
    postpone,
    recover,
    refuse,
    reserve,
    retry_pause_us,
    settle,
)


def sending(attempt: int = 1) -> Delivery:
    delivery = reserve(100)
    for _ in range(attempt - 1):
        delivery = settle(begin(delivery, "a@b.example"), Deferred("BUSY", "450"), False, 100)
    return begin(delivery, "a@b.example")


@pytest.mark.parametrize(
    ("outcome", "transactional", "state", "reason"),
    [
        (Accepted("250 ok"), False, State.ACCEPTED, ""),
        (Rejected("RECIPIENT_REFUSED", "550", True), False, State.REFUSED, "RECIPIENT_REFUSED"),
        (Deferred("PROVIDER_BUSY", "450"), False, State.RESERVED, "PROVIDER_BUSY"),
        (Unknown("CONNECTION_LOST"), False, State.UNCERTAIN, "CONNECTION_LOST"),
        (Unknown("CONNECTION_LOST"), True, State.RESERVED, "CONNECTION_LOST"),
    ],
)
def test_outcome_settles_a_message(outcome: Outcome, transactional: bool, state: State, reason: str) -> None:
    settled = settle(sending(), outcome, transactional, 200)
    assert (settled.state, settled.reason, settled.attempts) == (state, reason, 1)
    assert settled.finished_at_us == (0 if state is State.RESERVED else 200)
    assert settled.due_at_us == (200 + 5 * SECOND_US if state is State.RESERVED else 0)


def test_a_message_postponed_before_its_call_is_due_at_once_and_lost_no_attempt() -> None:
    postponed = postpone(sending(3), "ADDRESS_CHANGED", 200)
    assert (postponed.state, postponed.attempts, postponed.due_at_us) == (State.RESERVED, 2, 200)
    assert (postponed.address, postponed.reason, postponed.finished_at_us) == ("", "ADDRESS_CHANGED", 0)
    with pytest.raises(ValueError, match="takes no such step"):
        postpone(postponed, "ADDRESS_CHANGED", 300)


def test_retries_are_capped() -> None:
    last = sending(MAXIMUM_ATTEMPTS)
    assert settle(last, Deferred("PROVIDER_BUSY", "450 later"), False, 200).reason == "RETRIES_EXHAUSTED"
    assert settle(last, Unknown("CONNECTION_LOST"), True, 200).state is State.UNCERTAIN
    assert settle(sending(MAXIMUM_ATTEMPTS - 1), Deferred("PROVIDER_BUSY", ""), False, 200).state is State.RESERVED


def test_pauses_grow_to_an_hour() -> None:
    assert [retry_pause_us(n) // SECOND_US for n in (1, 2, 3, 4)] == [5, 10, 20, 40]
    assert retry_pause_us(50) == HOUR_US


def test_after_a_restart_marketing_is_uncertain_and_transactional_due_at_once() -> None:
    assert recover(sending(), False, 300).state is State.UNCERTAIN
    again = recover(sending(), True, 300)
    assert (again.state, again.due_at_us, again.attempts) == (State.RESERVED, 300, 1)
    assert recover(reserve(100), False, 300) == reserve(100)


@pytest.mark.parametrize("final", [Accepted(""), Rejected("R", ""), Unknown("U")])
def test_final_states_move_no_more(final: Outcome) -> None:
    settled = settle(sending(), final, False, 200)
    with pytest.raises(ValueError, match="takes no such step"):
        begin(settled, "x@y.example")
    with pytest.raises(ValueError, match="takes no such step"):
        refuse(settled, "R", "", 300)
    with pytest.raises(ValueError, match="takes no such step"):
        settle(settled, final, False, 300)
    assert recover(settled, True, 300) == settled
