"""`make bench`: the figures of this machine as a table, and as build/bench.json. Nothing here is red or green, but an
answer that differs between our engine and a peer ends the run."""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.calls import measure_calls, serve_echo
from tests.bench.content import measure_content
from tests.bench.core_figure import CorePlan, measure_core
from tests.bench.doors import measure_doors
from tests.bench.feed import measure_feed
from tests.bench.imports import measure_imports
from tests.bench.journey import measure_journey
from tests.bench.latency import measure_latency
from tests.bench.machine import machine
from tests.bench.mailing import measure_mailing
from tests.bench.overload import measure_overload
from tests.bench.scenarios import measure_scenarios
from tests.bench.sending import measure_sending
from tests.bench.unification import measure_unification
from tests.bench.workload import Workload

RESULT = Path("build/bench.json")

#: Figures of the platform as a process; `core` stands beside them.
FIGURES: dict[str, tuple[str, Callable[[Path], Awaitable[dict[str, object]]]]] = {
    "journey": ("Complete Journey through the public API; goal: queryable in less than 60 s", measure_journey),
    "latency": ("acknowledged event and window end to Watch; goal: p99 below 1,000 ms", measure_latency),
    "feed": ("a product feed of 1 M items, durable; goal: 60 s, 300 MB", measure_feed),
    "import": ("a CSV of 800,000 rows of each kind, durable; goal: 30,000 rows/s", measure_imports),
    "doors": ("batches of 100 through both doors, durable; goals: HTTP 15,000, gRPC 25,000 events/s", measure_doors),
    "overload": ("one workspace sends three times the peak, another as before; goals: 70 %, 2x", measure_overload),
    "unification": (
        "entries of ingest's log to people, durable; goals: 15,000 events/s, 4,000 identify/s",
        measure_unification,
    ),
    "scenarios": (
        "waiting runs, timers due at once, event to hand-over; goals: 10,000 within 5 s, p99 500 ms at 200/s",
        measure_scenarios,
    ),
    "sending": ("a scheduled send through the outbox to a null provider; goal: 800 messages/s", measure_sending),
    "content": (
        "recommendations for 1,000 contacts of 100,000 products; letters with two blocks, goal: 2,000/s",
        measure_content,
    ),
    "mailing": (
        "mails with two product blocks, one process; goals per s: Liquid 2,000, signed 300, handed over 300",
        measure_mailing,
    ),
    "calls": ("Count of a saved segment against an empty grpc.aio echo; goal: 0.6", measure_calls),
}
CORE = "core"
#: Other sizes at which `core` asks the same questions: contacts, events, ours only.
_GROWTH = ((1_000_000, 10_000_000, False), (10_000_000, 100_000_000, True))


async def measure(names: list[str], console: Console) -> dict[str, object]:
    """Each figure on a fresh platform, one after the other."""
    result: dict[str, object] = {}
    for name in names:
        title, figure = FIGURES[name]
        with console.status(f"{name}: {title}"), tempfile.TemporaryDirectory() as folder:
            found = await figure(Path(folder))
        table = Table("what", "figure", title=f"{name}: {title}", title_justify="left", width=80)
        for what, value in found.items():
            table.add_row(what, str(value))
        console.print(table)
        result[name] = found
    return result


def main() -> None:
    """Measure what was asked for, or everything."""
    arguments = _parser().parse_args()
    if arguments.echo is not None:
        asyncio.run(serve_echo(arguments.echo))
        return
    console = Console(width=140)
    names = arguments.figures or [*FIGURES, CORE]
    result: dict[str, object] = {"machine": machine()}
    result |= asyncio.run(measure([name for name in names if name != CORE], console))
    if CORE in names:
        result[CORE] = measure_core(_core_plan(arguments), console)
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n")
    print(f"written to {arguments.out}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument("figures", nargs="*", choices=[*FIGURES, CORE, []], help="default: all")
    parser.add_argument("--echo", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=RESULT, help=f"default: {RESULT}")
    core = parser.add_argument_group("core")
    core.add_argument("--contacts", type=int, default=5_000_000)
    core.add_argument("--events", type=int, default=50_000_000)
    core.add_argument("--seed", type=int, default=20_261_122)
    core.add_argument("--repetitions", type=int, default=9, help="of each question; at least 7 say something")
    core.add_argument("--ours-only", action="store_true", help="no peers: for sizes beyond their patience")
    core.add_argument("--questions-only", action="store_true", help="without row path, snapshots and engine")
    core.add_argument("--no-growth", action="store_true", help="this size alone")
    return parser


def _core_plan(arguments: argparse.Namespace) -> CorePlan:
    return CorePlan(
        Workload(arguments.contacts, arguments.events, arguments.seed),
        arguments.repetitions,
        arguments.ours_only,
        arguments.questions_only,
        () if arguments.no_growth else _GROWTH,
    )


if __name__ == "__main__":
    main()
