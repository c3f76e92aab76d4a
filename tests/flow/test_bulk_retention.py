"""Uploads and reports hold personal data: they go by the platform's clock, and who asks later is told so."""

from __future__ import annotations

import os
from pathlib import Path

import grpc
import pytest

from cdp.bulk.v1 import bulk_pb2 as pb
from core.clock import DAY_US
from tests.flow.bulk_house import CONTACTS, BulkHouse, bulk_house
from tests.flow.platform import eventually

GOOD = b"email,first_name\na@example.com,Ada\n"
MIXED = GOOD + b"nobody,Bob\n"


def _held(folder: Path) -> list[str]:
    """What lies in the folder of files and imports."""
    # Walked from the top down, because folders go while they are looked at.
    return sorted(name for _, _, names in os.walk(folder / "bulk") for name in names)


async def _gone(house: BulkHouse, number: int) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await house.report(number)
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    return refused.value.details() or ""


async def test_after_a_week_nothing_of_the_people_is_left_in_files(tmp_path: Path) -> None:
    async with bulk_house(tmp_path) as house:
        first = await house.imported(MIXED, pb.ImportSpec(kind=CONTACTS, file="p.csv"))
        assert first.rows_rejected == 1
        house.platform.clock.advance(6 * DAY_US)
        second = await house.imported(MIXED, pb.ImportSpec(kind=CONTACTS, file="q.csv"))
        assert "nobody" in await house.report(first.number)
        house.platform.clock.advance(DAY_US)
        assert "was deleted" in await _gone(house, first.number)
        assert "nobody" in await house.report(second.number)

        async def one_is_gone() -> bool:
            return _held(tmp_path) == ["q.csv", "rejected.csv"]

        await eventually(one_is_gone, "the first upload and its report go")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await house.start(pb.ImportSpec(kind=CONTACTS, file="p.csv"))
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        assert (await house.shown(first.number)).rows_rejected == 1, "figures stay"

        house.platform.clock.advance(7 * DAY_US)

        async def all_is_gone() -> bool:
            return _held(tmp_path) == []

        await eventually(all_is_gone, "the second goes as well")
        await _gone(house, second.number)


async def test_with_no_days_what_ended_well_goes_at_once(tmp_path: Path) -> None:
    async with bulk_house(tmp_path, CDP_FILE_RETENTION_DAYS="0") as house:
        dry = await house.imported(GOOD, pb.ImportSpec(kind=CONTACTS, file="p.csv"), dry_run=True)
        assert dry.rows_accepted == 1
        mixed = await house.imported(MIXED, pb.ImportSpec(kind=CONTACTS, file="mixed.csv"))
        done = await house.ended(await house.start(pb.ImportSpec(kind=CONTACTS, file="p.csv")))
        assert done.rows_accepted == 1

        async def good_is_gone() -> bool:
            return "p.csv" not in _held(tmp_path)

        await eventually(good_is_gone, "the file that was imported whole goes")
        assert "was deleted" in await _gone(house, done.number)
        assert "mixed.csv" in _held(tmp_path)
        assert "nobody" in await house.report(mixed.number), "a day is left to fetch it"
        house.platform.clock.advance(DAY_US)

        async def all_is_gone() -> bool:
            return _held(tmp_path) == []

        await eventually(all_is_gone, "the rest goes after a day")
        await _gone(house, mixed.number)
