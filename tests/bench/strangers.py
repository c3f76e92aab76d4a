"""How much of the processors others took while something was measured: beside strangers, no figure is worth much."""

from __future__ import annotations

import os
import time
from pathlib import Path

_STAT = Path("/proc/stat")
#: Places in the first line of /proc/stat: ticks idle, and waiting for disks.
_IDLE = (3, 4)
#: user to steal; guests are in user already.
_COUNTED = 8


class Strangers:
    """Counts from its making on."""

    def __init__(self) -> None:
        self._busy_s = _busy_s()
        self._own_s = _own_s()
        self._started_s = time.perf_counter()

    def share(self) -> float | None:
        """The part of all processors, 0 to 1, that other processes took; None where the system does not tell."""
        busy_s = _busy_s()
        if busy_s is None or self._busy_s is None:
            return None
        elapsed_s = time.perf_counter() - self._started_s
        others_s = busy_s - self._busy_s - (_own_s() - self._own_s)
        return max(0.0, min(1.0, others_s / (elapsed_s * (os.cpu_count() or 1))))


def _busy_s() -> float | None:
    if not _STAT.exists():
        return None
    ticks = [int(word) for word in _STAT.read_text().split("\n", 1)[0].split()[1 : 1 + _COUNTED]]
    return (sum(ticks) - sum(ticks[place] for place in _IDLE)) / os.sysconf("SC_CLK_TCK")


def _own_s() -> float:
    used = os.times()
    return used.user + used.system
