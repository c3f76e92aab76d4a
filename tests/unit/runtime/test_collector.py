"""What survives a long full pass of the garbage collector is walked no more; what is dropped is freed all the same."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from services.runtime.collector import Collector


class _Thing:
    """Tracked, and can be watched."""


@pytest.fixture
def always() -> Iterator[None]:
    collector = Collector(long_s=0.0)
    collector.install()
    yield
    collector.remove()


def test_what_survives_a_long_pass_is_set_aside(always: None) -> None:
    kept = [_Thing() for _ in range(10_000)]
    gc.collect()
    assert gc.get_freeze_count() >= len(kept)
    assert not any(isinstance(one, _Thing) for one in gc.get_objects())


def test_what_was_set_aside_is_freed_when_nobody_holds_it(always: None) -> None:
    kept = [_Thing() for _ in range(100)]
    gone = weakref.ref(kept[50])
    gc.collect()
    del kept
    assert gone() is None


def test_newer_cycles_are_collected(always: None) -> None:
    gc.collect()
    one, other = _Thing(), _Thing()
    one.__dict__["other"], other.__dict__["one"] = other, one
    gone = weakref.ref(one)
    del one, other
    gc.collect()
    assert gone() is None


def test_short_passes_set_nothing_aside() -> None:
    collector = Collector(long_s=60.0)
    collector.install()
    before = gc.get_freeze_count()
    gc.collect()
    assert gc.get_freeze_count() == before
    collector.remove()
