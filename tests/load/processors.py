"""Who used the processors while a step ran: two cores are shared by server, log, clients and strangers."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
#: user to steal in the first line of /proc/stat, and which of them are idle.
_COUNTED, _IDLE = 8, (3, 4)
#: utime and stime, counted from the state that stands behind the name.
_USER, _SYSTEM = 11, 12


@dataclass(frozen=True, slots=True)
class Used:
    """Seconds of processor time since a process (with its children) or the machine began; 0 where nobody tells."""

    at_s: float
    machine_s: float
    server_s: float
    log_s: float


def used(server_pid: int) -> Used:
    """As of now. The log server is a child of the platform."""
    log_s = sum(_process_s(child) for child in _children(server_pid))
    return Used(time.perf_counter(), _machine_s(), _process_s(server_pid), log_s)


def shares(before: Used, after: Used, client_s: float) -> dict[str, float]:
    """Busy cores by who: machine (everybody), server, log, client, and rest (ingesting, and strangers)."""
    elapsed_s = after.at_s - before.at_s
    machine = (after.machine_s - before.machine_s) / elapsed_s
    server = (after.server_s - before.server_s) / elapsed_s
    log = (after.log_s - before.log_s) / elapsed_s
    client = client_s / elapsed_s
    rest = max(0.0, machine - server - log - client)
    found = {"machine": machine, "server": server, "log": log, "client": client, "rest": rest}
    return {name: round(value, 2) for name, value in found.items()}


def resident_mb(pid: int) -> int:
    """Resident memory of a process; 0 where the system does not tell."""
    path = _PROC / str(pid) / "statm"
    return int(path.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20 if path.exists() else 0


def _machine_s() -> float:
    path = _PROC / "stat"
    if not path.exists():
        return 0.0
    ticks = [int(word) for word in path.read_text().split("\n", 1)[0].split()[1 : 1 + _COUNTED]]
    return (sum(ticks) - sum(ticks[place] for place in _IDLE)) / _TICKS


def _process_s(pid: int) -> float:
    path = _PROC / str(pid) / "stat"
    if not path.exists():
        return 0.0
    words = path.read_text().rpartition(")")[2].split()
    return (int(words[_USER]) + int(words[_SYSTEM])) / _TICKS


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for path in (_PROC / str(pid) / "task").glob("*/children"):
        found += map(int, path.read_text().split())
    return found
