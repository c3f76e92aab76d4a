"""What was told of one attribute of a person, in the order of the instants, over merges and many entries of the log."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from cdp.profile.v1 import profile_pb2
from services.runtime.errors import from_rpc
from tests.flow.unification_house import House, open_house
from tests.unit.profile.people import C, D, E, T, X, event, update


async def history(house: House, contact: int, from_us: int, position: int = 0) -> list[tuple[int, str | None]]:
    request = profile_pb2.AttributeHistoryRequest(
        contact=contact, name="city", from_us=from_us, min_upstream_position=position
    )
    answer = await house.profiles().AttributeHistory(request, metadata=house.metadata, timeout=10)
    return [(one.occurred_at_us - T, one.value.text if one.value.WhichOneof("kind") else None) for one in answer.writes]


async def test_writes_from_an_instant_on_and_the_last_before(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        for number in range(40):
            await house.accept(update(f"o{number}", T - 100 + number, X, attributes={"age": number}))
        await house.accept(update("a", T, X, attributes={"city": "Kyiv"}), event("e", T + 1, X))
        await house.accept(update("b", T + 20, X, attributes={"city": "Lviv", "age": 5}))
        await house.accept(update("c", T + 10, X, attributes={"city": "Odesa"}))  # late
        position = await house.accept(
            update("d", T + 20, X, attributes={"city": "Sumy"}), update("f", T + 30, X, attributes={"city": None})
        )
        whole = [(0, "Kyiv"), (10, "Odesa"), (20, "Lviv"), (20, "Sumy"), (30, None)]
        assert await history(house, 1, 0, position) == whole
        assert await history(house, 1, T + 30) == whole[3:]
        assert await history(house, 1, T + 20) == whole[1:]
        assert await history(house, 1, T + 21) == whole[3:]
        assert await history(house, 1, T + 99) == whole[4:]
        assert await history(house, 1, T - 1) == whole


async def test_a_merged_person_has_the_writes_of_all_its_parts(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        await house.accept(update("a", T, E, attributes={"city": "Kyiv"}), update("b", T + 5, C, D))
        await house.accept(update("c", T + 6, C, attributes={"city": "Lviv"}))
        position = await house.accept(update("d", T + 9, E, C))
        assert await history(house, 1, 0, position) == await history(house, 2, 0) == [(0, "Kyiv"), (6, "Lviv")]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await history(house, 77, 0)
        assert from_rpc(refused.value).reason == "NO_SUCH_CONTACT"
