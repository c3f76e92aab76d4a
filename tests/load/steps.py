"""The steps of a run against a platform that is up and takes events: sweep to the knee, hold half of it, and hold it
beside a slow question."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc

from services.demo.client import CALL_S
from tests.bench.platform_process import PlatformProcess
from tests.load.mix import EVALUATE_ALL, METHODS, draw_slow
from tests.load.open_loop import Order, offer_aside
from tests.load.outcome import Outcome, figures, new_histogram, percentile_ms
from tests.load.plan import LoadPlan
from tests.load.processors import shares, used

#: Two rates in a row that were too much: the next ones would be as well.
_ENOUGH = 2

#: Hears of every step: name, rate, outcome, and busy cores by who.
Say = Callable[[str, int, Outcome, dict[str, float]], None]


@dataclass(slots=True)
class Steps:
    """Runs steps one after the other, each with another seed."""

    platform: PlatformProcess
    plan: LoadPlan
    say: Say
    done: int = 0

    async def step(self, name: str, mix: str, rate: int, measured_s: float) -> tuple[Outcome, dict[str, float]]:
        """One rate of one mix."""
        secret = self.platform.client.metadata[0][1].removeprefix("Bearer ")
        self.done += 1
        order = Order(
            self.platform.address,
            secret,
            mix,
            rate,
            self.plan.warm_s,
            measured_s,
            self.plan.contacts,
            self.plan.seed + self.done,
        )
        before = used(self.platform.pid)
        outcome = await offer_aside(order)
        busy = shares(before, used(self.platform.pid), outcome.client_s)
        self.say(name, rate, outcome, busy)
        return outcome, busy

    async def sweep(self, mix: str) -> tuple[int, list[dict[str, object]]]:
        """The knee (0: the lowest rate was too much) and every step."""
        knee, misses = 0, 0
        steps: list[dict[str, object]] = []
        for rate in self.plan.rates:
            outcome, busy = await self.step(f"sweep {mix}", mix, rate, self.plan.step_s)
            steps.append({"rate": rate, "holds": outcome.holds(), **outcome.report(), "busy_cores": busy})
            if outcome.holds():
                knee, misses = rate, 0
                continue
            misses += 1
            if misses == _ENOUGH:
                break
        return knee, steps

    async def hold(self, mix: str, rate: int) -> dict[str, object]:
        """One rate for longer."""
        outcome, busy = await self.step(f"half the knee, {mix}", mix, rate, self.plan.hold_s)
        return {"rate": rate, **outcome.report(), "busy_cores": busy}

    async def beside_slow(self, rate: int) -> dict[str, object]:
        """Fast calls without and with one slow question running, in turns; the difference of their p99."""
        alone, beside, slow = Outcome(), Outcome(), new_histogram()
        rounds: list[dict[str, float]] = []
        for _ in range(self.plan.rounds):
            without, _busy = await self.step("fast calls alone", "fast", rate, self.plan.hold_s)
            asking = asyncio.create_task(self._ask_slowly(slow))
            try:
                with_slow, _busy = await self.step("fast calls beside a slow one", "fast", rate, self.plan.hold_s)
            finally:
                asking.cancel()
                with suppress(asyncio.CancelledError):
                    await asking
            rounds.append({"alone_p99_ms": _p99_ms(without), "beside_p99_ms": _p99_ms(with_slow)})
            alone.add(without)
            beside.add(with_slow)
        return {
            "rate": rate,
            "alone": alone.report(),
            "beside": beside.report(),
            "p99_difference_ms": round(_p99_ms(beside) - _p99_ms(alone), 2),
            "rounds": rounds,
            "slow_question": figures(slow),
        }

    async def _ask_slowly(self, took: Any) -> None:
        """One question about everyone after the other, until cancelled; never the same twice."""
        generator = random.Random(self.plan.seed + self.done)
        metadata = self.platform.client.metadata
        async with grpc.aio.insecure_channel(self.platform.address) as channel:
            ask: Any = channel.unary_unary(METHODS[EVALUATE_ALL], None, None)
            while True:
                started_s = time.perf_counter()
                await ask(draw_slow(generator), metadata=metadata, timeout=CALL_S)
                took.record_value(max(1, int((time.perf_counter() - started_s) * 1e6)))


def _p99_ms(outcome: Outcome) -> float:
    return round(percentile_ms(outcome.all_kinds(), 99.0), 2)
