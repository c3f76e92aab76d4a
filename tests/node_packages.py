"""Programs of node that tests talk to, with the packages of npm that they need."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

_BUILT = Path("build/node")
#: What `make test` names at its end; it is there only within such a run.
_LEFT_OUT = Path("build/left-out.txt")
_INSTALL_S = 600


def installed(source: Path) -> Path:
    """A copy of the folder `source` with its packages, installed once for each lock file. Without node or npm the test
    is left out, aloud; in continuous integration that is an error."""
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if missing:
        _leave_out(source, f"not on PATH: {', '.join(missing)}")
    versions = (source / "package-lock.json").read_bytes()
    folder = _BUILT.resolve() / f"{source.name}-{hashlib.sha256(versions).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    # Several processes of a test run may come here at once: one of them installs.
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install(source, folder)
    return folder


def _install(source: Path, folder: Path) -> None:
    for file in source.iterdir():
        target = folder / file.name
        if not target.exists() or target.read_bytes() != file.read_bytes():
            # One that reads it now keeps the file that it has open.
            partial = folder / f"{file.name}.next"
            shutil.copy(file, partial)
            partial.replace(target)
    done = folder / "installed"
    if done.exists():
        return
    command = ["npm", "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        told = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        _leave_out(source, f"npm did not end within {_INSTALL_S} s")
    if told.returncode != 0:
        _leave_out(source, f"npm could not install its packages: {told.stderr.strip()[-300:]}")
    done.touch()


def _leave_out(source: Path, reason: str) -> None:
    line = f"{source.name}: {reason}"
    if os.environ.get("CI"):
        pytest.fail(line)
    if _LEFT_OUT.exists():
        with _LEFT_OUT.open("a") as told:
            told.write(" ".join(line.split()) + "\n")
    pytest.skip(line)
