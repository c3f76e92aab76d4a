"""Bytes that are no message: grpc would answer UNKNOWN before anybody asked who calls; here it is a refusal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from core.errors import CdpError, invalid

BAD_MESSAGE = "BAD_MESSAGE"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """In the place of a message that could not be read."""

    error: CdpError


def reading(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    """`deserialize`, with `Unreadable` where it fails."""
    assert deserialize is not None, "our methods take messages"

    def read(raw: bytes) -> Any:
        try:
            return deserialize(raw)
        except DecodeError as error:
            return Unreadable(invalid(BAD_MESSAGE, f"the request cannot be read: {error}"))

    return read


def refusing(behaviour: Any, request_streams: bool) -> Any:
    """`behaviour`, raising INVALID / BAD_MESSAGE for what could not be read, once it is called."""

    def one(request: Any, context: Any) -> Any:
        if type(request) is Unreadable:
            raise request.error
        return behaviour(request, context)

    def many(requests: AsyncIterator[Any], context: Any) -> Any:
        return behaviour(_readable(requests), context)

    return many if request_streams else one


async def _readable(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        if type(request) is Unreadable:
            raise request.error
        yield request
