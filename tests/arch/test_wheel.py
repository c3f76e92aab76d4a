"""The wheel that the image installs holds every module, the typing marker and the console script."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from tests.arch.tree import ROOT, files


def test_wheel_is_whole(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (entry_points,) = (name for name in names if name.endswith("entry_points.txt"))
        assert "cdp = services.__main__:main" in archive.read(entry_points).decode()
    sources = {path.as_posix().removeprefix("protos/gen/") for path in files() if path.suffix in {".py", ".pyi"}}
    modules = {name for name in sources if name.startswith(("core/", "services/", "cdp/"))}
    assert modules - names == set()
    assert "cdp/py.typed" in names
    assert not [name for name in names if name.startswith(("tests/", "deploy/"))]
