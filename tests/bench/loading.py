"""Loading our index: first and alone in the process, so that its memory can be told."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from core.index.index import Index
from tests.bench.memory import peak_resident_bytes, resident_bytes
from tests.bench.ours_load import event_columns, load_contacts
from tests.bench.workload import Events, Workload

#: Events in one entry of the log while loading, and after how many entries a root is published.
BATCH = 10_000
_ENTRIES_A_ROOT = 50


@dataclass(frozen=True, slots=True)
class LoadFigures:
    """What loading our index took. Memory is resident memory by difference; the process held `base_bytes` before."""

    contacts_s: float
    apply_s: float
    slowest_apply_ms: float
    roots_s: float
    slowest_root_ms: float
    base_bytes: int
    contacts_bytes: int
    events_bytes: int
    peak_bytes: int

    def report(self, workload: Workload) -> dict[str, object]:
        """The figures by name, per contact and per event where that says more."""
        return {
            "contacts_per_s": round(workload.contacts / self.contacts_s),
            "apply_events_per_s": round(workload.events / self.apply_s),
            "apply_and_publish_events_per_s": round(workload.events / (self.apply_s + self.roots_s)),
            "goal_apply_events_per_s": 300_000,
            "batch": BATCH,
            "slowest_apply_ms": round(self.slowest_apply_ms, 1),
            "slowest_root_ms": round(self.slowest_root_ms, 1),
            "bytes_a_contact_with_keys": round(self.contacts_bytes / workload.contacts, 1),
            "bytes_an_event": round(self.events_bytes / workload.events, 1),
            "goal_bytes": "150 a contact for attributes and aggregates, 40 an event",
            "resident_mb": (self.base_bytes + self.contacts_bytes + self.events_bytes) >> 20,
            "of_it_before_loading_mb": self.base_bytes >> 20,
            "peak_mb": self.peak_bytes >> 20,
        }


def load_ours(workload: Workload, progress: Progress) -> tuple[Index, LoadFigures]:
    """The workload in an index of ours. The clock runs in `Index.apply` and `Index.root` alone, not while drawing."""
    index = Index()
    base = resident_bytes()
    contacts = workload.draw_contacts()
    task = progress.add_task("our contacts", total=workload.contacts)
    started_s = time.perf_counter()
    load_contacts(index, contacts, lambda n: progress.advance(task, n))
    index.root()
    contacts_s = time.perf_counter() - started_s
    del contacts
    after_contacts = resident_bytes()
    task = progress.add_task("our events", total=workload.events)
    applied: list[float] = []
    rooted: list[float] = []
    for batch in workload.draw_events():
        for part in _parts(batch):
            columns = event_columns(part)
            started_s = time.perf_counter()
            index.apply(columns, (), index.position + 1)
            applied.append(time.perf_counter() - started_s)
            if len(applied) % _ENTRIES_A_ROOT == 0:
                rooted.append(_root_s(index))
            progress.advance(task, len(part))
    rooted.append(_root_s(index))
    del batch, part, columns
    after_events = resident_bytes()
    return index, LoadFigures(
        contacts_s,
        sum(applied),
        max(applied) * 1e3,
        sum(rooted),
        max(rooted) * 1e3,
        base,
        after_contacts - base,
        after_events - after_contacts,
        peak_resident_bytes(),
    )


def load_progress(*, hidden: bool = False) -> Progress:
    """A bar for each load, with the time that is left."""
    name = TextColumn("{task.description:14}")
    return Progress(name, BarColumn(), TimeElapsedColumn(), TimeRemainingColumn(), disable=hidden)


def _parts(batch: Events) -> Iterable[Events]:
    return (batch.part(first, first + BATCH) for first in range(0, len(batch), BATCH))


def _root_s(index: Index) -> float:
    started_s = time.perf_counter()
    index.root()
    return time.perf_counter() - started_s
