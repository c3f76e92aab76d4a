"""The HTTP listener of a process: the routes of its roles, /healthz and /metrics."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import CdpError
from services.runtime.errors import from_unexpected, http_response
from services.runtime.http_patience import PatientProtocol
from services.runtime.settings import Settings


async def _metrics(_request: Request) -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _alive(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, CdpError)
    return http_response(error)


class _Unexpected:
    """Answers what no handler foresaw. Here and not by Starlette's own hook, which raises it once more for uvicorn to
    log a second time."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = False

        async def sending(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:
            response = http_response(from_unexpected(error, _route(scope)))
            if began:
                raise  # half an answer is out already: the connection has to be closed
            await response(scope, receive, send)


def _route(scope: Scope) -> str:
    """The path of a request with the names of its parameters in the place of their values: keys, tokens, names."""
    values = {str(value): name for name, value in scope.get("path_params", {}).items()}
    path: str = scope.get("path", "") if "endpoint" in scope else "(no route)"
    return "/".join(f"{{{values[part]}}}" if part in values else part for part in path.split("/"))


class HttpServer:
    """uvicorn within our loop. `bind` takes the port, `start` answers, `stop` drains. Used once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._socket: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None

    def bind(self) -> int:
        """Take the port (0: any free one) and return it. Raises OSError when it is taken."""
        host = self._settings.http_host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host.strip("[]"), self._settings.http_port), family=family)
        # Accepted connections inherit it. asyncio would set it itself, were the socket made with its protocol's number;
        # without it an answer's body waits for the acknowledgement of its head, 40 ms with most clients.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        port: int = self._socket.getsockname()[1]
        return port

    def start(self, routes: Sequence[BaseRoute]) -> None:
        """Answer requests from now on."""
        assert self._socket is not None, "bind() comes first"
        app = Starlette(
            routes=[Route("/healthz", _alive), Route("/metrics", _metrics), *routes],
            exception_handlers={CdpError: _refused},
            middleware=[Middleware(_Unexpected)],
        )
        config = uvicorn.Config(
            app, http=PatientProtocol, log_config=None, access_log=False, lifespan="off", timeout_keep_alive=30,
            limit_concurrency=2_000, timeout_graceful_shutdown=max(1, round(self._settings.drain_s)),
        )  # fmt: skip
        self._server = _HostedServer(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="http-server")

    async def stop(self) -> None:
        """Finish requests in flight and close the port. Idempotent."""
        if self._server is not None:
            self._server.should_exit = True
        task, self._task = self._task, None
        try:
            if task is not None:
                await task
        finally:
            if self._socket is not None:
                self._socket.close()
                self._socket = None


class _HostedServer(uvicorn.Server):
    """uvicorn that leaves signals to the process's own handlers."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield
