"""DeadLetterService: what was set aside, and folding it again. What people sent is told only when it is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from heapq import nsmallest
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from cdp.deadletter.v1 import deadletter_pb2 as pb
from cdp.deadletter.v1 import deadletter_pb2_grpc
from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from core.errors import not_found
from core.eventlog.protocol import Partition
from core.profile.merge_log import Outcome
from services.profile_unification.dead_letters import NO_SUCH_DEAD_LETTER, NOTHING_TO_REPLAY, letter_of
from services.profile_unification.orders import asker, carry_out, order_id_of
from services.profile_unification.tables import DEAD_LETTERS, dead_letter_key, dead_letter_place, load_outcome
from services.profile_unification.worker import UnificationShard
from services.runtime.caller import Scope, caller
from services.runtime.context import Runtime
from services.runtime.ownership import Ownership
from services.runtime.pages import bad_page_token, number_of, page_entries
from services.runtime.service import GrpcService

Context = grpc.aio.ServicerContext[Any, Any]

_WAIT_S = 10.0
_SCOPES = {
    "CountDeadLetters": Scope.READ,
    "ListDeadLetters": Scope.READ,
    "GetDeadLetter": Scope.FULL,
    "ReplayDeadLetter": Scope.FULL,
}


class DeadLetterRpc(deadletter_pb2_grpc.DeadLetterServiceServicer):
    """Answers for every workspace whose shard is open here. Lists and counts read all dead letters: there are few, or
    something is to be mended first."""

    def __init__(self, runtime: Runtime, ownership: Ownership[UnificationShard]) -> None:
        self._runtime = runtime
        self._ownership = ownership

    def service(self) -> GrpcService:
        """Ready to be added to a server."""
        add = partial(deadletter_pb2_grpc.add_DeadLetterServiceServicer_to_server, self)
        return GrpcService("cdp.deadletter.v1.DeadLetterService", add, _SCOPES)

    async def CountDeadLetters(
        self, request: pb.CountDeadLettersRequest, context: Context
    ) -> pb.CountDeadLettersResponse:
        """By reason."""
        counts = Counter([one.reason async for one in self._all()])
        return pb.CountDeadLettersResponse(
            counts=[pb.ReasonCount(reason=reason, dead_letters=counts[reason]) for reason in sorted(counts)]
        )

    async def ListDeadLetters(self, request: pb.ListDeadLettersRequest, context: Context) -> pb.ListDeadLettersResponse:
        """By position and number."""
        size = page_entries(max(0, request.page_size))
        after = _place_of(request.page_token) if request.page_token else (0, -1)
        found = [
            one
            async for one in self._all()
            if request.reason in ("", one.reason) and (one.position, one.number) > after
        ]
        page = nsmallest(size, found, key=_place)
        token = "{}.{}".format(*_place(page[-1])) if len(found) > len(page) else ""
        return pb.ListDeadLettersResponse(dead_letters=page, next_page_token=token)

    async def GetDeadLetter(self, request: pb.GetDeadLetterRequest, context: Context) -> pb.GetDeadLetterResponse:
        """One of them."""
        key = dead_letter_key(request.position, request.number)
        [row] = await self._runtime.log.get(self._partition(), DEAD_LETTERS, (key,))
        if row is None:
            raise not_found(NO_SUCH_DEAD_LETTER, NOTHING_TO_REPLAY.detail)
        answer = pb.GetDeadLetterResponse(dead_letter=_shown(key, row, with_content=request.with_content))
        if request.with_content:
            _, _, answer.original = letter_of(row)
            try:
                answer.content.CopyFrom(facts_pb2.AcceptedBatch.FromString(answer.original))
            except DecodeError:
                answer.ClearField("content")  # `original` is all there is to show
        return answer

    async def ReplayDeadLetter(
        self, request: pb.ReplayDeadLetterRequest, context: Context
    ) -> pb.ReplayDeadLetterResponse:
        """Log the order to fold it again, and say what came of it."""
        shard = self._ownership.shard(caller().workspace.id)
        # The place is part of the id, so that one request id for a whole list is no mistake.
        order_id = order_id_of(f"replay:{request.position}.{request.number}", request.request_id)
        known = await load_outcome(self._runtime.log, shard.partition, order_id)
        if known is not None:
            return _told(known, shard.folded)
        key = dead_letter_key(request.position, request.number)
        if (await self._runtime.log.get(shard.partition, DEAD_LETTERS, (key,))) == [None]:
            raise not_found(NO_SUCH_DEAD_LETTER, NOTHING_TO_REPLAY.detail)
        order = facts_pb2.DeadLetterReplay(position=request.position, number=request.number, asked_by=asker())
        command = ingest_pb2.CommandRequest(message_id=order_id, dead_letter_replay=order)
        return _told(*await carry_out(self._runtime, shard, command, _remaining_s(context)))

    def _partition(self) -> Partition:
        return self._ownership.shard(caller().workspace.id).partition

    async def _all(self) -> AsyncIterator[pb.DeadLetter]:
        async for key, row in self._runtime.log.scan(self._partition(), DEAD_LETTERS):
            yield _shown(key, row, with_content=False)


def _shown(key: bytes, row: bytes, *, with_content: bool) -> pb.DeadLetter:
    letter, tries, original = letter_of(row)
    position, number = dead_letter_place(key)
    return pb.DeadLetter(
        position=position,
        number=number,
        message_id=letter.message_id,
        reason=letter.reason,
        tries=tries,
        size_bytes=len(original),
        detail=letter.detail if with_content else "",
    )


def _place(letter: pb.DeadLetter) -> tuple[int, int]:
    return letter.position, letter.number


def _place_of(token: str) -> tuple[int, int]:
    position, dot, number = token.partition(".")
    if not dot:
        raise bad_page_token()
    return number_of(position), number_of(number)


def _told(outcome: Outcome, position: int) -> pb.ReplayDeadLetterResponse:
    return pb.ReplayDeadLetterResponse(
        folded=not outcome.reason, reason=outcome.reason, detail=outcome.detail, upstream_position=position
    )


def _remaining_s(context: Context) -> float:
    remaining_s = context.time_remaining()
    return _WAIT_S if remaining_s is None else min(_WAIT_S, remaining_s)
