"""Calls beside one another return what they return alone, whoever runs them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from core.kernels.threads import in_parallel, parts_for, use_threads


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    use_threads(2)
    yield
    use_threads(min(2, os.cpu_count() or 1))


def test_results_come_in_the_order_of_the_calls() -> None:
    for threads in (1, 2):
        use_threads(threads)
        assert in_parallel([partial(pow, 2, n) for n in range(5)]) == [1, 2, 4, 8, 16]
        assert in_parallel([partial(pow, 3, 2)]) == [9]
        assert in_parallel([]) == []


def test_the_second_call_has_a_thread_of_its_own() -> None:
    met = threading.Barrier(2)
    names = in_parallel([lambda: (met.wait(20), threading.current_thread().name)[1]] * 2)
    assert names[0] != names[1]


def test_a_call_that_no_thread_takes_is_run_by_the_one_that_asks() -> None:
    busy, free = threading.Event(), threading.Event()

    def hold() -> None:
        busy.set()
        assert free.wait(20)

    holder = threading.Thread(target=in_parallel, args=([lambda: None, hold],))
    holder.start()
    assert busy.wait(20)
    own = threading.current_thread().name
    assert in_parallel([lambda: threading.current_thread().name] * 3) == [own] * 3
    free.set()
    holder.join()


def test_an_error_of_any_call_is_raised() -> None:
    for place in range(3):
        calls = [partial(int, "1"), partial(int, "2"), partial(int, "3")]
        calls[place] = partial(int, "x")
        with pytest.raises(ValueError, match="invalid literal"):
            in_parallel(calls)


def test_work_is_parted_only_where_it_pays() -> None:
    assert [parts_for(work, 100) for work in (0, 199, 200)] == [1, 1, 2]
    use_threads(1)
    assert parts_for(10**9, 100) == 1
    with pytest.raises(ValueError):
        use_threads(3)
