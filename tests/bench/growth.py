"""The same questions at other sizes: how their times grow."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.compare import OURS
from tests.bench.platform_process import ROOT
from tests.bench.questions.all import QUESTIONS


def size_name(contacts: int, events: int) -> str:
    """How a size is named in tables."""
    return f"{contacts / 1e6:g} M / {events / 1e6:g} M"


def in_own_process(contacts: int, events: int, seed: int, repetitions: int, *, ours_only: bool) -> dict[str, object]:
    """The questions at another size, in a process of its own, whose lines are printed as they come."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "figures.json"
        command = [sys.executable, "-m", "tests.bench", "core", "--questions-only", "--no-growth", "--out", str(out)]
        command += ["--contacts", str(contacts), "--events", str(events), "--seed", str(seed)]
        command += ["--repetitions", str(repetitions), *(["--ours-only"] if ours_only else [])]
        subprocess.run(command, cwd=ROOT, check=True)
        found: dict[str, object] = json.loads(out.read_text())["core"]
    return found


def growth_of(sizes: Mapping[str, Mapping[str, object]], console: Console) -> dict[str, object]:
    """Medians by size and, between the smallest and the largest size, the exponent of time against events."""
    ordered = sorted(sizes.items(), key=lambda pair: int(str(pair[1]["events"])))
    table = Table("", *(name for name, _ in ordered), "exponent", title="growth: ours in ms", title_justify="left")
    found: dict[str, object] = {}
    for question in QUESTIONS:
        medians = {name: _median_at(size, question.name) for name, size in ordered}
        known = [(int(str(size["events"])), ms) for (_, size), ms in zip(ordered, medians.values(), strict=True) if ms]
        exponent = None
        if len(known) > 1:
            (small, low), (large, high) = known[0], known[-1]
            exponent = round(math.log(high / low) / math.log(large / small), 2)
        cells = ["not measured" if ms is None else f"{ms:.2f}" for ms in medians.values()]
        table.add_row(question.name, *cells, "-" if exponent is None else str(exponent))
        found[question.name] = {"median_ms": medians, "exponent": exponent}
    console.print(table)
    return found


def _median_at(size: Mapping[str, object], question: str) -> float | None:
    questions = size["questions"]
    assert isinstance(questions, Mapping)
    median: float | None = questions[question]["median_ms"][OURS]
    return median
