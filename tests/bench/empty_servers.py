"""What a door costs that does nothing: the same HTTP and gRPC servers with handlers that read and answer.

`python -m tests.bench.empty_servers HTTP_PORT GRPC_PORT` serves until it is ended.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import grpc
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

PATH = "/empty"
METHOD = "/empty.Empty/Empty"


async def _http(request: Request) -> JSONResponse:
    await request.body()
    return JSONResponse({"success": True})


async def _grpc(request: bytes, context: Any) -> bytes:
    return b""


async def _serve(http_port: int, grpc_port: int) -> None:
    server = grpc.aio.server()
    handlers: dict[str, Any] = {"Empty": grpc.unary_unary_rpc_method_handler(_grpc)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("empty.Empty", handlers),))
    server.add_insecure_port(f"127.0.0.1:{grpc_port}")
    await server.start()
    app = Starlette(routes=[Route(PATH, _http, methods=["POST"])])
    config = uvicorn.Config(app, host="127.0.0.1", port=http_port, log_level="error", access_log=False)
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
