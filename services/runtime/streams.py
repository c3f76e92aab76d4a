"""Writing answers to a caller that may go away at any moment."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc


async def write(context: grpc.aio.ServicerContext[Any, Any], response: Any) -> None:
    """Send one response of a stream. Returns when the transport has taken it, so that a slow reader holds the handler
    and not memory. Raises CancelledError when the caller has gone."""
    try:
        await context.write(response)
    except grpc.aio.InternalError as error:
        # It went while we wrote; grpc is about to cancel this task for it, and the end is the same.
        raise asyncio.CancelledError("the caller has gone") from error
