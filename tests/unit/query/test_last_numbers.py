"""Numbers of populations that were computed lately."""

from __future__ import annotations

import gc
from functools import partial
from weakref import ref

from core.index.index import Index
from core.query.execute_context import Context
from core.query.leaves.last_numbers import remembered


def test_a_number_is_computed_once_for_a_root_and_an_instant() -> None:
    asked: list[str] = []

    def number(name: str) -> str:
        asked.append(name)
        return name

    index = Index()
    root = index.root()
    for _ in range(3):
        # Every evaluation has a context of its own.
        assert remembered("mean", Context(root, 5, "UTC"), lambda: number("now")) == "now"
        assert remembered("mean", Context(root, 6, "UTC"), lambda: number("later")) == "later"
        assert remembered("mean", Context(root, 5, "Europe/Berlin"), lambda: number("there")) == "there"
        assert remembered("median", Context(root, 5, "UTC"), lambda: number("half")) == "half"
    assert asked == ["now", "later", "there", "half"]
    other = Index().root()
    assert remembered("mean", Context(other, 5, "UTC"), lambda: number("another root")) == "another root"
    assert remembered("mean", Context(root, 5, "UTC"), lambda: number("again")) == "now"


def test_roots_are_not_kept_alive_and_few_are_remembered() -> None:
    root = Index().root()
    assert remembered("mean", Context(root, 5, "UTC"), lambda: 1) == 1
    gone = ref(root)
    del root
    gc.collect()
    assert gone() is None
    roots = [Index().root() for _ in range(40)]
    for number, one in enumerate(roots):
        assert remembered("mean", Context(one, 5, "UTC"), partial(int, number)) == number
    assert remembered("mean", Context(roots[-1], 5, "UTC"), lambda: -1) == 39
    assert remembered("mean", Context(roots[0], 5, "UTC"), lambda: -1) == -1  # forgotten: computed again
