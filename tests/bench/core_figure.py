"""The figure `core`: our engine and two databases on the same data and questions, and what ours costs beside that."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from core.index.index import Index
from tests.bench.accounting import accounting
from tests.bench.compare import draw_instants, measure
from tests.bench.engine import Peer
from tests.bench.engine_rate import measure_engine
from tests.bench.growth import growth_of, in_own_process, size_name
from tests.bench.loading import load_ours, load_progress
from tests.bench.memory import read_bandwidth, resident_bytes
from tests.bench.ours import Ours
from tests.bench.question_table import ask_all, figures_report, geometric_mean
from tests.bench.questions.all import QUESTIONS
from tests.bench.questions.saved_segments import SAVED
from tests.bench.row_path import measure_row_path
from tests.bench.snapshot_times import measure_snapshots
from tests.bench.strangers import Strangers
from tests.bench.workload import END_US, Workload

#: An instant after all events at which saved segments and single contacts are asked.
_AFTER_US = END_US + 1_234_567
#: What others may take of the processors before the figures are called into question.
_TOLERATED_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class CorePlan:
    """What is to be measured. `growth`: other sizes (contacts, events, ours only), each in a process of its own."""

    workload: Workload
    repetitions: int
    ours_only: bool
    questions_only: bool
    growth: tuple[tuple[int, int, bool], ...]


def measure_core(plan: CorePlan, console: Console) -> dict[str, object]:
    """Everything of the plan; what is slow to load is loaded once. Growth goes first, while memory is free."""
    seed, repetitions = plan.workload.seed, plan.repetitions
    sizes = {
        size_name(contacts, events): in_own_process(contacts, events, seed, repetitions, ours_only=alone)
        for contacts, events, alone in plan.growth
    }
    console.rule(f"core: {plan.workload.contacts:,} contacts, {plan.workload.events:,} events")
    with tempfile.TemporaryDirectory() as folder:
        result = _measure_here(plan, Path(folder), console)
    if sizes:
        own = size_name(plan.workload.contacts, plan.workload.events)
        result["growth"] = growth_of({**sizes, own: result}, console)
        result["other_sizes"] = sizes
    return result


def _measure_here(plan: CorePlan, folder: Path, console: Console) -> dict[str, object]:
    workload = plan.workload
    _warm_up(workload.seed)
    with load_progress() as progress:
        index, load = load_ours(workload, progress)
        peers = () if plan.ours_only else _load_peers(workload, folder, progress, console)
    compacted_s = _compact(index)
    bandwidth = read_bandwidth()
    result: dict[str, object] = {
        "contacts": workload.contacts,
        "events": workload.events,
        "seed": workload.seed,
        "repetitions": plan.repetitions,
        "versions": {peer.name: peer.version for peer in peers},
        "read_gb_per_s_one_thread": round(bandwidth / 1e9, 1),
        "load": load.report(workload),
        "compaction_s": compacted_s,
    }
    _print_pairs("load and memory of ours", load.report(workload), console)
    ours = Ours(index.root())
    ours.save_segments(SAVED, _AFTER_US)
    for peer in peers:
        peer.save_segments([one.numbers() for one in ours.saved])
    strangers = Strangers()
    figures = ask_all(workload, plan.repetitions, ours, peers, bandwidth, console)
    result["questions"] = {name: figures_report(one, bandwidth) for name, one in figures.items()}
    result["processors_taken_by_others"] = _tell_strangers(strangers.share(), console)
    result["geometric_mean"] = geometric_mean(figures, console)
    result["memory"] = {**accounting(index), "resident_with_peers_mb": resident_bytes() >> 20}
    _print_pairs("memory after all questions, by the index's own count", result["memory"], console)
    for peer in peers:
        peer.close()
    if not plan.questions_only:
        result |= _beside(index, workload, folder, console)
    return result


def _compact(index: Index) -> float:
    """Join runs of events as the engine does aside, about once a minute; the seconds that it took."""
    started_s = time.perf_counter()
    while index.events.compactions():
        index.compact()
    return round(time.perf_counter() - started_s, 1)


def _warm_up(seed: int) -> None:
    """Everything once on a small workload: kernels are compiled, or read from their cache, before any clock runs."""
    small = Workload(2_000, 40_000, seed)
    with load_progress(hidden=True) as progress:
        index, _ = load_ours(small, progress)
    ours = Ours(index.root())
    ours.save_segments(SAVED, _AFTER_US)
    for question in QUESTIONS:
        measure(question, ours, (), small, draw_instants(seed, question, 1))
    measure_row_path(index.root(), _AFTER_US, seed)


def _load_peers(workload: Workload, folder: Path, progress: Progress, console: Console) -> tuple[Peer, ...]:
    """Both peers, or those that can be installed here; who is missing is said."""
    # Imported here, so that their libraries are not counted among the memory of ours.
    from tests.bench.peers import load_peers, make_peers

    peers, missing = make_peers(folder)
    for name in missing:
        console.print(f"{name} is NOT MEASURED: its package cannot be imported here", style="bold red")
    load_peers(peers, workload, progress)
    return peers


def _tell_strangers(share: float | None, console: Console) -> float | None:
    if share is None:
        return None
    if share > _TOLERATED_SHARE:
        line = f"other processes took {share:.0%} of the processors meanwhile: measure again when they are gone"
        console.print(line, style="bold red")
    return round(share, 3)


def _beside(index: Index, workload: Workload, folder: Path, console: Console) -> dict[str, object]:
    """What is no question: the row path, then what changes the index: the engine's rate and snapshots."""
    found: dict[str, object] = {"row_path": measure_row_path(index.root(), _AFTER_US, workload.seed)}
    _print_pairs("row path", found["row_path"], console)
    found["engine"] = measure_engine(index, workload)
    _print_pairs("through the engine", found["engine"], console)
    found["snapshot"] = measure_snapshots(index, workload, folder / "snapshots")
    _print_pairs("snapshots", found["snapshot"], console)
    return found


def _print_pairs(title: str, found: object, console: Console) -> None:
    assert isinstance(found, Mapping)
    table = Table("what", "figure", title=title, title_justify="left", width=100)
    for what, value in found.items():
        table.add_row(what, f"{value:,}" if isinstance(value, int) else str(value))
    console.print(table)
