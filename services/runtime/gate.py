"""The one interceptor: who calls, may they, how long, and what an error looks like on the wire."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc

from core.errors import CdpError, Code, unavailable
from services.runtime.caller import CALLER, Scope
from services.runtime.deadlines import Deadlines
from services.runtime.errors import abort, from_unexpected
from services.runtime.forward import Forwarder, OwnerAnswer
from services.runtime.roles import Role
from services.runtime.shares import Shares
from services.runtime.streams import write
from services.runtime.telemetry import RPC_ERRORS, RPC_SECONDS, RPC_STREAMS, get_logger
from services.runtime.unreadable import reading, refusing
from services.runtime.workspaces import WorkspaceDirectory

_LOG = get_logger(__name__)

Handler = Any  # grpc.RpcMethodHandler, which is generic for the type checker only
Context = grpc.aio.ServicerContext[Any, Any]

#: (request streams, answers stream) -> how grpc wants such a handler made.
_MAKE: Mapping[tuple[bool, bool], Callable[..., Handler]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


class Gate(grpc.aio.ServerInterceptor):
    """Authenticates every call, checks the method's scope, and turns every error into a status.

    `scopes` maps "/package.Service/Method" to the scope it needs. Only grpc's own services (health, reflection) pass
    without a key. A method without a scope is refused, so that none is open by mistake. Over `maximum_concurrent`
    calls at once, those that do not come from services are refused with EXHAUSTED / TOO_MANY_CALLS.
    """

    def __init__(
        self,
        directory: WorkspaceDirectory,
        scopes: Mapping[str, Scope],
        maximum_call_s: float,
        maximum_concurrent: int = 1000,
    ) -> None:
        self._directory = directory
        self._scopes = scopes
        self._maximum_call_s = maximum_call_s
        self._deadlines = Deadlines(maximum_call_s)
        self._maximum_concurrent = maximum_concurrent
        self._in_work = Shares(maximum_concurrent)
        self._wrapped: dict[str, Handler] = {}
        self._streams: set[asyncio.Task[Any]] = set()
        self._active = 0
        self._draining = False
        self._forwarder: Forwarder | None = None
        self._roles: Mapping[str, Role] = {}

    def forward_with(self, forwarder: Forwarder, roles: Mapping[str, Role]) -> None:
        """Pass calls that are owned elsewhere on; `roles` maps "/package.Service/Method" to the role behind it."""
        self._forwarder = forwarder
        self._roles = roles

    def end_streams(self) -> None:
        """End every open stream with UNAVAILABLE / DRAINING and refuse new ones: readers resume elsewhere from their
        position."""
        self._draining = True
        for task in tuple(self._streams):
            task.cancel()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """The handler of the method, wrapped once and kept."""
        method: str = handler_call_details.method
        ready = self._wrapped.get(method)
        if ready is not None:
            return ready
        handler = await continuation(handler_call_details)
        if handler is None or method.startswith("/grpc."):
            return handler
        self._wrapped[method] = wrapped = self._wrap(method, handler)
        return wrapped

    async def _enter(self, context: Context, scope: Scope | None) -> str | None:
        """Set the caller of this call, or raise why it may not. Returns the workspace in whose share it is counted,
        which is given back with the end of the call; None for services."""
        if scope is None:
            raise CdpError(Code.INTERNAL, "METHOD_HAS_NO_SCOPE", "this method is not open to anybody")
        secret, workspace_id = "", None
        for key, value in context.invocation_metadata() or ():
            if key == "authorization" and isinstance(value, str):
                secret = value[7:] if value[:7].lower() == "bearer " else value
            elif key == "cdp-workspace" and isinstance(value, str):
                workspace_id = value
        # Services pass: without their answers (whose key is this?) no call could end.
        if self._active > self._maximum_concurrent and not self._directory.is_internal(secret):
            raise _too_many("too many calls at once")
        caller = self._directory.cached(secret)
        if caller is None:
            if self._directory.is_internal(secret):
                caller = await self._directory.internal_caller(workspace_id)
            else:
                # The workspace is that of the key; what a public caller says of it is not read.
                caller = await self._directory.authenticate(secret)
        caller.require(scope)
        CALLER.set(caller)
        if caller.internal:
            return None
        workspace = caller.workspace.id
        if not self._in_work.take(workspace):
            raise _too_many("this workspace has too many calls in work at once")
        return workspace

    def _leave(self, counted: str | None) -> None:
        self._active -= 1
        if counted is not None:
            self._in_work.give_back(counted)

    def _wrap(self, method: str, handler: Handler) -> Handler:
        streams = (bool(handler.request_streaming), bool(handler.response_streaming))
        behaviours = {
            (False, False): handler.unary_unary,
            (True, False): handler.stream_unary,
            (False, True): handler.unary_stream,
            (True, True): handler.stream_stream,
        }
        scope = self._scopes.get(method)
        make = self._streaming if streams[1] else self._unary
        return _MAKE[streams](
            make(method, refusing(behaviours[streams], streams[0]), scope),
            reading(handler.request_deserializer),
            _or_bytes(handler.response_serializer),
        )

    def _unary(self, method: str, behaviour: Any, scope: Scope | None) -> Any:
        seconds = RPC_SECONDS.labels(method)

        async def call(request: Any, context: Context) -> Any:
            started = time.perf_counter()
            self._active += 1
            counted = None
            try:
                counted = await self._enter(context, scope)
                remaining_s = context.time_remaining()
                if remaining_s is not None and remaining_s <= self._maximum_call_s:
                    return await behaviour(request, context)  # grpc itself cancels it at its deadline
                # A caller that set no deadline, or a very late one, gets ours, so that nothing waits for ever.
                return await self._deadlines.within(behaviour(request, context))
            except CdpError as error:
                return await self._answer_elsewhere(method, request, context, error)
            except grpc.aio.BaseError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a status and the log the trace
                await self._refuse(method, context, from_unexpected(error, method))
            finally:
                self._leave(counted)
                seconds.observe(time.perf_counter() - started)

        return call

    async def _answer_elsewhere(self, method: str, request: Any, context: Context, refusal: CdpError) -> Any:
        """The owner's answer to a call that is not owned here; ends the call with `refusal` if there is none."""
        try:
            address = await self._owner(method, request, context, refusal)
            if address is not None and self._forwarder is not None:
                return await self._forwarder.unary(address, method, request.SerializeToString(), context)
        except OwnerAnswer as answer:
            if not answer.unreached:
                await answer.pass_on(context)
        except CdpError as error:
            refusal = error
        return await self._refuse(method, context, refusal)

    async def _owner(self, method: str, request: Any, context: Context, refusal: CdpError) -> str | None:
        if self._forwarder is None or not hasattr(request, "SerializeToString"):
            return None
        return await self._forwarder.target(refusal, self._roles.get(method), context)

    def _streaming(self, method: str, behaviour: Any, scope: Scope | None) -> Any:
        opened = RPC_STREAMS.labels(method)

        async def call(request: Any, context: Context) -> None:
            task = asyncio.current_task()
            assert task is not None, "grpc runs every call as a task"
            self._streams.add(task)
            self._active += 1
            opened.inc()
            counted = None
            try:
                counted = await self._enter(context, scope)
                await self._write_all(method, behaviour, request, context)
            except asyncio.CancelledError:
                if not self._draining or context.cancelled():
                    raise
                task.uncancel()
                await self._refuse(method, context, _draining())
            except CdpError as error:
                await self._refuse(method, context, error)
            except grpc.aio.BaseError:
                raise
            except Exception as error:  # noqa: BLE001 - as above
                await self._refuse(method, context, from_unexpected(error, method))
            finally:
                self._leave(counted)
                self._streams.discard(task)

        return call

    async def _write_all(self, method: str, behaviour: Any, request: Any, context: Context) -> None:
        if self._draining:
            raise _draining()
        written = False
        responses = behaviour(request, context)
        try:
            async for response in responses:
                await write(context, response)
                written = True
        except CdpError as error:
            address = None if written else await self._owner(method, request, context, error)
            if address is None or self._forwarder is None:
                raise
            try:
                await self._forwarder.stream(address, method, request.SerializeToString(), context)
            except OwnerAnswer as answer:
                if answer.unreached:
                    raise error from answer
                await answer.pass_on(context)
        finally:
            # Here and now, not when the garbage collector comes: what the handler holds is let go of with the call.
            await responses.aclose()

    @staticmethod
    async def _refuse(method: str, context: Context, error: CdpError) -> None:
        """End the call with `error`; raises grpc's abort, so it does not return."""
        RPC_ERRORS.labels(method, error.code.value).inc()
        if error.code is Code.INTERNAL:
            _LOG.error("call failed", method=method, reason=error.reason, error=error.message)
        await abort(context, error)


def _too_many(what: str) -> CdpError:
    return CdpError(Code.EXHAUSTED, "TOO_MANY_CALLS", f"{what}, try again soon", retry_after_s=0.5)


def _draining() -> CdpError:
    return unavailable("DRAINING", "this process is about to stop: open the stream again from your position", 0.2)


def _or_bytes(serialize: Callable[[Any], bytes] | None) -> Callable[[Any], bytes]:
    """`serialize`, but bytes (the answer of another process) pass as they are."""
    assert serialize is not None, "our methods answer messages"

    def answer(response: Any) -> bytes:
        return response if type(response) is bytes else serialize(response)

    return answer
