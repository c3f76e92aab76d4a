"""The machine's clock."""

from __future__ import annotations

import time


class SystemClock:
    """UTC now of this machine; never runs back within the process."""

    def __init__(self) -> None:
        self._last_us = 0

    def now_us(self) -> int:
        """The current instant in microseconds."""
        self._last_us = max(self._last_us, time.time_ns() // 1_000)
        return self._last_us
