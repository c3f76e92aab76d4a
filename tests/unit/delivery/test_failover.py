"""Who is asked, who is passed over, how fast, and which way comes next."""

from __future__ import annotations

from core.clock import SECOND_US
from core.delivery.alternatives import Way, moves_on, next_way, waits_for_delivery
from core.delivery.failover import (
    FAILURES_IN_A_ROW,
    FIRST_PAUSE_US,
    LONGEST_PAUSE_US,
    Circuit,
    begun,
    choose,
    failed,
    worked,
)
from core.delivery.outbox import State
from core.delivery.pace import Pace

NOW = 1_000 * SECOND_US


def broken(times: int = FAILURES_IN_A_ROW, now_us: int = NOW) -> Circuit:
    circuit = Circuit()
    for _ in range(times):
        circuit = failed(circuit, now_us)
    return circuit


def test_a_provider_is_passed_over_after_failures_in_a_row_and_asked_again_after_the_pause() -> None:
    assert broken(FAILURES_IN_A_ROW - 1).until_us == 0
    circuits = {"a": broken()}
    assert choose(["a", "b"], circuits, "", NOW) == "b"
    assert choose(["a", "b"], circuits, "", NOW + FIRST_PAUSE_US - 1) == "b"
    assert choose(["a", "b"], circuits, "", NOW + FIRST_PAUSE_US) == "a"
    assert worked(circuits["a"]) == Circuit()


def test_only_one_trial_at_a_time() -> None:
    later = NOW + FIRST_PAUSE_US
    trial = begun(broken(), later)
    assert choose(["a", "b"], {"a": trial}, "", later) == "b"
    assert choose(["a", "b"], {"a": trial}, "", later + FIRST_PAUSE_US) == "a"
    assert failed(trial, later).until_us == later + 2 * FIRST_PAUSE_US
    assert broken(50).until_us == NOW + LONGEST_PAUSE_US
    assert begun(Circuit(2), NOW) == Circuit(2)


def test_whoever_failed_with_the_message_is_avoided_while_there_is_another() -> None:
    assert choose(["a", "b"], {}, "a", NOW) == "b"
    assert choose(["a"], {}, "a", NOW) == "a"
    assert choose(["a", "b"], {"b": broken()}, "a", NOW) == "a"
    assert choose(["a", "b"], {"a": broken(6), "b": broken()}, "", NOW) == "b"
    assert choose([], {}, "", NOW) is None


def test_turns_come_one_after_the_other_and_a_late_one_makes_no_burst() -> None:
    pace, now = Pace(10), NOW
    taken: list[int] = []
    while len(taken) < 5:
        wait = pace.wait_us(now)
        now += wait
        assert pace.wait_us(now) == 0
        pace.take(now)
        taken.append(now - NOW)
    assert taken == [0, 100_000, 200_000, 300_000, 400_000]
    now += 10 * SECOND_US
    pace.take(now)
    assert pace.wait_us(now) == 100_000
    pace.take(now + 120_000)
    assert pace.wait_us(now + 120_000) == 80_000
    assert Pace(0).wait_us(NOW) == 0


def test_ways_come_as_listed_the_preferred_channel_first() -> None:
    ways = [Way("messenger", "v"), Way("sms", "s"), Way("email", "e")]
    assert next_way(ways, (), "") == 0
    assert next_way(ways, (), "email") == 2
    assert next_way(ways, {2}, "email") == 0
    assert next_way(ways, {0, 1, 2}, "") is None
    assert next_way(ways, (), "popup") == 0


def test_only_a_refusal_of_this_way_moves_on() -> None:
    assert moves_on(State.REFUSED, "NO_CONSENT")
    assert moves_on(State.REFUSED, "CAP")
    assert not moves_on(State.REFUSED, "EXPIRED")
    assert not moves_on(State.REFUSED, "SAME_CONTENT")
    assert not moves_on(State.UNCERTAIN, "NO_ANSWER")
    assert not moves_on(State.ACCEPTED, "")
    assert waits_for_delivery("sms", 1, True)
    assert not waits_for_delivery("sms", 0, True)
    assert not waits_for_delivery("sms", 1, False)
    assert not waits_for_delivery("email", 1, True)
