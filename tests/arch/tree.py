"""The files of the repository as git sees them: tracked, or new and not ignored."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@cache
def files() -> tuple[Path, ...]:
    """Paths relative to ROOT, sorted; files that are deleted but still tracked are left out."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    names = sorted({name for name in listing.split("\0") if name})
    return tuple(Path(name) for name in names if (ROOT / name).is_file())


def python_files(*folders: str) -> list[Path]:
    """The .py files below any of the top-level `folders`, generated stubs left out."""
    return [
        path
        for path in files()
        if path.suffix == ".py" and path.parts[0] in folders and path.parts[:2] != ("protos", "gen")
    ]


def text_of(path: Path) -> str | None:
    """The file's text, None if it is not UTF-8."""
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
