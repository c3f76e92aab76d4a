"""A running ingest per test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.ingest.house import House, running


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Ingest on a fresh memory log."""
    async with running(tmp_path / "data") as one:
        yield one
