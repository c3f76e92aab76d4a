"""Numbers of populations that were computed lately: rules about one contact ask for the same ones again and again.

A root never changes, so a number is the same for as long as anybody asks the same root as of the same instant.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import ref

from core.index.root import Root
from core.query.execute_context import Context

T = TypeVar("T")

#: So many roots are remembered, and so many numbers of each; a number is some hundred bytes.
_ROOTS = 8
_NUMBERS = 64


class _Remembered:
    """Numbers of one root, which this does not keep alive."""

    def __init__(self, root: Root) -> None:
        self.root = ref(root)
        self.numbers: dict[Hashable, Any] = {}


_remembered: list[_Remembered] = []


def remembered(key: Hashable, context: Context, compute: Callable[[], T]) -> T:
    """What `compute` returns, or returned lately for the same key, root, instant, zone and stock limit. `context` has
    no candidates, and the number is made of facts alone: nothing that was published takes part. Any number of threads
    may ask; a lost race only repeats work."""
    numbers = _numbers_of(context.root)
    whole_key = (key, context.as_of_us, context.zone_name, context.setting.low_stock)
    found: T | None = numbers.get(whole_key)
    if found is not None:
        return found
    made = compute()
    if len(numbers) >= _NUMBERS:
        numbers.clear()
    numbers[whole_key] = made
    return made


def _numbers_of(root: Root) -> dict[Hashable, Any]:
    global _remembered
    for one in _remembered:
        if one.root() is root:
            return one.numbers
    fresh = _Remembered(root)
    # A new list, never a changed one: others may be reading it.
    _remembered = [fresh, *(one for one in _remembered if one.root() is not None)][:_ROOTS]
    return fresh.numbers
