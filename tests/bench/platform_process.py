"""A real platform in a process of its own, for measuring: embedded log, free ports, data in a temporary folder."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.demo.client import Client
from services.runtime.server_process import free_port

ROOT = Path(__file__).parents[2]
_READY_S = 60.0


class PlatformProcess:
    """`async with PlatformProcess(folder) as platform:` then `platform.client`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.client = Client(self.address, "")

    @property
    def address(self) -> str:
        """Where gRPC answers."""
        return f"127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    def snapshot_since(self, at_s: float) -> bool:
        """Whether the segment engine has finished a snapshot at or after an instant (seconds, as of `time.time`)."""
        return any(path.stat().st_mtime >= at_s for path in (self._folder / "snapshots").glob("*/*.snapshot"))

    async def __aenter__(self) -> PlatformProcess:
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("CDP_")},
            "CDP_GRPC_PORT": str(self._port),
            "CDP_HTTP_PORT": "0",
            "CDP_DATA_DIR": str(self._folder),
            "CDP_LOG_LEVEL": "warning",
        }
        self._process = _start(environment)
        await asyncio.wait_for(self._ready(), _READY_S)
        await self.client.close()
        self.client = Client(self.address, (self._folder / "dev-key").read_text().strip())
        return self

    async def _ready(self) -> None:
        request = health_pb2.HealthCheckRequest(service="")
        while True:
            try:
                answer = await health_pb2_grpc.HealthStub(self.client.channel).Check(request, timeout=1.0)
                if answer.status == health_pb2.HealthCheckResponse.SERVING and (self._folder / "dev-key").exists():
                    return
            except grpc.aio.AioRpcError as error:
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                    raise
            assert self._process is not None
            if self._process.poll() is not None:
                raise RuntimeError(f"the platform ended with {self._process.returncode}")
            await asyncio.sleep(0.05)

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        try:
            await asyncio.to_thread(self._process.wait, 30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _start(environment: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "services", "up"]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
