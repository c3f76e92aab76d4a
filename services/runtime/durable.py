"""Making files durable: after a failed fsync nobody knows what is on the disk, so it ends the process."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from pathlib import Path

from core.errors import CdpError, Code
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)
_EX_IOERR = 74
_LAST_BYTES = 128 << 20
DISK_FULL = "DISK_FULL"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def sync(descriptor: int, path: Path) -> None:
    """fsync an open file of `path`. An error ends the process with exit code 74: the kernel has dropped what it
    could not write, and a second fsync would say that all is well."""
    try:
        os.fsync(descriptor)
    except OSError:
        _LOG.exception("fsync failed, ending the process", path=str(path))
        os._exit(_EX_IOERR)


def sync_folder(folder: Path) -> None:
    """Make names in `folder` durable; as `sync`."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        sync(descriptor, folder)
    finally:
        os.close(descriptor)


def require_room(folder: Path, size_bytes: int) -> None:
    """Raise EXHAUSTED / DISK_FULL unless so much may still be written under `folder`: files that people send leave the
    last 5 % of a disk, at most 128 MiB, to those who keep what was acknowledged."""
    usage = shutil.disk_usage(folder)
    if usage.free - size_bytes < min(_LAST_BYTES, usage.total // 20):
        raise disk_full()


def disk_full() -> CdpError:
    """EXHAUSTED / DISK_FULL, to be raised."""
    return CdpError(Code.EXHAUSTED, DISK_FULL, "there is no room on the disk, try again later", retry_after_s=5.0)


def is_disk_full(error: BaseException) -> bool:
    """Whether `error` says that there is no room."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    return isinstance(error, sqlite3.OperationalError) and "disk is full" in str(error)
