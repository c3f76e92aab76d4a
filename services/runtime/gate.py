"""The one interceptor: who calls, may they, how long, and what an error looks like on the wire."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import grpc

from core.errors import CdpError, Code, unavailable
from services.runtime.caller import CALLER, Caller, Scope
from services.runtime.errors import abort
from services.runtime.telemetry import RPC_ERRORS, RPC_SECONDS, RPC_STREAMS, get_logger
from services.runtime.workspaces import WorkspaceDirectory

_LOG = get_logger(__name__)

Handler = Any  # grpc.RpcMethodHandler, which is generic for the type checker only
Context = grpc.aio.ServicerContext[Any, Any]


class Gate(grpc.aio.ServerInterceptor):
    """Authenticates every call of our own services, checks the method's scope, and turns CdpError into a status.

    `scopes` maps "/package.Service/Method" to the scope it needs. Methods of packages outside "cdp." (health,
    reflection) pass. A method of ours without a scope is refused, so that none is open by mistake.
    """

    def __init__(self, directory: WorkspaceDirectory, scopes: Mapping[str, Scope], maximum_call_s: float) -> None:
        self._directory = directory
        self._scopes = scopes
        self._maximum_call_s = maximum_call_s
        self._wrapped: dict[str, Handler] = {}
        self._streams: set[asyncio.Task[Any]] = set()

    def end_streams(self) -> None:
        """Cancel every open stream, for a drain: readers resume elsewhere from their position."""
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
        if handler is None or not method.startswith("/cdp."):
            return handler
        scope = self._scopes.get(method)
        if scope is None:
            raise RuntimeError(f"{method} has no scope: add it to the service's GrpcService.scopes")
        self._wrapped[method] = wrapped = self._wrap(method, handler, scope)
        return wrapped

    async def _enter(self, context: Context, scope: Scope) -> None:
        secret, workspace_id = "", None
        for key, value in context.invocation_metadata() or ():
            if key == "authorization" and isinstance(value, str):
                secret = value[7:] if value[:7].lower() == "bearer " else value
            elif key == "cdp-workspace" and isinstance(value, str):
                workspace_id = value
        caller = self._directory.cached(secret)
        if caller is None:
            caller = await self._identify(secret, workspace_id)
        caller.require(scope)
        CALLER.set(caller)

    async def _identify(self, secret: str, workspace_id: str | None) -> Caller:
        if self._directory.is_internal(secret):
            return await self._directory.internal_caller(workspace_id)
        return await self._directory.authenticate(secret)

    def _wrap(self, method: str, handler: Handler, scope: Scope) -> Handler:
        behaviour: Any
        if handler.response_streaming:
            behaviour = handler.stream_stream if handler.request_streaming else handler.unary_stream
            make = (
                grpc.stream_stream_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_stream_rpc_method_handler
            )
            return make(
                self._streaming(method, behaviour, scope), handler.request_deserializer, handler.response_serializer
            )
        behaviour = handler.stream_unary if handler.request_streaming else handler.unary_unary
        make_unary = (
            grpc.stream_unary_rpc_method_handler if handler.request_streaming else grpc.unary_unary_rpc_method_handler
        )
        return make_unary(
            self._unary(method, behaviour, scope), handler.request_deserializer, handler.response_serializer
        )

    def _unary(self, method: str, behaviour: Any, scope: Scope) -> Any:
        seconds = RPC_SECONDS.labels(method)

        async def call(request: Any, context: Context) -> Any:
            started = time.perf_counter()
            try:
                await self._enter(context, scope)
                if context.time_remaining() is None:
                    # A caller that set no deadline gets ours, so that nothing waits for ever.
                    async with asyncio.timeout(self._maximum_call_s):
                        return await behaviour(request, context)
                return await behaviour(request, context)
            except TimeoutError:
                await self._refuse(method, context, unavailable("CALL_TOO_LONG", "the call took too long"))
            except CdpError as error:
                await self._refuse(method, context, error)
            finally:
                seconds.observe(time.perf_counter() - started)

        return call

    def _streaming(self, method: str, behaviour: Any, scope: Scope) -> Any:
        opened = RPC_STREAMS.labels(method)

        async def call(request: Any, context: Context) -> AsyncIterator[Any]:
            task = asyncio.current_task()
            assert task is not None, "grpc runs every call as a task"
            self._streams.add(task)
            opened.inc()
            try:
                await self._enter(context, scope)
                async for response in behaviour(request, context):
                    yield response
            except CdpError as error:
                await self._refuse(method, context, error)
            finally:
                self._streams.discard(task)

        return call

    @staticmethod
    async def _refuse(method: str, context: Context, error: CdpError) -> None:
        RPC_ERRORS.labels(method, error.code.value).inc()
        if error.code is Code.INTERNAL:
            _LOG.error("call failed", method=method, reason=error.reason, error=error.message)
        await abort(context, error)
