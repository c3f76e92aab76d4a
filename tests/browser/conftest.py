"""A browser for the tests of this folder, or a word aloud that there is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.browser.chromium import NAMES, find_chromium

#: What `make test` names at its end; it is there only within such a run.
_LEFT_OUT = Path("build/left-out.txt")
_MISSING = f"tests/browser: no Chromium on PATH ({', '.join(NAMES)}; Debian: apt-get install chromium-headless-shell)"


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the browser. Without one the tests are left out, which is an error in continuous integration."""
    path = find_chromium()
    if path is not None:
        return path
    if os.environ.get("CI"):
        pytest.fail(_MISSING)
    if _LEFT_OUT.exists():
        with _LEFT_OUT.open("a") as told:
            told.write(_MISSING + "\n")
    pytest.skip(_MISSING)
