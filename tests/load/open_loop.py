"""An open-loop client: calls are sent when they are due, whatever becomes of the earlier ones.

Arrivals are a Poisson process. A latency counts from the instant at which the call was due, not from when it was sent:
a server (or a client) that stands still is charged for every call that would have come meanwhile. It runs in a process
of its own, `python -m tests.load.open_loop`, which reads an `Order` as JSON from its arguments and prints an `Outcome`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import grpc

from tests.bench.platform_process import ROOT
from tests.load.mix import METHODS, Call, draw_calls
from tests.load.outcome import Outcome

#: A call that is not answered within this is an error, DEADLINE_EXCEEDED.
DEADLINE_S = 2.0


@dataclass(frozen=True, slots=True)
class Order:
    """`rate` calls a second of `mix` for `warm_s` and then `measured_s` seconds, about contacts below `contacts`."""

    address: str
    secret: str
    mix: str
    rate: float
    warm_s: float
    measured_s: float
    contacts: int
    seed: int


async def offer(order: Order) -> Outcome:
    """Send everything that is due, wait for the last answer, and tell."""
    due_s = _arrivals(order)
    calls = draw_calls(order.mix, len(due_s), order.contacts, order.seed)
    outcome = Outcome(offered=sum(one >= order.warm_s for one in due_s))
    async with grpc.aio.insecure_channel(order.address) as channel:
        await asyncio.wait_for(channel.channel_ready(), 10.0)
        stubs: dict[str, Any] = {kind: channel.unary_unary(method, None, None) for kind, method in METHODS.items()}
        metadata = (("authorization", f"Bearer {order.secret}"),)
        gc.freeze()
        gc.disable()  # a pause of the client's own would be charged to the server
        used_s = time.process_time()
        await _send_all(order, due_s, calls, stubs, metadata, outcome)
        outcome.client_s = time.process_time() - used_s
    return outcome


async def _send_all(
    order: Order, due_s: list[float], calls: list[Call], stubs: dict[str, Any], metadata: Any, outcome: Outcome
) -> None:
    start_s = time.perf_counter() + 0.05

    async def send(call: Call, at_s: float, *, counted: bool) -> None:
        if counted:
            outcome.record_late((time.perf_counter() - at_s) * 1e6)
        try:
            await stubs[call.kind](call.body, metadata=metadata, timeout=DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            if counted:
                outcome.errors[error.code().name] += 1
            return
        if counted:
            outcome.record(call.kind, (time.perf_counter() - at_s) * 1e6)

    async with asyncio.TaskGroup() as tasks:
        for one_s, call in zip(due_s, calls, strict=True):
            wait_s = start_s + one_s - time.perf_counter()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            elif wait_s < -0.01:
                await asyncio.sleep(0)  # behind: answers must be taken as well
            tasks.create_task(send(call, start_s + one_s, counted=one_s >= order.warm_s))


def _arrivals(order: Order) -> list[float]:
    """Seconds from the start, ascending."""
    generator = random.Random(order.seed)
    found: list[float] = []
    at_s = generator.expovariate(order.rate)
    while at_s < order.warm_s + order.measured_s:
        found.append(at_s)
        at_s += generator.expovariate(order.rate)
    return found


async def offer_aside(order: Order) -> Outcome:
    """As `offer`, in a process of its own. Raises RuntimeError if that fails."""
    command = ("-m", "tests.load.open_loop", json.dumps(asdict(order)))
    child = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, trouble = await child.communicate()
    if child.returncode != 0:
        raise RuntimeError(f"the client ended with {child.returncode}: {trouble.decode()[-2_000:]}")
    return Outcome.from_json(json.loads(out))


def main() -> None:
    """Do the order that stands in the arguments."""
    outcome = asyncio.run(offer(Order(**json.loads(sys.argv[1]))))
    print(json.dumps(outcome.to_json()))


if __name__ == "__main__":
    main()
