"""Workspaces and keys: made, found by their secret, revoked, followed, audited; the development key."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import grpc
import pytest

from cdp.ingest.v1 import ingest_pb2
from cdp.workspace.v1 import workspace_pb2 as pb
from core.api_keys import hash_of, key_id_of
from core.clock import ManualClock
from core.errors import CdpError
from core.eventlog.memory import MemoryLog
from core.workspace import bucket_of
from services.ingest.development import ensure_development_key
from services.ingest.key_desk import KeyDesk
from services.ingest.registry import PARTITION, Registry
from services.runtime.errors import from_rpc
from services.runtime.lease import LeaseKeeper
from services.runtime.waiter import LoopWaiter
from tests.unit.ingest.house import NOW_US, House, eventually, running


async def refusal(call: object) -> CdpError:
    """The error that a call ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call  # type: ignore[misc]
    return from_rpc(refused.value)


async def test_a_workspace_and_its_first_key(house: House) -> None:
    wanted = pb.Workspace(id="toys", display_name="Toys", zone="America/New_York", currency="EUR")
    request = pb.CreateWorkspaceRequest(workspace=wanted, request_id="r1")
    made = await house.workspaces.CreateWorkspace(request, metadata=house.metadata)
    assert (made.workspace.bucket, made.workspace.created_at_us) == (bucket_of("toys"), NOW_US)
    again = await house.workspaces.CreateWorkspace(request, metadata=house.metadata)
    assert (again.workspace, again.key, again.secret) == (made.workspace, made.key, "")
    new = (("authorization", f"Bearer {made.secret}"),)
    found = await house.workspaces.GetWorkspace(pb.GetWorkspaceRequest(), metadata=new)
    assert found.workspace == made.workspace
    stored = b"".join([value async for _, value in house.log.scan(PARTITION, "keys")])
    assert made.secret.encode() not in stored
    assert hash_of(made.secret).encode() in stored


@pytest.mark.parametrize(
    ("workspace", "path"),
    [
        (pb.Workspace(id="Toys"), "id"),
        (pb.Workspace(zone="Europe/Nowhere"), "zone"),
        (pb.Workspace(zone="../../etc/passwd"), "zone"),
        (pb.Workspace(currency="euro"), "currency"),
        (pb.Workspace(display_name="a\nb"), "display_name"),
    ],
)
async def test_a_bad_workspace(house: House, workspace: pb.Workspace, path: str) -> None:
    request = pb.CreateWorkspaceRequest(workspace=workspace)
    error = await refusal(house.workspaces.CreateWorkspace(request, metadata=house.metadata))
    assert (error.reason, [violation.path for violation in error.violations]) == ("BAD_WORKSPACE", [path])


async def test_keys_open_what_their_scope_says_until_they_are_revoked(house: House) -> None:
    event = ingest_pb2.Event(type="site_visited")
    event.identifiers.add(kind="external_id", value="ann")
    track = ingest_pb2.TrackRequest(event=event)
    made = {
        scope: await house.keys.CreateKey(pb.CreateKeyRequest(scope=scope), metadata=house.metadata)
        for scope in (pb.SCOPE_WRITE, pb.SCOPE_READ)
    }
    write, read = ((("authorization", f"Bearer {one.secret}"),) for one in made.values())
    await house.ingest.Track(track, metadata=write)
    for call in (
        house.ingest.Track(track, metadata=read),
        house.workspaces.GetWorkspace(pb.GetWorkspaceRequest(), metadata=write),
        house.keys.ListKeys(pb.ListKeysRequest(), metadata=read),
        house.workspaces.ListWorkspaces(pb.ListWorkspacesRequest(), metadata=house.metadata),
        house.keys.Authenticate(pb.AuthenticateRequest(secret="x"), metadata=house.metadata),
    ):
        assert (await refusal(call)).reason == "SCOPE_TOO_NARROW"
    key_id = made[pb.SCOPE_WRITE].key.id
    revoked = await house.keys.RevokeKey(pb.RevokeKeyRequest(id=key_id), metadata=house.metadata)
    assert revoked.key.revoked
    asked = house.keys.Authenticate(pb.AuthenticateRequest(secret=made[pb.SCOPE_WRITE].secret), metadata=house.internal)
    assert (await refusal(asked)).reason == "BAD_KEY"
    answer = await house.http.post("/v1/t", json={}, auth=(made[pb.SCOPE_WRITE].secret, ""))
    assert answer.status_code == 401
    listed = await house.keys.ListKeys(pb.ListKeysRequest(), metadata=house.metadata)
    assert [key.revoked for key in listed.keys].count(True) == 1
    audit = await house.workspaces.ListAuditRecords(pb.ListAuditRecordsRequest(page_size=3), metadata=house.metadata)
    rest = await house.workspaces.ListAuditRecords(
        pb.ListAuditRecordsRequest(page_token=audit.next_page_token), metadata=house.metadata
    )
    records = [(one.action, one.kind, one.actor) for one in (*audit.records, *rest.records)]
    assert records == [
        ("created", "workspace", "embedded mode"),
        ("created", "key", "first key"),
        ("created", "key", "first key"),
        ("revoked", "key", "first key"),
    ]


async def test_another_workspace_is_not_there(house: House) -> None:
    wanted = pb.CreateWorkspaceRequest(workspace=pb.Workspace(id="toys"))
    other = await house.workspaces.CreateWorkspace(wanted, metadata=house.metadata)
    stranger = (("authorization", f"Bearer {other.secret}"),)
    [own] = (await house.keys.ListKeys(pb.ListKeysRequest(), metadata=house.metadata)).keys
    revoke = house.keys.RevokeKey(pb.RevokeKeyRequest(id=own.id), metadata=stranger)
    nothing = house.keys.RevokeKey(pb.RevokeKeyRequest(id="nothing"), metadata=stranger)
    assert [(await refusal(call)).reason for call in (revoke, nothing)] == ["NO_SUCH_KEY", "NO_SUCH_KEY"]
    change = pb.UpdateWorkspaceRequest(workspace=pb.Workspace(id="dev", display_name="mine"))
    assert (await refusal(house.workspaces.UpdateWorkspace(change, metadata=stranger))).reason == "NO_SUCH_WORKSPACE"


async def test_services_hear_of_changes(house: House) -> None:
    listed = await house.workspaces.ListWorkspaces(pb.ListWorkspacesRequest(), metadata=house.internal)
    assert [one.id for one in listed.workspaces] == ["dev"]
    waiting = asyncio.ensure_future(
        house.workspaces.ListWorkspaces(pb.ListWorkspacesRequest(wait_etag=listed.etag), metadata=house.internal)
    )
    update = pb.Workspace(zone="Europe/Kyiv", etag=listed.workspaces[0].etag)
    changed = await house.workspaces.UpdateWorkspace(
        pb.UpdateWorkspaceRequest(workspace=update), metadata=house.metadata
    )
    heard = await asyncio.wait_for(waiting, 5)
    assert [(one.zone, one.etag) for one in heard.workspaces] == [("Europe/Kyiv", changed.workspace.etag)]
    assert heard.etag != listed.etag
    again = house.workspaces.UpdateWorkspace(pb.UpdateWorkspaceRequest(workspace=update), metadata=house.metadata)
    assert (await refusal(again)).reason == "ETAG_MISMATCH"


async def test_two_processes_share_the_registry() -> None:
    clock = ManualClock(NOW_US)
    log = MemoryLog(clock, LoopWaiter())
    leases = [LeaseKeeper(log, f"10.0.0.{n}:1") for n in range(2)]
    one, two = (Registry(log, clock, lease) for lease in leases)
    await one.start()
    await two.start()
    await eventually(lambda: one.ready() and two.ready())
    made = await one.create_workspace("toys", "", "", "", "test")
    await eventually(lambda: two.etag == one.etag)
    assert two.open(made.secret)[0] == made.workspace
    await two.create_workspace("tea", "", "", "", "test")
    with pytest.raises(CdpError, match="'tea'"):
        await one.create_workspace("tea", "", "", "", "test")
    assert [record.id for record in one.workspaces()] == ["tea", "toys"]
    for registry, lease in zip((one, two), leases, strict=True):
        await registry.stop()
        await lease.close()


async def test_the_development_key_is_the_same_on_the_second_start(tmp_path: Path) -> None:
    clock = ManualClock(NOW_US)
    log = MemoryLog(clock, LoopWaiter())
    async with running(tmp_path, log, clock) as first:
        key = first.key
    assert stat.S_IMODE((tmp_path / "dev-key").stat().st_mode) == 0o600
    async with running(tmp_path, log, clock) as second:
        assert second.key == key
    await log.close()
    async with running(tmp_path) as fresh_log:
        assert fresh_log.key == key


async def test_a_development_key_that_was_revoked_or_lost_is_replaced(house: House, tmp_path: Path) -> None:
    leases = LeaseKeeper(house.log, "10.0.0.9:1")
    own = Registry(house.log, house.clock, leases)
    lost = await ensure_development_key(own, tmp_path / "elsewhere")
    assert lost not in (None, house.key)
    key_id = key_id_of(house.key)
    assert key_id is not None
    await KeyDesk(own).revoke("dev", key_id, "test")
    replaced = await ensure_development_key(own, tmp_path / "data")
    assert replaced not in (None, house.key, lost)
    assert replaced is not None
    assert own.open(replaced)[0].id == "dev"
    await leases.close()


async def test_nothing_is_opened_in_an_installation_of_others(tmp_path: Path) -> None:
    clock = ManualClock(NOW_US)
    log = MemoryLog(clock, LoopWaiter())
    leases = LeaseKeeper(log, "10.0.0.9:1")
    registry = Registry(log, clock, leases)
    await registry.create_workspace("toys", "", "", "", "test")
    assert await ensure_development_key(registry, tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    await leases.close()
