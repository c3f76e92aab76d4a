"""The directory of workspaces follows the registry, whatever becomes of it."""

from __future__ import annotations

import asyncio

import pytest

from core.errors import CdpError, Code
from services.runtime.roles import Role
from services.runtime.server_process import free_port
from services.runtime.workspaces import WorkspaceDirectory
from tests.unit.runtime.house import TOKEN, House, until


def ids(directory: WorkspaceDirectory) -> list[str]:
    return [workspace.id for workspace in directory.all()]


async def test_it_is_told_of_changes_at_once(empty_house: House) -> None:
    host = await empty_house.start(Role.INGEST)
    directory = host.runtime.workspaces
    await until(lambda: directory.etag != "", "the first list is there")
    with pytest.raises(CdpError) as refused:
        directory.get("acme")
    assert (refused.value.code, refused.value.reason) == (Code.NOT_FOUND, "NO_SUCH_WORKSPACE")
    before = directory.etag
    changed = asyncio.create_task(directory.wait_changed(before))
    await asyncio.sleep(0)
    assert not changed.done()
    empty_house.registry.add("other", bucket=3)
    async with asyncio.timeout(2):
        await changed
    await directory.wait_changed(before)
    empty_house.registry.add("acme", bucket=5)
    await until(lambda: ids(directory) == ["acme", "other"], "both are listed, by id")
    assert (directory.get("acme").bucket, directory.get("acme").zone) == (5, "UTC")


async def test_a_registry_that_goes_away_and_comes_back(empty_house: House) -> None:
    port = free_port()
    reader = await empty_house.start(Role.PROFILE_UNIFICATION, CDP_INGEST_ADDRESS=f"127.0.0.1:{port}")
    directory = reader.runtime.workspaces
    with pytest.raises(CdpError) as refused:
        directory.get("acme")
    assert (refused.value.code, refused.value.reason) == (Code.UNAVAILABLE, "WORKSPACES_UNKNOWN")
    with pytest.raises(CdpError) as refused:
        await directory.authenticate("read-acme")
    assert (refused.value.code, refused.value.reason) == (Code.UNAVAILABLE, "REGISTRY_UNAVAILABLE")
    for turn in range(2):
        registry = await empty_house.start(Role.INGEST, CDP_GRPC_PORT=str(port))
        empty_house.hosts.reverse()  # `registry` below is the first host's
        empty_house.registry.add("acme")
        if turn:
            empty_house.registry.add("new")
        wanted = ["acme", "new"] if turn else ["acme"]
        await until(lambda wanted=wanted: ids(directory) == wanted, "the list is read")  # type: ignore[misc]
        assert (await directory.authenticate("read-acme")).workspace.id == "acme"
        await empty_house.stop(registry)
        assert ids(directory) == wanted  # what is known stays known
        assert (await directory.authenticate("read-acme")).workspace.id == "acme"


async def test_another_token_opens_nothing(empty_house: House) -> None:
    host = await empty_house.start(Role.INGEST)
    empty_house.registry.add("acme")
    stranger = await empty_house.start(Role.PROFILE_UNIFICATION, CDP_INTERNAL_TOKEN="another")
    with pytest.raises(CdpError) as refused:
        await stranger.runtime.workspaces.authenticate("read-acme")
    assert refused.value.code is Code.UNAUTHENTICATED
    assert stranger.runtime.workspaces.all() == ()
    assert host.runtime.workspaces.is_internal(TOKEN)
    assert not stranger.runtime.workspaces.is_internal(TOKEN)
