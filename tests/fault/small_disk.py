"""A disk that can be filled: a small file system in memory, where the machine lets us mount one."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A tmpfs at `folder`."""

    folder: Path

    @property
    def free_bytes(self) -> int:
        """What is left."""
        return shutil.disk_usage(self.folder).free

    def fill(self, leave_bytes: int = 0) -> None:
        """Let something else take all the room but `leave_bytes`; again after room was freed, if need be."""
        want = self.free_bytes - leave_bytes
        if want > 0:
            with (self.folder / f"ballast-{len(list(self.folder.glob('ballast-*')))}").open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, want)

    def empty(self) -> None:
        """Take away what `fill` wrote."""
        for path in self.folder.glob("ballast-*"):
            path.unlink()

    def grow(self, size_bytes: int) -> None:
        """Make the disk as large as this."""
        _mount("-o", f"remount,size={size_bytes}", str(self.folder))


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[SmallDisk]:
    """A disk of this size at `folder`, which is made. Skips the test aloud where nothing may be mounted: a limit
    on file sizes would be another error than a disk that is full."""
    folder.mkdir(parents=True)
    try:
        _mount("-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder))
    except (subprocess.CalledProcessError, FileNotFoundError):
        pytest.skip("LEFT OUT: a full disk cannot be tried here, mounting a tmpfs needs root")
    try:
        yield SmallDisk(folder)
    finally:
        # Lazily: a process that was killed may hold a file for a moment.
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)
