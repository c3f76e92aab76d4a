"""What a run of `make load` counts: latencies, errors, the knee, and what h2load wrote."""

from __future__ import annotations

import json

from tests.load.outcome import Outcome, figures, new_histogram, percentile_ms
from tests.load.second_opinion import read_log


def _outcome(latencies_ms: list[float], offered: int) -> Outcome:
    outcome = Outcome(offered=offered)
    for latency_ms in latencies_ms:
        outcome.record("Count", latency_ms * 1e3)
    return outcome


def test_percentiles_are_true_to_three_digits() -> None:
    outcome = _outcome([float(number) for number in range(1, 1001)], 1000)
    found = figures(outcome.all_kinds())
    assert found["calls"] == 1000
    assert abs(found["p50_ms"] - 500) <= 1
    assert abs(found["p99_ms"] - 990) <= 1
    assert abs(found["p99.9_ms"] - 999) <= 1
    assert abs(found["max_ms"] - 1000) <= 1


def test_nothing_measured_has_no_percentiles() -> None:
    assert figures(new_histogram()) == {"calls": 0}
    assert percentile_ms(new_histogram(), 99.0) == 0.0
    assert Outcome().answered_share() == 1.0


def test_the_knee_is_passed_by_slow_answers_and_by_missing_ones() -> None:
    assert _outcome([5.0] * 100, 100).holds()
    assert not _outcome([5.0] * 97 + [150.0] * 3, 100).holds()
    assert not _outcome([5.0] * 97, 100).holds()
    assert _outcome([5.0] * 98, 100).holds()


def test_steps_at_one_rate_are_added_up() -> None:
    both = _outcome([1.0, 2.0], 3)
    both.errors["DEADLINE_EXCEEDED"] += 1
    other = _outcome([3.0], 2)
    other.record("IsMember", 4_000.0)
    other.errors["DEADLINE_EXCEEDED"] += 2
    both.add(other)
    assert both.offered == 5
    assert both.errors == {"DEADLINE_EXCEEDED": 3}
    assert both.all_kinds().get_total_count() == 4
    assert both.answered["IsMember"].get_total_count() == 1


def test_an_outcome_crosses_between_processes() -> None:
    outcome = _outcome([1.0, 250.0], 4)
    outcome.errors["UNAVAILABLE"] += 2
    outcome.record_late(700.0)
    outcome.client_s = 0.5
    back = Outcome.from_json(json.loads(json.dumps(outcome.to_json())))
    assert back.report() == outcome.report()
    assert back.client_s == 0.5


def test_the_log_of_h2load_is_read() -> None:
    found = read_log("1700000000000000\t200\t1500\n1700000000001000\t200\t2500\n1700000000002000\t-1\t9\n")
    assert found["calls"] == 2
    assert found["max_ms"] == 2.5
    assert found["not_200"] == {"-1": 1}


def test_the_log_of_nothing_is_read() -> None:
    assert read_log("") == {"calls": 0, "not_200": {}}
