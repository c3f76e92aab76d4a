"""`make bench`: the figures of this machine as a table, and as build/bench.json. Nothing here is red or green."""

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
from tests.bench.journey import measure_journey
from tests.bench.latency import measure_latency
from tests.bench.machine import machine

RESULT = Path("build/bench.json")

FIGURES: dict[str, tuple[str, Callable[[Path], Awaitable[dict[str, object]]]]] = {
    "journey": ("Complete Journey through the public API; goal: queryable in less than 60 s", measure_journey),
    "latency": ("acknowledged event and window end to Watch; goal: p99 below 1,000 ms", measure_latency),
    "calls": ("Count of a saved segment against an empty grpc.aio echo; goal: 0.6", measure_calls),
}


async def measure(names: list[str]) -> dict[str, object]:
    """Each figure on a fresh platform, one after the other."""
    console = Console()
    result: dict[str, object] = {"machine": machine()}
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
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument("figures", nargs="*", choices=[*FIGURES, []], help="default: all")
    parser.add_argument("--echo", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.echo is not None:
        asyncio.run(serve_echo(arguments.echo))
        return
    result = asyncio.run(measure(arguments.figures or list(FIGURES)))
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(f"written to {RESULT}")


if __name__ == "__main__":
    main()
