"""A process's life: ports, HTTP, starting, stopping, starting again."""

from __future__ import annotations

import asyncio
import gc
import socket
from pathlib import Path

import httpx2
import pytest
from structlog.testing import capture_logs

from core.errors import CdpError, Code, invalid
from services.runtime.host import Host
from services.runtime.roles import Role
from tests.unit.runtime.house import House, bearer, house, rule, segments, toy, until
from tests.unit.runtime.toys import ToyEngine, ToyRegistry


async def get(host: Host, path: str) -> httpx2.Response:
    async with httpx2.AsyncClient() as client:
        return await client.get(f"http://127.0.0.1:{host.http_port}{path}")


async def test_http_answers_health_metrics_and_routes(host: Host) -> None:
    alive = await get(host, "/healthz")
    assert (alive.status_code, alive.text) == (200, "ok\n")
    async with segments(host) as stub:
        await stub.ConvertRule(rule("x"), metadata=bearer("read-acme"))
    metrics = (await get(host, "/metrics")).text
    assert 'cdp_rpc_seconds_count{method="/cdp.segment.v1.SegmentService/ConvertRule"}' in metrics
    assert (await get(host, "/toy/hello")).text == "hello"
    assert (await get(host, "/nothing")).status_code == 404


async def test_http_errors_are_json_and_tell_no_more_than_grpc(host: Host) -> None:
    engine = toy(host, ToyEngine)
    refused = await get(host, "/toy/raise")
    assert (refused.status_code, refused.json()["reason"]) == (400, "TOLD_SO")
    engine.failure = ValueError("password")
    with capture_logs() as logs:
        failed = await get(host, "/toy/raise")
    assert (failed.status_code, failed.json()["reason"]) == (500, "UNEXPECTED")
    assert "password" not in failed.text
    assert [log["where"] for log in logs if log["event"] == "unexpected error"] == ["/toy/{text}"]
    assert (await get(host, "/healthz")).status_code == 200


async def test_a_taken_port_is_named_and_nothing_is_left(empty_house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for key in ("CDP_GRPC_PORT", "CDP_HTTP_PORT"):
            host = empty_house.host(Role.INGEST, **{key: str(port)})
            with pytest.raises(CdpError) as refused:
                await host.start()
            assert (refused.value.code, refused.value.reason) == (Code.CONFLICT, "PORT_TAKEN")
            assert key in refused.value.message
            assert f"127.0.0.1:{port}" in refused.value.message
            assert _tasks() == set()


async def test_two_hosts_cannot_share_a_grpc_port(empty_house: House) -> None:
    first = await empty_house.start(Role.INGEST)
    with pytest.raises(CdpError, match="CDP_GRPC_PORT"):
        await empty_house.host(Role.INGEST, CDP_GRPC_PORT=str(first.grpc_port)).start()
    assert (await get(first, "/healthz")).status_code == 200


async def test_a_service_that_does_not_start_takes_everything_down(empty_house: House) -> None:
    class Refusing(ToyEngine):
        async def start(self) -> None:
            raise invalid("NOT_TODAY", "it does not start")

    builds = {Role.SEGMENT_ENGINE: Refusing}
    host = Host(empty_house.settings(Role.SEGMENT_ENGINE), empty_house.clock, empty_house.log, builds)
    with pytest.raises(CdpError, match="does not start"):
        await host.start()
    with socket.create_server(("127.0.0.1", host.grpc_port)), socket.create_server(("127.0.0.1", host.http_port)):
        pass
    await until(lambda: _tasks() == set(), "no task is left")


async def test_start_stop_start_on_the_same_ports(tmp_path: Path) -> None:
    async with house(tmp_path) as made:
        host = await made.start(Role.INGEST, Role.SEGMENT_ENGINE)
        ports = {"CDP_GRPC_PORT": str(host.grpc_port), "CDP_HTTP_PORT": str(host.http_port)}
        await made.stop(host)
        await host.stop()
        again = await made.start(Role.INGEST, Role.SEGMENT_ENGINE, **ports)
        for _ in range(2):
            made.registry.add("acme")
            await until(toy(again, ToyEngine).ready, "the workspace is owned")
            async with segments(again) as stub:
                assert (await stub.ConvertRule(rule("x"), metadata=bearer("read-acme"))).text == "x"
            assert (await get(again, "/healthz")).status_code == 200
            await again.stop()
            await again.start()
    gc.collect()
    await until(lambda: _tasks() == set(), "no task is left")


async def test_stop_takes_every_step_even_if_one_fails(empty_house: House) -> None:
    class Failing(ToyEngine):
        async def stop(self) -> None:
            await super().stop()
            raise invalid("NOT_SO_FAST", "it does not stop")

    settings = empty_house.settings(Role.INGEST, Role.SEGMENT_ENGINE)
    host = Host(settings, empty_house.clock, empty_house.log, {Role.INGEST: ToyRegistry, Role.SEGMENT_ENGINE: Failing})
    await host.start()
    with pytest.raises(CdpError, match="does not stop"):
        await host.stop()
    await host.stop()
    await until(lambda: _tasks() == set(), "no task is left")


async def test_wait_ready_names_who_is_not(host: Host) -> None:
    await host.wait_ready(5.0)
    toy(host, ToyEngine).is_ready = lambda: False
    with pytest.raises(CdpError, match="segment_engine") as refused:
        await host.wait_ready(0.05)
    assert "ingest" not in refused.value.message


def _tasks() -> set[str]:
    """Names of tasks besides the test's own."""
    current = asyncio.current_task()
    return {task.get_name() for task in asyncio.all_tasks() if task is not current and not task.done()}
