"""`make load`: the segment query endpoint under load, as a table that grows and as build/load.json.

A real `cdp up` with an embedded log, started from a generated snapshot, takes events through the public API all the
while; an open-loop client asks it from another process. Nothing here is red or green: the goals stand beside the
figures. Server, log, clients and whoever else works on the machine share its cores; `busy_cores` says who had them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path

from rich.console import Console

from cdp.segment.v1 import segment_pb2
from services.demo.client import CALL_S
from tests.bench.machine import machine
from tests.bench.platform_process import PlatformProcess
from tests.bench.questions.saved_segments import SAVED
from tests.load.ingesting import Ingesting, Stream
from tests.load.mix import saved_names
from tests.load.plan import RATES, LoadPlan
from tests.load.processors import resident_mb
from tests.load.registering import register
from tests.load.screen import Screen
from tests.load.second_opinion import h2load_path, second_opinion
from tests.load.steps import Steps
from tests.load.world import write_world

RESULT = Path("build/load.json")
_GOALS = {"ready_s": 30.0, "count_p99_at_half_the_knee_ms": 25.0, "p99_difference_beside_slow_ms": 10.0}
#: Ingest runs so long before anything is measured.
_SETTLE_S = 3.0


async def run(plan: LoadPlan, console: Console) -> dict[str, object]:
    """Everything of the plan, in one temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"
        with console.status(f"registering {plan.active:,} contacts through the public API"):
            registered = await register(folder, plan.active)
        console.print(f"registered {plan.active:,} contacts in {registered.seconds:.1f} s")
        with console.status(f"folding {plan.contacts:,} contacts and {plan.events:,} events into a snapshot"):
            world = await asyncio.to_thread(write_world, folder, registered, plan)
        console.print("snapshot:", world)
        started_s = time.perf_counter()
        async with PlatformProcess(folder) as platform:
            ready_s = time.perf_counter() - started_s
            console.print(f"ready after {ready_s:.1f} s (goal {_GOALS['ready_s']:g} s)")
            found = await _measure(platform, plan, console, Path(name))
    return {
        "machine": machine(),
        "plan": plan.report(),
        "goals": _GOALS,
        "registered_s": round(registered.seconds, 1),
        "snapshot": world,
        "ready_s": round(ready_s, 1),
        **found,
    }


async def _measure(platform: PlatformProcess, plan: LoadPlan, console: Console, folder: Path) -> dict[str, object]:
    started_s = time.perf_counter()
    await _save_segments(platform)
    saved_s = time.perf_counter() - started_s
    started_mb = resident_mb(platform.pid)
    console.print(f"{len(SAVED)} segments saved in {saved_s:.1f} s; server {started_mb:,} MB resident")
    secret = platform.client.metadata[0][1].removeprefix("Bearer ")
    stream = Stream(platform.address, secret, plan.active, plan.events_per_s, plan.events_a_batch, plan.seed)
    async with Ingesting(stream) as ingesting:
        await asyncio.sleep(_SETTLE_S)
        screen = Screen(console)
        steps = Steps(platform, plan, screen.say)
        counts_knee, counts = await steps.sweep("counts")
        mixed_knee, mixed = await steps.sweep("mixed")
        console.print(f"knee: {counts_knee} calls/s of counts, {mixed_knee} calls/s of the mix")
        half, half_mixed = _half(counts_knee, plan), _half(mixed_knee, plan)
        held = await steps.hold("counts", half)
        held_mixed = await steps.hold("mixed", half_mixed)
        slow = await steps.beside_slow(half)
        opinion = await second_opinion(platform.address, secret, half, plan.step_s, plan.warm_s, folder)
        server_mb = resident_mb(platform.pid)
    console.print("h2load:", opinion)
    console.print("ingest:", ingesting.report)
    console.print(f"server: {started_mb:,} MB resident when the segments were saved, {server_mb:,} MB in the end")
    console.print("p99 of fast calls beside a slow question, more by (each round):", slow["rounds"])
    console.print("the median of the rounds:", slow["p99_difference_ms"], "ms (goal 10)")
    return {
        "segments_saved_s": round(saved_s, 1),
        "server_resident_at_first_mb": started_mb,
        "server_resident_mb": server_mb,
        "knee": {"counts": counts_knee, "mixed": mixed_knee},
        "sweep": {"counts": counts, "mixed": mixed},
        "half_the_knee": {"counts": held, "mixed": held_mixed},
        "beside_slow": slow,
        "h2load": opinion,
        "ingest": ingesting.report,
    }


def _half(knee: int, plan: LoadPlan) -> int:
    """Where even the lowest rate was too much, half of that."""
    return max(1, (knee or plan.rates[0]) // 2)


async def _save_segments(platform: PlatformProcess) -> None:
    client = platform.client
    for name, text in zip(saved_names(), SAVED, strict=True):
        request = segment_pb2.SaveSegmentRequest(name=name, rule=segment_pb2.RuleSource(text=text))
        await client.segment.SaveSegment(request, metadata=client.metadata, timeout=CALL_S)


def _plan(arguments: argparse.Namespace) -> LoadPlan:
    return LoadPlan(
        contacts=arguments.contacts,
        events=arguments.events,
        active=min(arguments.active, arguments.contacts - 1),
        events_per_s=arguments.events_per_s,
        rates=tuple(arguments.rates),
        warm_s=arguments.warm_s,
        step_s=arguments.step_s,
        hold_s=arguments.hold_s or 2 * arguments.step_s,
        rounds=arguments.rounds,
        seed=arguments.seed,
    )


def _parser() -> argparse.ArgumentParser:
    usual = LoadPlan()
    parser = argparse.ArgumentParser(prog="make load ARGS=...", description=__doc__)
    parser.add_argument("--contacts", type=int, default=usual.contacts)
    parser.add_argument("--events", type=int, default=usual.events, help="in the snapshot")
    parser.add_argument("--active", type=int, default=usual.active, help="contacts that events are ingested for")
    parser.add_argument("--events-per-s", type=int, default=usual.events_per_s, help="ingested all the while")
    parser.add_argument("--rates", type=int, nargs="+", default=list(RATES), help="calls a second, ascending")
    parser.add_argument("--warm-s", type=float, default=usual.warm_s, help="of a step, not measured")
    parser.add_argument("--step-s", type=float, default=usual.step_s)
    parser.add_argument("--hold-s", type=float, help="at half the knee; default: two steps")
    parser.add_argument("--rounds", type=int, default=usual.rounds, help="with and without the slow question")
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--out", type=Path, default=RESULT, help=f"default: {RESULT}")
    return parser


def main() -> None:
    """Run, print, write."""
    arguments = _parser().parse_args()
    console = Console(width=150)
    if h2load_path() is None:
        console.print("left out: the check by h2load, which is not installed (Debian package nghttp2-client)")
    result = asyncio.run(run(_plan(arguments), console))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n")
    print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
