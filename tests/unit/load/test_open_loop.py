"""The open-loop client against a server that stands still for a while: every call that was due meanwhile is charged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from cdp.segment.v1 import segment_pb2 as pb
from tests.load.mix import METHODS
from tests.load.open_loop import Order, offer_aside

_STALL_S = 0.4


class _Standing:
    """Answers Count at once, but for one pause of the whole process; refuses all else."""

    def __init__(self) -> None:
        self.calls = 0
        self._stalled = False

    async def count(self, request: bytes, context: Any) -> bytes:
        self.calls += 1
        if not self._stalled and self.calls > 100:
            self._stalled = True
            time.sleep(_STALL_S)  # noqa: ASYNC251 - that is what is being measured
        return pb.CountResponse().SerializeToString()

    async def refuse(self, request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "not now")
        return b""


@pytest.fixture
async def standing() -> AsyncIterator[tuple[_Standing, str]]:
    found = _Standing()
    answers = dict.fromkeys(METHODS.values(), found.refuse) | {METHODS["Count"]: found.count}
    handlers: dict[str, Any] = {
        method.rsplit("/", 1)[1]: grpc.unary_unary_rpc_method_handler(answer) for method, answer in answers.items()
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("cdp.segment.v1.SegmentService", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield found, f"127.0.0.1:{port}"
    await server.stop(0)


async def test_a_pause_of_the_server_is_charged_to_all_calls_that_were_due(standing: tuple[_Standing, str]) -> None:
    server, address = standing
    order = Order(address, "secret", "counts", rate=200, warm_s=0.2, measured_s=2.0, contacts=10, seed=1)
    outcome = await offer_aside(order)
    whole = outcome.all_kinds()
    assert outcome.offered == whole.get_total_count() <= server.calls
    assert not outcome.errors
    # About 80 of 400 calls were due in the pause; a client that waits for answers would have sent one of them.
    waited = sum(
        bucket.count_added_in_this_iter_step
        for bucket in whole.get_recorded_iterator()
        if bucket.value_iterated_to >= 20_000
    )
    assert waited >= 30
    assert whole.get_max_value() >= 0.8 * _STALL_S * 1e6


async def test_refusals_are_counted_by_code_and_have_no_latency(standing: tuple[_Standing, str]) -> None:
    _, address = standing
    order = Order(address, "secret", "fast", rate=100, warm_s=0.1, measured_s=0.5, contacts=10, seed=2)
    outcome = await asyncio.wait_for(offer_aside(order), 30)
    assert set(outcome.errors) == {"RESOURCE_EXHAUSTED"}
    assert outcome.offered == outcome.all_kinds().get_total_count() + outcome.errors.total()
    assert "IsMember" not in outcome.answered
