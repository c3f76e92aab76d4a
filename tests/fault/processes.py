"""The platform as an operator runs it: a process per role on one real log server, any of which can be killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cdp.workspace.v1 import workspace_pb2, workspace_pb2_grpc
from services.demo.client import Client, again
from services.demo.journey import ZONE
from services.runtime.roles import ALL_ROLES, Role
from services.runtime.server_process import free_port
from services.runtime.settings import ADDRESS_KEYS
from tests.servers import ValkeyServer, start_valkey

ROOT = Path(__file__).parents[2]
WORKSPACE = "shop"
#: What kill -9 leaves, and what a failpoint ends with.
KILLED, AT_FAILPOINT = -signal.SIGKILL, 137
READY_S = 60.0
_TOKEN = "internal-token-of-the-test"
_TAIL = 40


class Processes:
    """A child process for each role, at ports that stay the same over restarts. Stop them in the end.

    What they print goes to `folder`/<role>.log, over all their lives.
    """

    def __init__(self, folder: Path, valkey: ValkeyServer, extra: Mapping[str, str]) -> None:
        self.valkey = valkey
        self.secret = ""
        self.data_dir = folder / "data"
        self._folder = folder
        self._extra = extra
        self._ports = {role: (free_port(), free_port()) for role in ALL_ROLES}
        self._children: dict[Role, subprocess.Popen[bytes]] = {}
        self._clients: dict[Role, Client] = {}

    def address(self, role: Role) -> str:
        """Where the role's gRPC services answer."""
        return f"127.0.0.1:{self._ports[role][0]}"

    def http_url(self, role: Role) -> str:
        """Where the role's HTTP routes answer."""
        return f"http://127.0.0.1:{self._ports[role][1]}"

    def pid(self, role: Role) -> int:
        """Of the role's process."""
        return self._children[role].pid

    def client(self, role: Role) -> Client:
        """A client of the public API at this role's address."""
        if role not in self._clients:
            self._clients[role] = Client(self.address(role), self.secret)
        return self._clients[role]

    def log_of(self, role: Role) -> str:
        """The last lines that the role's processes printed."""
        path = self._folder / f"{role}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-_TAIL:]) if path.exists() else ""

    def start(self, role: Role, failpoint: str = "") -> None:
        """Start the role; it becomes ready later. With `failpoint` ("name:n") it is to die at that place."""
        self._folder.mkdir(parents=True, exist_ok=True)
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("CDP_")},
            **{ADDRESS_KEYS[other]: self.address(other) for other in ALL_ROLES},
            "CDP_GRPC_PORT": str(self._ports[role][0]),
            "CDP_HTTP_PORT": str(self._ports[role][1]),
            "CDP_PUBLIC_URL": self.http_url(Role.CHANNEL),
            "CDP_REDIS_URL": self.valkey.url,
            "CDP_DATA_DIR": str(self.data_dir),
            "CDP_INTERNAL_TOKEN": _TOKEN,
            "CDP_LEASE_TTL_S": "3",
            "CDP_SNAPSHOT_INTERVAL_S": "1",
            "CDP_LOG_LEVEL": "warning",
            **self._extra,
        }
        if failpoint:
            environment["CDP_FAILPOINT"] = failpoint
        with (self._folder / f"{role}.log").open("ab") as log:
            self._children[role] = subprocess.Popen(
                [sys.executable, "-m", "services", "up", "--roles", role],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def wait_ready(self, role: Role, within_s: float = READY_S) -> None:
        """Return once the role's health is SERVING. Fails when its process ends, or after the time."""
        child = self._children[role]
        deadline_s = asyncio.get_running_loop().time() + within_s
        async with grpc.aio.insecure_channel(
            self.address(role), options=[("grpc.max_reconnect_backoff_ms", 200)]
        ) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            while not await _serving(stub):
                assert child.poll() is None, f"{role} ended with {child.returncode}:\n{self.log_of(role)}"
                assert asyncio.get_running_loop().time() < deadline_s, f"{role} is not ready:\n{self.log_of(role)}"
                await asyncio.sleep(0.05)  # another process: nothing here to be woken by

    def kill(self, role: Role) -> None:
        """kill -9, now."""
        child = self._children[role]
        child.kill()
        assert child.wait(30) == KILLED, f"{role} had ended by itself:\n{self.log_of(role)}"

    async def wait_dead(self, role: Role, within_s: float) -> None:
        """Return once the role's process has ended at its failpoint."""
        code = await asyncio.to_thread(self._children[role].wait, within_s)
        assert code == AT_FAILPOINT, f"{role} ended with {code}:\n{self.log_of(role)}"

    async def restart(self, role: Role, failpoint: str = "") -> None:
        """Start the role again and wait until it is ready."""
        self.start(role, failpoint)
        await self.wait_ready(role)

    def check_alive(self) -> None:
        """Fail if a role has ended by itself."""
        for role, child in self._children.items():
            assert child.poll() is None, f"{role} ended with {child.returncode}:\n{self.log_of(role)}"

    async def close(self) -> None:
        """Kill all that still run. Idempotent."""
        for client in self._clients.values():
            await client.close()
        for child in self._children.values():
            child.kill()
            await asyncio.to_thread(child.wait, 30)

    async def make_workspace(self) -> None:
        """Workspace "shop" in the zone of the data; `secret` opens it. Roles are ready once they own it."""
        async with grpc.aio.insecure_channel(self.address(Role.INGEST)) as channel:
            stub = workspace_pb2_grpc.WorkspaceServiceStub(channel)
            workspace = workspace_pb2.Workspace(id=WORKSPACE, display_name="Shop", zone=ZONE, currency="USD")
            request = workspace_pb2.CreateWorkspaceRequest(workspace=workspace, request_id="test")
            metadata = (("authorization", f"Bearer {_TOKEN}"),)
            made = await again(lambda: stub.CreateWorkspace(request, metadata=metadata, timeout=20))
            self.secret = made.secret


async def _serving(stub: health_pb2_grpc.HealthStub) -> bool:
    try:
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=2)
    except grpc.aio.AioRpcError as error:
        if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            raise
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


@asynccontextmanager
async def platform(
    folder: Path, extra: Mapping[str, str], roles: tuple[Role, ...] = ALL_ROLES
) -> AsyncIterator[Processes]:
    """The roles up and ready with the workspace, on a log server that makes every write durable at once."""
    valkey = start_valkey(folder / "valkey", "always")
    processes = Processes(folder, valkey, extra)
    try:
        for role in roles:
            processes.start(role)
        await processes.wait_ready(Role.INGEST)
        await processes.make_workspace()
        for role in roles:
            await processes.wait_ready(role)
        yield processes
    finally:
        await processes.close()
        valkey.stop()
