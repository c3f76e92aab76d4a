"""Real log servers for tests: one that can be killed and started again, and a cluster of three masters."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from services.runtime.server_process import Fsync, find_server, free_port, spawn, write_config

_START_S = 20.0
_SLOTS = 16_384


@dataclass(slots=True)
class ValkeyServer:
    """One server with an append-only file under `folder`; the port stays the same over restarts."""

    folder: Path
    port: int
    fsync: Fsync
    lines: tuple[str, ...]
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def url(self) -> str:
        """For `RedisLog.connect`."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it on what is in `folder`; returns once it answers and has loaded its data."""
        config = write_config(self.folder, self.port, self.fsync, None, self.lines)
        self.process = spawn(find_server(), config)
        process = self.process
        with self.client() as client:
            eventually(lambda: process.poll() is not None or _answers(client), _START_S)
        if process.poll() is not None:
            log = self.folder / "server.log"
            raise RuntimeError(f"the server ended: {log.read_text() if log.exists() else process.returncode}")

    def client(self) -> Redis:
        """A plain synchronous client, to look behind the log's back."""
        return Redis(host="127.0.0.1", port=self.port)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """An orderly end. Idempotent."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Start again after `kill` or `stop`."""
        self._end(signal.SIGTERM)
        self.start()

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None


@dataclass(frozen=True, slots=True)
class ValkeyCluster:
    """Three masters that share the slots."""

    servers: tuple[ValkeyServer, ...]

    @property
    def url(self) -> str:
        """Of the first node; the others are discovered."""
        return self.servers[0].url

    def stop(self) -> None:
        """End all of them."""
        for server in self.servers:
            server.stop()


def start_valkey(folder: Path, fsync: Fsync = "always", lines: tuple[str, ...] = ()) -> ValkeyServer:
    """A running server; `lines` are further lines of its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    server = ValkeyServer(folder, free_port(), fsync, lines)
    server.start()
    return server


def start_cluster(folder: Path, fsync: Fsync = "always") -> ValkeyCluster:
    """A running cluster of three masters without replicas; returns once every node covers all slots."""
    servers = tuple(
        start_valkey(
            folder / f"node{number}",
            fsync,
            ("cluster-enabled yes", f"cluster-port {free_port()}", "cluster-node-timeout 2000"),
        )
        for number in range(3)
    )
    share = _SLOTS // len(servers) + 1
    clients = [server.client() for server in servers]
    bus_port = int(str(clients[0].config_get("cluster-port")["cluster-port"]))
    for number, client in enumerate(clients):
        first, last = number * share, min((number + 1) * share, _SLOTS) - 1
        _run(client, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        _run(client, "CLUSTER", "ADDSLOTSRANGE", first, last)
        if number > 0:
            _run(client, "CLUSTER", "MEET", "127.0.0.1", servers[0].port, bus_port)
    eventually(lambda: all(_whole(client, len(servers)) for client in clients), _START_S)
    for client in clients:
        client.close()
    return ValkeyCluster(servers)


def eventually(condition: Callable[[], bool], within_s: float) -> None:
    """Return once `condition()` holds; TimeoutError after `within_s`."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{condition} did not hold within {within_s} s")
        time.sleep(0.01)


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping()) and not client.info("persistence")["loading"]
    except RedisConnectionError:
        return False


def _whole(client: Redis, nodes: int) -> bool:
    reply = _run(client, "CLUSTER", "INFO")
    info = dict(line.split(":", 1) for line in reply.decode().splitlines() if line)
    wanted = {"cluster_state": "ok", "cluster_known_nodes": str(nodes), "cluster_slots_ok": str(_SLOTS)}
    return wanted.items() <= info.items()


def _run(client: Redis, *words: str | int) -> Any:
    return client.execute_command(*words)  # type: ignore[no-untyped-call]
