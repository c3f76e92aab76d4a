"""Keeps the garbage collector's full passes short, because all threads stand still while it walks.

A full pass walks every tracked object of the process; with some hundred thousand profiles in memory it took 100 to 300
milliseconds, several times a minute while facts came in. What is alive right after a full pass is no garbage, so it is
then set aside (`gc.freeze`) and never walked again: the next pass sees only what is newer. Counting references frees
what is set aside as always. Only a cycle among objects that lived that long would stay, and state here has none.
"""

from __future__ import annotations

import gc
import time
from typing import Literal

#: Full passes shorter than this harm nobody, and what they walked may still turn out to be garbage.
_LONG_S = 0.005
_FULL = 2


class Collector:
    """`install` once a process; `remove` takes it back, for tests."""

    def __init__(self, long_s: float = _LONG_S) -> None:
        self._long_s = long_s
        self._started_s = 0.0

    def install(self) -> None:
        """From now on, what survives a long full pass is walked no more."""
        gc.callbacks.append(self._passed)

    def remove(self) -> None:
        """Walk everything again, as Python does by itself."""
        gc.callbacks.remove(self._passed)
        gc.unfreeze()

    def _passed(self, phase: Literal["start", "stop"], info: dict[str, int]) -> None:
        if info["generation"] != _FULL:
            return
        if phase == "start":
            self._started_s = time.perf_counter()
        elif time.perf_counter() - self._started_s > self._long_s:
            gc.freeze()
