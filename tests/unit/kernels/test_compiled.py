"""Where compiled code is kept, and that it is not needed to import core."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import core.kernels.compiled

SOURCE = """
from core.kernels.compiled import compiled

@compiled
def doubled(number: int) -> int:
    "Twice the number."
    return 2 * number
"""


def run(code: str, folder: Path, **environment: str) -> str:
    """What a fresh interpreter prints, with `folder` before everything else."""
    root = Path(core.kernels.compiled.__file__).parents[2]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, "PYTHONPATH": os.pathsep.join((str(folder), str(root))), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout.strip()


def test_importing_the_index_does_not_import_the_compiler(tmp_path: Path) -> None:
    assert run("import sys, core.index.index; print('numba' in sys.modules)", tmp_path) == "False"


def test_a_kernel_works_where_nothing_can_be_written(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "some_kernel.py").write_text(SOURCE)
    cache = package / "__pycache__"
    cache.write_text("a file, so that no folder of this name can be made")
    package.chmod(stat.S_IRUSR | stat.S_IXUSR)
    home = tmp_path / "home"
    home.write_text("no folder either")
    ask = "from some_kernel import doubled; print(doubled(21), doubled.__doc__)"
    try:
        answer = run(ask, package, HOME=str(home), XDG_CACHE_HOME=str(home / "x"), PYTHONDONTWRITEBYTECODE="1")
    finally:
        package.chmod(stat.S_IRWXU)
    assert answer == "42 Twice the number."


def test_code_is_kept_in_the_folder_that_is_named(tmp_path: Path) -> None:
    package, kept = tmp_path / "package", tmp_path / "kept"
    package.mkdir()
    (package / "some_kernel.py").write_text(SOURCE)
    ask = "from some_kernel import doubled; print(doubled(4))"
    assert run(ask, package, NUMBA_CACHE_DIR=str(kept)) == "8"
    assert list(kept.rglob("*.nbc"))
    assert run(ask, package, NUMBA_CACHE_DIR=str(kept)) == "8"
