"""Health, reflection and the drain of a server, as clients see them."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from cdp.segment.v1 import segment_pb2 as pb
from core.errors import Code
from services.runtime.host import Host
from services.runtime.roles import Role
from tests.unit.runtime.house import House, bearer, channel_to, refusal, rule, segments, toy, until
from tests.unit.runtime.toys import ToyEngine

_SEGMENTS = "cdp.segment.v1.SegmentService"
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_BUF = Path(sys.executable).with_name("buf")


async def test_health_follows_readiness_per_service(host: Host) -> None:
    engine = toy(host, ToyEngine)
    async with channel_to(host) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=_SEGMENTS))

        async def becomes(wanted: int) -> None:
            while (await watch.read()).status != wanted:
                pass

        async with asyncio.timeout(10):
            await becomes(_SERVING)
            engine.is_ready = lambda: False
            await becomes(_NOT_SERVING)
            registry = health_pb2.HealthCheckRequest(service="cdp.workspace.v1.WorkspaceService")
            assert (await stub.Check(registry)).status == _SERVING
            assert (await stub.Check(health_pb2.HealthCheckRequest())).status == _NOT_SERVING

            def broken() -> bool:
                raise ValueError("cannot say")

            engine.is_ready = lambda: True
            await becomes(_SERVING)
            engine.is_ready = broken
            await becomes(_NOT_SERVING)
            engine.is_ready = lambda: True
            await becomes(_SERVING)
        watch.cancel()


async def test_reflection_lists_the_services_without_a_key(host: Host) -> None:
    async with channel_to(host) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        async for response in stub.ServerReflectionInfo(asked):
            names = {service.name for service in response.list_services_response.service}
    assert names == {
        _SEGMENTS,
        "cdp.workspace.v1.WorkspaceService",
        "cdp.workspace.v1.KeyService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }


@pytest.mark.skipif(not _BUF.exists(), reason="buf is not installed beside this interpreter")
async def test_buf_curl_calls_by_reflection(host: Host, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        str(_BUF), "curl", "--protocol", "grpc", "--http2-prior-knowledge", "--reflect",
        "--header", "authorization: Bearer read-acme", "--data", json.dumps({"rule": {"text": "who"}}),
        f"http://127.0.0.1:{host.grpc_port}/{_SEGMENTS}/ConvertRule",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={"HOME": str(tmp_path), "PATH": ""},
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, err.decode()
    assert json.loads(out) == {"text": "acme/READ/read-acme"}


async def test_a_drain_says_so_then_ends_streams_and_finishes_calls(empty_house: House) -> None:
    host = await empty_house.start(Role.INGEST, Role.SEGMENT_ENGINE, CDP_DRAIN_S="2")
    empty_house.registry.add("acme")
    engine = toy(host, ToyEngine)
    await until(engine.ready, "the workspace is owned")
    seen: list[str] = []
    async with channel_to(host) as channel, segments(host) as stub:
        health = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=_SEGMENTS))
        stream = stub.Members(pb.MembersRequest(name="wait"), metadata=bearer("read-acme"))
        assert await stream.read() == pb.MembersResponse(roaring=b"waiting")
        call = asyncio.create_task(_text(stub.ConvertRule(rule("wait"), metadata=bearer("read-acme"))))
        while (await health.read()).status != _SERVING:
            pass
        stopping = asyncio.create_task(empty_house.stop(host))
        async with asyncio.timeout(10):
            while (await health.read()).status != _NOT_SERVING:
                pass
            seen.append("not serving")
            assert (await stub.ConvertRule(rule("still"), metadata=bearer("read-acme"))).text == "still"
            status, error = await refusal(stream.read())
            assert (status, error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, Code.UNAVAILABLE, "DRAINING")
            seen.append("stream ended")
            assert not call.done()
            engine.go.set()
            assert await call == "wait"
            seen.append("call finished")
            await stopping
        status, _ = await refusal(stub.ConvertRule(rule("x"), metadata=bearer("read-acme"), timeout=1))
        assert status is grpc.StatusCode.UNAVAILABLE
    assert seen == ["not serving", "stream ended", "call finished"]


async def test_a_drain_ends_calls_that_take_too_long(host: Host, empty_house: House) -> None:
    engine = toy(host, ToyEngine)
    async with segments(host) as stub:
        call = asyncio.create_task(refusal(stub.ConvertRule(rule("wait"), metadata=bearer("read-acme"))))
        await engine.entered.wait()
        async with asyncio.timeout(5):
            await empty_house.stop(host)
        assert (await call)[1].code is Code.UNAVAILABLE
        assert engine.left == 1


async def _text(call: grpc.aio.UnaryUnaryCall[pb.ConvertRuleRequest, pb.ConvertRuleResponse]) -> str:
    return (await call).text
