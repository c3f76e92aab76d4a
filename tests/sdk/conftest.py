"""What the SDKs need: the packages of npm, a browser, or a word aloud that they are left out."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.browser.conftest import chromium as chromium
from tests.sdk.tellers import SDKS, Ground

_NODE = Path(__file__).parent / "node"
_BUILT = Path("build/sdk")
#: What `make test` names at its end; it is there only within such a run.
_LEFT_OUT = Path("build/left-out.txt")
_INSTALL_S = 600


@pytest.fixture(scope="session")
def node_folder() -> Path:
    """A folder with the drivers of node and the packages that they need, installed once per lock file."""
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if missing:
        _leave_out(f"not on PATH: {', '.join(missing)}")
    lock = (_NODE / "package-lock.json").read_bytes()
    folder = _BUILT.resolve() / hashlib.sha256(lock).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    for file in _NODE.iterdir():
        shutil.copy(file, folder / file.name)
    done = folder / "installed"
    if not done.exists():
        # Not `npm ci`: it refuses a lock without the optional binaries of other systems.
        command = ["npm", "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        try:
            told = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_INSTALL_S, check=False)
        except subprocess.TimeoutExpired:
            _leave_out(f"npm did not end within {_INSTALL_S} s")
        if told.returncode != 0:
            _leave_out(f"npm could not install them: {told.stderr.strip()[-300:]}")
        done.touch()
    return folder


def _leave_out(reason: str) -> None:
    """Leave out all that come from npm; in continuous integration that is an error."""
    names = ", ".join(sdk.package for sdk in SDKS if sdk.ground is not Ground.PYTHON)
    line = f"tests/sdk: {names}: {reason}"
    if os.environ.get("CI"):
        pytest.fail(line)
    if _LEFT_OUT.exists():
        with _LEFT_OUT.open("a") as told:
            told.write(" ".join(line.split()) + "\n")
    pytest.skip(line)
