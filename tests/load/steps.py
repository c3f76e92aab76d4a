"""The steps of a run against a platform that is up and takes events: sweep to the knee, hold half of it, and hold it
beside a slow question."""

from __future__ import annotations

import asyncio
import random
import statistics
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
        """The knee (0: the lowest rate was too much) and every step. The first step that fails ends it: a rate above
        one that failed is none that the server can be trusted with."""
        knee = 0
        steps: list[dict[str, object]] = []
        for rate in self.plan.rates:
            outcome, busy = await self.step(f"sweep {mix}", mix, rate, self.plan.step_s)
            steps.append({"rate": rate, "holds": outcome.holds(), **outcome.report(), "busy_cores": busy})
            if not outcome.holds():
                break
            knee = rate
        return knee, steps

    async def hold(self, mix: str, rate: int) -> dict[str, object]:
        """One rate for longer."""
        outcome, busy = await self.step(f"half the knee, {mix}", mix, rate, self.plan.hold_s)
        return {"rate": rate, **outcome.report(), "busy_cores": busy}

    async def beside_slow(self, rate: int) -> dict[str, object]:
        """Fast calls without and with one slow question running, which is all that differs: the two arms of a round
        come one after the other, now this one first and now that, with the same calls at the same instants. Told are
        every round, whether the server wrote a snapshot in an arm, the median of the rounds' differences of p99, and
        the difference of the p99 of all calls."""
        arms, slow = (Outcome(), Outcome()), new_histogram()
        rounds: list[dict[str, float | bool]] = []
        for number in range(self.plan.rounds):
            found: dict[str, float | bool] = {}
            order, first_step = (False, True) if number % 2 == 0 else (True, False), self.done
            for with_slow in order:
                self.done = first_step  # the seed: the same calls
                began_s = time.time()
                outcome = await self._arm(rate, slow if with_slow else None)
                name = "beside" if with_slow else "alone"
                found[f"{name}_p99_ms"] = _p99_ms(outcome)
                found[f"{name}_with_snapshot"] = self.platform.snapshot_since(began_s)
                arms[with_slow].add(outcome)
            rounds.append(found)
        differences = [one["beside_p99_ms"] - one["alone_p99_ms"] for one in rounds]
        return {
            "rate": rate,
            "alone": arms[False].report(),
            "beside": arms[True].report(),
            "p99_difference_ms": round(statistics.median(differences), 2),
            "p99_difference_of_all_calls_ms": round(_p99_ms(arms[True]) - _p99_ms(arms[False]), 2),
            "rounds": rounds,
            "slow_question": figures(slow),
        }

    async def _arm(self, rate: int, slow: Any) -> Outcome:
        """Fast calls for a while; with one slow question after the other beside them where `slow` is there to hear how
        long each took."""
        if slow is None:
            return (await self.step("fast calls alone", "fast", rate, self.plan.hold_s))[0]
        asking = asyncio.create_task(self._ask_slowly(slow))
        try:
            return (await self.step("fast calls beside a slow one", "fast", rate, self.plan.hold_s))[0]
        finally:
            asking.cancel()
            with suppress(asyncio.CancelledError):
                await asking

    async def _ask_slowly(self, took: Any) -> None:
        """One question about everyone after the other, until cancelled; never the same twice."""
        generator = random.Random(f"slow {self.plan.seed} {self.done}")
        metadata = self.platform.client.metadata
        async with grpc.aio.insecure_channel(self.platform.address) as channel:
            ask: Any = channel.unary_unary(METHODS[EVALUATE_ALL], None, None)
            while True:
                started_s = time.perf_counter()
                await ask(draw_slow(generator), metadata=metadata, timeout=CALL_S)
                took.record_value(max(1, int((time.perf_counter() - started_s) * 1e6)))


def _p99_ms(outcome: Outcome) -> float:
    return round(percentile_ms(outcome.all_kinds(), 99.0), 2)
