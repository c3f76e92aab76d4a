"""`cdp dead-letters`: what unification set aside, shown to an operator, and folded again after a fix.

A client like any other: it calls DeadLetterService with an API key. What people sent is printed for `show --content`
alone.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc

from cdp.deadletter.v1 import deadletter_pb2 as pb
from cdp.deadletter.v1 import deadletter_pb2_grpc
from services.runtime.errors import from_rpc

_PAGE = 1_000
_CALL_S = 30.0
#: What people sent may be long; an entry of the log is not longer.
_LIMIT_BYTES = 64 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--address", default="127.0.0.1:50051", help="host:port of gRPC (%(default)s)")
    parser.add_argument("--key", help="API key of scope full or admin; default: read from --key-file")
    parser.add_argument("--key-file", type=Path, default=Path("data/dev-key"), help="(%(default)s)")
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("count", help="how many, by reason")
    listed = actions.add_parser("list", help="one a line: place, reason, tries, bytes, message id")
    listed.add_argument("--reason", default="", help="of this reason only")
    show = actions.add_parser("show", help="one of them with its cause")
    show.add_argument("place", help="as `list` prints it, such as 120.0")
    show.add_argument("--content", action="store_true", help="also what was sent, with the personal data in it")
    replay = actions.add_parser("replay", help="fold one again, or all of a reason; each counts once")
    which = replay.add_mutually_exclusive_group(required=True)
    which.add_argument("place", nargs="?", help="as `list` prints it")
    which.add_argument("--reason", help="all of this reason")
    which.add_argument("--all", action="store_true", help="all there are")


def main(arguments: argparse.Namespace) -> int:
    """Run the command. Returns the exit code: 1 when a call failed, or one of those replayed was set aside again."""
    try:
        return asyncio.run(_run(arguments))
    except grpc.aio.AioRpcError as error:
        refusal = from_rpc(error)
        print(f"cdp: {refusal.message} [{refusal.reason}]", file=sys.stderr)
    except (OSError, ValueError) as error:
        print(f"cdp: {error}", file=sys.stderr)
    return 1


async def _run(arguments: argparse.Namespace) -> int:
    key = arguments.key or arguments.key_file.read_text(encoding="utf-8").strip()
    metadata = (("authorization", f"Bearer {key}"),)
    options = [("grpc.max_receive_message_length", _LIMIT_BYTES)]
    async with grpc.aio.insecure_channel(arguments.address, options=options) as channel:
        desk = _Desk(deadletter_pb2_grpc.DeadLetterServiceStub(channel), metadata)
        match arguments.action:
            case "count":
                await desk.count()
            case "list":
                async for one in desk.all(arguments.reason):
                    print(_line(one))
            case "show":
                await desk.show(arguments.place, with_content=arguments.content)
            case _:
                return await desk.replay(arguments.place, arguments.reason or "")
    return 0


class _Desk:
    """The calls behind the command's actions."""

    def __init__(self, stub: deadletter_pb2_grpc.DeadLetterServiceStub, metadata: tuple[tuple[str, str], ...]) -> None:
        self._stub = stub
        self._metadata = metadata

    async def count(self) -> None:
        request = pb.CountDeadLettersRequest()
        answer = await self._stub.CountDeadLetters(request, metadata=self._metadata, timeout=_CALL_S)
        for one in answer.counts:
            print(f"{one.dead_letters:>8}  {one.reason}")
        print(f"{sum(one.dead_letters for one in answer.counts):>8}  in all")

    async def all(self, reason: str) -> AsyncIterator[pb.DeadLetter]:
        token = ""
        while True:
            request = pb.ListDeadLettersRequest(reason=reason, page_size=_PAGE, page_token=token)
            answer = await self._stub.ListDeadLetters(request, metadata=self._metadata, timeout=_CALL_S)
            for one in answer.dead_letters:
                yield one
            token = answer.next_page_token
            if not token:
                return

    async def show(self, place: str, *, with_content: bool) -> None:
        position, number = _place(place)
        request = pb.GetDeadLetterRequest(position=position, number=number, with_content=with_content)
        answer = await self._stub.GetDeadLetter(request, metadata=self._metadata, timeout=_CALL_S)
        print(_line(answer.dead_letter))
        if with_content:
            print(answer.dead_letter.detail)
            print(answer.content if answer.HasField("content") else answer.original.hex())

    async def replay(self, place: str | None, reason: str) -> int:
        places = [_place(place)] if place else [(one.position, one.number) async for one in self.all(reason)]
        refused = 0
        for position, number in places:
            request = pb.ReplayDeadLetterRequest(position=position, number=number)
            answer = await self._stub.ReplayDeadLetter(request, metadata=self._metadata, timeout=_CALL_S)
            refused += not answer.folded
            print(f"{position}.{number}  {'folded' if answer.folded else f'still {answer.reason}'}")
        print(f"{len(places) - refused} folded, {refused} set aside again")
        return 1 if refused else 0


def _line(one: pb.DeadLetter) -> str:
    # Whoever sent it chose the id: nothing of it may move the cursor of a terminal.
    what = (one.message_id if one.message_id.isprintable() else ascii(one.message_id)) or "(whole entry)"
    return f"{one.position}.{one.number}  {one.reason}  tries {one.tries}  {one.size_bytes} bytes  {what}"


def _place(text: str) -> tuple[int, int]:
    position, dot, number = text.partition(".")
    if not (position.isdecimal() and (not dot or number.isdecimal())):
        raise ValueError(f"{text!r} is no place: give one as `cdp dead-letters list` prints it, such as 120.0")
    return int(position), int(number or "0")
