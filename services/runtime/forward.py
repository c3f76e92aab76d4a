"""Passing a call on to the process that owns its workspace, once, as it came."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from core.errors import CdpError
from services.runtime.caller import CALLER
from services.runtime.owners import Owners
from services.runtime.partitions import lease_of
from services.runtime.roles import Role
from services.runtime.stubs import Stubs
from services.runtime.telemetry import RPC_FORWARDED

#: Reason of the refusal (see `Ownership.shard`) that another process may answer better.
NOT_OWNED = "NOT_READY"
_MARK = "cdp-forwarded"
#: Metadata that belong to one connection, not to the call.
_OF_THE_HOP = ("grpc-", "user-agent", "content-type", "te")

Context = grpc.aio.ServicerContext[Any, Any]


class OwnerAnswer(Exception):
    """The owner refused the call: `error` goes to the caller unchanged."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        super().__init__(error.details())
        self.error = error


class Forwarder:
    """Sends a call to the address that the lease names. Addresses come from our own log only, never from a caller."""

    def __init__(self, owners: Owners, stubs: Stubs, longest_s: float) -> None:
        self._owners = owners
        self._stubs = stubs
        self._longest_s = longest_s

    async def target(self, refusal: CdpError, role: Role | None, context: Context) -> str | None:
        """Where the call that was refused here can be answered; None when the refusal stands.

        None as well for a call that was passed on already, so that two processes that disagree make no loop.
        """
        if refusal.reason != NOT_OWNED or role is None:
            return None
        caller = CALLER.get(None)
        if caller is None or caller.optional_workspace is None:
            return None
        if any(key == _MARK for key, _ in context.invocation_metadata() or ()):
            return None
        return await self._owners.elsewhere(lease_of(role, caller.optional_workspace.bucket))

    async def unary(self, address: str, method: str, request: bytes, context: Context) -> bytes | None:
        """The owner's answer in bytes; None when the owner cannot be reached. Raises `OwnerAnswer`."""
        RPC_FORWARDED.labels(method).inc()
        call = self._stubs.channel_to(address).unary_unary(method)
        try:
            answer: bytes = await call(request, timeout=self._remaining_s(context), metadata=_passed_on(context))
        except grpc.aio.AioRpcError as error:
            if _unreached(error):
                return None
            raise OwnerAnswer(error) from error
        return answer

    async def stream(self, address: str, method: str, request: bytes, context: Context) -> AsyncIterator[bytes]:
        """The owner's answers in bytes. Raises `OwnerAnswer`, also for an owner that cannot be reached."""
        RPC_FORWARDED.labels(method).inc()
        timeout_s = context.time_remaining()
        call = self._stubs.channel_to(address).unary_stream(method)(
            request, timeout=timeout_s, metadata=_passed_on(context)
        )
        try:
            while (answer := await call.read()) is not grpc.aio.EOF:
                yield answer
        except grpc.aio.AioRpcError as error:
            raise OwnerAnswer(error) from error
        finally:
            call.cancel()

    def _remaining_s(self, context: Context) -> float:
        remaining_s = context.time_remaining()
        return self._longest_s if remaining_s is None else min(remaining_s, self._longest_s)


def _passed_on(context: Context) -> tuple[tuple[str, str | bytes], ...]:
    kept = tuple(
        (key, value) for key, value in context.invocation_metadata() or () if not key.startswith(_OF_THE_HOP)
    )
    return (*kept, (_MARK, "1"))


def _unreached(error: grpc.aio.AioRpcError) -> bool:
    """True for the transport's own word that nobody is there; a server of ours always sends details."""
    if error.code() is not grpc.StatusCode.UNAVAILABLE:
        return False
    return all(key != "grpc-status-details-bin" for key, _ in error.trailing_metadata() or ())
