"""Bad requests to DeadLetterService: a stable reason each, and none of them changes anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest

from cdp.deadletter.v1 import deadletter_pb2 as pb
from services.runtime.errors import from_rpc
from tests.fault.test_poison import open_shop

_MOST = 2**64 - 1


async def test_bad_requests_have_stable_reasons(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        letters = shop.letters
        await shop.behind(b"\xff" * 40)
        await shop.timeline(await shop.track("after"))
        cases: tuple[tuple[Any, object, str], ...] = (
            (letters.ListDeadLetters, pb.ListDeadLettersRequest(page_token="1"), "BAD_PAGE_TOKEN"),
            (letters.ListDeadLetters, pb.ListDeadLettersRequest(page_token="-1.0"), "BAD_PAGE_TOKEN"),
            (letters.ListDeadLetters, pb.ListDeadLettersRequest(page_token="1.²"), "BAD_PAGE_TOKEN"),
            (letters.ListDeadLetters, pb.ListDeadLettersRequest(page_token="9" * 5_000 + ".0"), "BAD_PAGE_TOKEN"),
            (letters.GetDeadLetter, pb.GetDeadLetterRequest(), "NO_SUCH_DEAD_LETTER"),
            (letters.GetDeadLetter, pb.GetDeadLetterRequest(position=_MOST, number=2**32 - 1), "NO_SUCH_DEAD_LETTER"),
            (letters.ReplayDeadLetter, pb.ReplayDeadLetterRequest(position=_MOST), "NO_SUCH_DEAD_LETTER"),
            (letters.ReplayDeadLetter, pb.ReplayDeadLetterRequest(position=1, request_id="x" * 101), "BAD_REQUEST_ID"),
            (letters.ReplayDeadLetter, pb.ReplayDeadLetterRequest(position=1, request_id="a\0b"), "BAD_REQUEST_ID"),
        )
        for call, request, reason in cases:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call(request, metadata=shop.metadata, timeout=10)
            assert from_rpc(refused.value).reason == reason, request
        for size in (-1, 0, 1_001, 2**31 - 1):
            listed = pb.ListDeadLettersRequest(page_size=size)
            answer = await letters.ListDeadLetters(listed, metadata=shop.metadata, timeout=10)
            assert [(one.position, one.reason) for one in answer.dead_letters] == [(1, "DecodeError")]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await letters.CountDeadLetters(pb.CountDeadLettersRequest(), metadata=(("authorization", "Bearer x"),))
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
