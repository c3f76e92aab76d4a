"""A house of toy services."""

from __future__ import annotations

import gc
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.runtime.host import Host
from services.runtime.roles import Role
from tests.unit.runtime.house import House, house
from tests.unit.runtime.house import until as _until
from tests.unit.runtime.toys import ToyEngine


@pytest.fixture
async def empty_house(tmp_path: Path) -> AsyncIterator[House]:
    """A log with nothing on it yet."""
    async with house(tmp_path) as made:
        yield made


@pytest.fixture
async def host(empty_house: House) -> Host:
    """One host with a registry and an engine that owns workspaces "acme" and "other"."""
    started = await empty_house.start(Role.INGEST, Role.SEGMENT_ENGINE)
    empty_house.registry.add("acme", bucket=7)
    empty_house.registry.add("other", bucket=8)
    engine = started.service(Role.SEGMENT_ENGINE)
    assert isinstance(engine, ToyEngine)
    await _until(lambda: len(engine.opened) == 2 and engine.ready(), "both workspaces are owned")
    return started


@pytest.fixture(autouse=True)
def nothing_fails_unseen(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Errors that asyncio or grpc only log (a task destroyed, an exception never looked at) fail the test."""
    yield
    gc.collect(1)  # the young ones: what this test left
    records = [*caplog.get_records("setup"), *caplog.get_records("call"), *caplog.get_records("teardown")]
    errors = [record for record in records if record.levelno >= logging.ERROR]
    assert [f"{record.name}: {record.getMessage()}" for record in errors] == []
