"""The questions in a table that grows as they are done, and as figures to keep."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from rich.console import Console

from tests.bench.compare import OURS, Figures, draw_instants, measure
from tests.bench.engine import Peer
from tests.bench.ours import Ours
from tests.bench.questions.all import QUESTIONS
from tests.bench.workload import Workload

PEERS = ("DuckDB", "ClickHouse")


def ask_all(
    workload: Workload, repetitions: int, ours: Ours, peers: Sequence[Peer], bandwidth: float, console: Console
) -> dict[str, Figures]:
    """Every question; one line is printed as each is done. `bandwidth` in bytes a second, for the floor."""
    console.print(
        f"medians of {repetitions} first evaluations in ms (the same again in brackets); evaluate: ours without"
        f" parsing and binding; floor: bytes that any plan must touch at {bandwidth / 1e9:.1f} GB/s, one thread"
    )
    console.print(_line("", "", "ours", "evaluate", "DuckDB", "ClickHouse", "ratio", "floor"), style="bold")
    figures = {}
    for question in QUESTIONS:
        instants = draw_instants(workload.seed, question, repetitions)
        one = figures[question.name] = measure(question, ours, peers, workload, instants)
        ratio = one.ratio(PEERS)
        of_ours, of_duckdb, of_clickhouse = (_cell(one, engine) for engine in (OURS, *PEERS))
        evaluate = f"{statistics.median(one.evaluate):.2f}" if one.evaluate else "-"
        shown_ratio = "-" if ratio is None else f"{ratio:.1f}"
        floor = f"{_floor_ms(one, bandwidth):.2f}"
        cells = (of_ours, evaluate, of_duckdb, of_clickhouse, shown_ratio, floor)
        line = _line(question.name, question.title, *cells)
        console.print(line, highlight=False)
        if OURS in one.missing:
            console.print(f"     NOT MEASURED: {one.missing[OURS]}", style="bold red")
    return figures


def _line(name: str, title: str, ours: str, evaluate: str, duckdb: str, clickhouse: str, ratio: str, floor: str) -> str:
    return f"{name:4} {title:56}{ours:>16}{evaluate:>10}{duckdb:>18}{clickhouse:>18}{ratio:>8}{floor:>8}"


def _cell(figures: Figures, engine: str) -> str:
    first = figures.median_ms(engine)
    if first is None:
        return "NOT MEASURED" if engine == OURS else "-"
    return f"{first:.2f} ({statistics.median(figures.again[engine]):.2f})"


def _floor_ms(figures: Figures, bandwidth: float) -> float:
    return figures.touched_bytes / bandwidth * 1e3


def figures_report(figures: Figures, bandwidth: float) -> dict[str, object]:
    """The figures of one question by name."""
    engines = (OURS, *PEERS)
    ratio = figures.ratio(PEERS)
    return {
        "title": figures.title,
        "median_ms": {name: _rounded(figures.median_ms(name)) for name in engines},
        "first_ms": {name: [round(ms, 3) for ms in figures.first[name]] for name in engines if name in figures.first},
        "again_ms": {name: [round(ms, 3) for ms in figures.again[name]] for name in engines if name in figures.again},
        "evaluate_ms": [round(ms, 3) for ms in figures.evaluate],
        "forms": figures.forms,
        "not_measured": figures.missing,
        "ratio_to_faster_peer": None if ratio is None else round(ratio, 2),
        "touched_bytes": figures.touched_bytes,
        "floor_ms": round(_floor_ms(figures, bandwidth), 4),
    }


def _rounded(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 3)


def geometric_mean(figures: Mapping[str, Figures], console: Console) -> dict[str, object]:
    """The geometric mean of the ratios; it says which questions it holds."""
    wanted = [name for name, one in figures.items() if one.in_mean]
    ratios = {name: ratio for name in wanted if (ratio := figures[name].ratio(PEERS)) is not None}
    if not ratios:
        return {"of": [], "ratio": None}
    mean = math.exp(sum(map(math.log, ratios.values())) / len(ratios))
    console.print(
        f"faster peer / ours, geometric mean of {len(ratios)} of {len(wanted)} questions: {mean:.1f} (goal 10, aim 15);"
        f" least: {min(ratios, key=lambda name: ratios[name])} {min(ratios.values()):.1f} (goal 3, aim 5)",
        style="bold",
    )
    left_out = [name for name in wanted if name not in ratios]
    if left_out:
        console.print(f"NOT IN THE MEAN, because not measured: {', '.join(left_out)}", style="bold red")
    return {"of": list(ratios), "left_out": left_out, "ratio": round(mean, 2), "least": round(min(ratios.values()), 2)}
