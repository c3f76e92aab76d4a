"""Snapshots of the loaded index: written whole, written again after a batch, read back until ready."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from core.index.index import Index
from core.query.binding.bind import bind
from core.query.execute import evaluate
from core.query.text.parse import parse
from core.segments.vocabulary import names_of
from services.segment_engine.snapshots import read_snapshot, write_snapshot
from tests.bench.ours_load import event_columns
from tests.bench.workload import END_US, Workload

_WORKSPACE = "bench"
_RULE = "did order_completed in last 30 days"


def measure_snapshots(index: Index, workload: Workload, folder: Path) -> dict[str, object]:
    """Seconds and bytes, and the slowest answer given beside the first writing; `ready_s` ends with the first answer of
    what was read. One batch of 10,000 events is added in between."""
    started_s = time.perf_counter()
    slowest_ms = _slowest_answer_while(index, lambda: write_snapshot(folder / "1.snapshot", index.root(), _WORKSPACE))
    first_s = time.perf_counter() - started_s
    first_bytes = _bytes(folder)
    later = workload.draw_later(min(10_000, workload.events), 1_000_000, 77)
    index.apply(event_columns(later), (), index.position + 1)
    started_s = time.perf_counter()
    write_snapshot(folder / "2.snapshot", index.root(), _WORKSPACE)
    second_s = time.perf_counter() - started_s
    started_s = time.perf_counter()
    again = read_snapshot(folder / "2.snapshot", _WORKSPACE)
    count = _count(again)
    ready_s = time.perf_counter() - started_s
    if count != _count(index):
        raise AssertionError(f"the snapshot answers {count}, the index that it was made of {_count(index)}")
    return {
        "first_s": round(first_s, 2),
        "first_bytes": first_bytes,
        "slowest_answer_meanwhile_ms": round(slowest_ms, 1),
        "goal_slowest_answer_ms": 100,
        "incremental_s": round(second_s, 2),
        "incremental_bytes": _bytes(folder) - first_bytes,
        "ready_s": round(ready_s, 2),
        "goal_ready_s": 30,
    }


def _slowest_answer_while(index: Index, work: Callable[[], None]) -> float:
    """`work` in a thread of its own; milliseconds of the slowest of the answers given one after the other meanwhile."""
    root = index.root()
    bound = bind(parse(_RULE), names_of(root, {}, "UTC"))
    evaluate(bound, root, END_US, {})
    slowest_s = 0.0
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        while not working.done():
            started_s = time.perf_counter()
            evaluate(bound, root, END_US, {})
            slowest_s = max(slowest_s, time.perf_counter() - started_s)
        working.result()
    return slowest_s * 1e3


def _count(index: Index) -> int:
    root = index.root()
    bound = bind(parse(_RULE), names_of(root, {}, "UTC"))
    return len(evaluate(bound, root, END_US + 2_000_000, {}).members)


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
