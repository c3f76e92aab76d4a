"""Passing a call on to the process that owns its workspace, once, as it came."""

from __future__ import annotations

from typing import Any

import grpc

from core.errors import CdpError
from services.runtime.caller import CALLER
from services.runtime.owners import Owners
from services.runtime.partitions import lease_of
from services.runtime.roles import Role
from services.runtime.streams import write
from services.runtime.stubs import Stubs
from services.runtime.telemetry import RPC_FORWARDED

#: Reason of the refusal (see `Ownership.shard`) that another process may answer better.
NOT_OWNED = "NOT_READY"
_MARK = "cdp-forwarded"
#: Metadata that belong to one connection, not to the call.
_OF_THE_HOP = frozenset({"user-agent", "content-type", "te"})

Context = grpc.aio.ServicerContext[Any, Any]


class OwnerAnswer(Exception):
    """The owner did not answer the call: `error` says why, in its own words."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        super().__init__(error.details())
        self.error = error

    @property
    def unreached(self) -> bool:
        """True for the transport's own word that nobody is there; a server of ours always sends details."""
        if self.error.code() is not grpc.StatusCode.UNAVAILABLE:
            return False
        return all(key != "grpc-status-details-bin" for key, _ in self.error.trailing_metadata() or ())

    async def pass_on(self, context: Context) -> None:
        """End the call with the owner's error, unchanged; raises grpc's abort, so it does not return."""
        context.set_trailing_metadata(tuple(self.error.trailing_metadata() or ()))
        await context.abort(self.error.code(), self.error.details() or "")


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

    async def unary(self, address: str, method: str, request: bytes, context: Context) -> bytes:
        """The owner's answer in bytes. Raises `OwnerAnswer`."""
        RPC_FORWARDED.labels(method).inc()
        remaining_s = context.time_remaining()
        timeout_s = self._longest_s if remaining_s is None else min(remaining_s, self._longest_s)
        ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._stubs.channel_to(address).unary_unary(method)
        try:
            answer: bytes = await ask(request, timeout=timeout_s, metadata=_passed_on(context))
        except grpc.aio.AioRpcError as error:
            raise OwnerAnswer(error) from error
        return answer

    async def stream(self, address: str, method: str, request: bytes, context: Context) -> None:
        """Write the owner's answers, in bytes, to `context` until they end. Raises `OwnerAnswer`."""
        RPC_FORWARDED.labels(method).inc()
        open_stream: grpc.aio.UnaryStreamMultiCallable[bytes, bytes]
        open_stream = self._stubs.channel_to(address).unary_stream(method)
        call = open_stream(request, timeout=context.time_remaining(), metadata=_passed_on(context))
        try:
            while (answer := await call.read()) is not grpc.aio.EOF:
                await write(context, answer)
        except grpc.aio.AioRpcError as error:
            raise OwnerAnswer(error) from error
        finally:
            call.cancel()


def _passed_on(context: Context) -> tuple[tuple[str, str | bytes], ...]:
    """The caller's metadata with the mark that one process has passed the call on already."""
    kept = tuple(
        (key, value)
        for key, value in context.invocation_metadata() or ()
        if key not in _OF_THE_HOP and not key.startswith("grpc-")
    )
    return (*kept, (_MARK, "1"))
