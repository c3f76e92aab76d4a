"""Parts of one question at the same time: kernels let other threads run, so two processors can share a long pass.

A second thread costs some 50 microseconds, so only work of a millisecond or more is worth parting. A process that
answers many questions at once has no processor to spare and says so with `use_threads(1)`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_MOST = 2


class _Threads:
    """How many threads a question may use, and those beside the asking one, made when they are first needed."""

    def __init__(self) -> None:
        self.count = min(_MOST, os.cpu_count() or 1)
        self.pool: ThreadPoolExecutor | None = None


_threads = _Threads()


def use_threads(count: int) -> None:
    """Questions of this process use at most `count` threads, 1 or 2, from here on; without a call, as many as there are
    processors."""
    if not 1 <= count <= _MOST:
        raise ValueError(f"1 to {_MOST} threads, not {count}")
    _threads.count = count


def parts_for(work: int, least: int) -> int:
    """In how many parts to cut `work` of any unit, where a part below `least` does not pay."""
    return _threads.count if work >= _threads.count * least else 1


def in_parallel(calls: Sequence[Callable[[], T]]) -> list[T]:
    """What the calls return, in their order. The first runs in the asking thread, the others beside it where a thread
    is free, else after it. An exception of any is raised, once all have ended."""
    if len(calls) < 2 or _threads.count == 1:
        return [call() for call in calls]
    if _threads.pool is None:
        # A lost race makes a pool more, which ends with its last task.
        _threads.pool = ThreadPoolExecutor(_MOST - 1, thread_name_prefix="question")
    later = [_threads.pool.submit(call) for call in calls[1:]]
    try:
        first = calls[0]()
    finally:
        # What no thread has begun is done here: whoever asks never waits behind the questions of others.
        own = [call if future.cancel() else None for call, future in zip(calls[1:], later, strict=True)]
        running = [future for future, call in zip(later, own, strict=True) if call is None]
        errors = [future.exception() for future in running]
    for error in errors:
        if error is not None:
            raise error
    return [first, *(future.result() if call is None else call() for future, call in zip(later, own, strict=True))]


def _forget_pool() -> None:
    _threads.pool = None


# Threads do not live on in a child of fork.
os.register_at_fork(after_in_child=_forget_pool)
