"""What this process holds, and how fast this machine reads memory."""

from __future__ import annotations

import gc
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np

_STATM = Path("/proc/self/statm")
_BANDWIDTH_BYTES = 512 << 20


def resident_bytes() -> int:
    """Resident memory now, garbage collected first; where the system does not tell, the peak."""
    gc.collect()
    if _STATM.exists():
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return peak_resident_bytes()


def peak_resident_bytes() -> int:
    """The most that was ever resident."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def read_bandwidth() -> float:
    """Bytes a second that one thread reads from memory: the best of seven passes over half a gibibyte."""
    data = np.ones(_BANDWIDTH_BYTES // 8, np.int64)
    best_s = float("inf")
    for _ in range(7):
        started_s = time.perf_counter()
        data.max()
        best_s = min(best_s, time.perf_counter() - started_s)
    return _BANDWIDTH_BYTES / best_s
