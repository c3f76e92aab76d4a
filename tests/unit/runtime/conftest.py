"""A house of toy services."""

from __future__ import annotations

from collections.abc import AsyncIterator
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
