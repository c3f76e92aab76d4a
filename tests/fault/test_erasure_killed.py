"""Killed at every named point on the way of an erasure: it goes on after the start, and no byte is left."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import grpc
import pytest

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from cdp.profile.v1 import profile_pb2, profile_pb2_grpc
from services.demo.client import again
from services.runtime.errors import from_rpc
from services.runtime.roles import Role
from tests.fault.processes import Processes, platform
from tests.flow.test_erasure_flow import places_of

ROLES = (Role.INGEST, Role.PROFILE_UNIFICATION, Role.CHANNEL)
POINTS = {
    "profile_unification.archive_written": Role.PROFILE_UNIFICATION,
    "profile_unification.archive_rewritten": Role.PROFILE_UNIFICATION,
    "profile_unification.archive_forgotten": Role.PROFILE_UNIFICATION,
    "profile_unification.trimmed": Role.PROFILE_UNIFICATION,
    "profile_unification.log_forgotten": Role.PROFILE_UNIFICATION,
    "ingest.archive_rewritten": Role.INGEST,
}
#: The sample of every run; each point costs two starts of a process.
FEW = ("profile_unification.archive_rewritten",)
WITHIN_S = 60.0


@pytest.mark.parametrize("points", [FEW, pytest.param(tuple(POINTS), marks=pytest.mark.fault)], ids=["few", "all"])
async def test_an_erasure_goes_on_after_a_death_at_every_point(tmp_path: Path, points: tuple[str, ...]) -> None:
    async with platform(tmp_path, {}, ROLES) as processes:
        for number, (point, role) in enumerate((one, POINTS[one]) for one in points):
            mark = f"zqmark{number}zq"
            await told(processes, mark)
            await _restarted(processes, role, f"{point}:1")
            await _erase(processes, mark)
            await processes.wait_dead(role, WITHIN_S)
            await processes.restart(role)
            certificate = await _finished(processes, mark)
            assert certificate.key_hashes, point
            await _nothing_left(mark, tmp_path, point)
        await told(processes, "zqlastzq")
        assert await _is_there(processes, "zqlastzq"), "and it takes in people as before"
    shutil.rmtree(tmp_path, ignore_errors=True)


async def told(processes: Processes, mark: str) -> None:
    """Somebody whose every field holds `mark`, folded."""
    email = facts_pb2.Identifier(kind="email", value=f"{mark}@example.com")
    person = ingest_pb2.Person(identifiers=[email], attributes={"city": facts_pb2.Value(text=f"{mark} city")})
    event = ingest_pb2.Event(
        type="app_opened", identifiers=[email], params={"note": facts_pb2.Value(text=f"{mark} note")}
    )
    metadata = _metadata(processes)
    async with grpc.aio.insecure_channel(processes.address(Role.INGEST)) as channel:
        stub = ingest_pb2_grpc.IngestServiceStub(channel)
        await again(lambda: stub.Identify(ingest_pb2.IdentifyRequest(person=person), metadata=metadata, timeout=20))
        answer = await again(lambda: stub.Track(ingest_pb2.TrackRequest(event=event), metadata=metadata, timeout=20))
    async with grpc.aio.insecure_channel(processes.address(Role.PROFILE_UNIFICATION)) as channel:
        request = profile_pb2.BatchGetRequest(min_upstream_position=answer.position)
        stubs = profile_pb2_grpc.ProfileServiceStub(channel)
        await again(lambda: stubs.BatchGet(request, metadata=metadata, timeout=20))


async def _restarted(processes: Processes, role: Role, point: str) -> None:
    processes.kill(role)
    processes.start(role, point)
    await processes.wait_ready(role)


async def _erase(processes: Processes, mark: str) -> None:
    """Order it, until it is known to be ordered or the process is dead."""
    request = profile_pb2.EraseRequest(
        identifier=facts_pb2.Identifier(kind="email", value=f"{mark}@example.com"), reason="asked", request_id=mark
    )
    async with grpc.aio.insecure_channel(processes.address(Role.PROFILE_UNIFICATION)) as channel:
        stub = profile_pb2_grpc.ProfileServiceStub(channel)
        while _all_alive(processes):
            try:
                await stub.Erase(request, metadata=_metadata(processes), timeout=30)
                return
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.UNAVAILABLE, error.details()
            await asyncio.sleep(0.1)


def _all_alive(processes: Processes) -> bool:
    try:
        processes.check_alive()
    except AssertionError:
        return False
    return True


async def _finished(processes: Processes, mark: str) -> profile_pb2.ErasureCertificate:
    certificate = profile_pb2.ErasureCertificate()
    request = profile_pb2.GetErasureRequest(name=f"operations/erasures/{mark}")
    deadline_s = asyncio.get_running_loop().time() + WITHIN_S
    async with grpc.aio.insecure_channel(processes.address(Role.PROFILE_UNIFICATION)) as channel:
        stub = profile_pb2_grpc.ProfileServiceStub(channel)
        while True:
            operation = await again(lambda: stub.GetErasure(request, metadata=_metadata(processes), timeout=20))
            if operation.done:
                assert operation.response.Unpack(certificate)
                return certificate
            log = processes.log_of(Role.PROFILE_UNIFICATION)
            assert asyncio.get_running_loop().time() < deadline_s, f"not done: {log}"
            await asyncio.sleep(0.1)


async def _is_there(processes: Processes, mark: str) -> bool:
    request = profile_pb2.GetRequest(identifier=facts_pb2.Identifier(kind="email", value=f"{mark}@example.com"))
    async with grpc.aio.insecure_channel(processes.address(Role.PROFILE_UNIFICATION)) as channel:
        stub = profile_pb2_grpc.ProfileServiceStub(channel)
        try:
            await again(lambda: stub.Get(request, metadata=_metadata(processes), timeout=20))
        except grpc.aio.AioRpcError as error:
            assert from_rpc(error).reason == "NO_SUCH_CONTACT"
            return False
    return True


async def _nothing_left(mark: str, folder: Path, point: str) -> None:
    # The name of the operation was made of the mark.
    deadline_s = asyncio.get_running_loop().time() + 20
    while places := [*places_of(f"{mark}@", folder), *places_of(f"{mark} ", folder)]:
        assert asyncio.get_running_loop().time() < deadline_s, f"{point}: left in {places}"
        await asyncio.sleep(0.2)


def _metadata(processes: Processes) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {processes.secret}"),)
