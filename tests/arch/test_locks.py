"""The lock files are whole: hashed, free of addresses, and they say what pyproject.toml asks for."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.arch.tree import ROOT

LOCKS = ["requirements.lock", "deploy/requirements.lock", "deploy/build.lock"]
PINNED = re.compile(r"^(?P<name>[a-z0-9._-]+)==(?P<version>[^ ;\\]+)", re.MULTILINE)


def project() -> dict[str, Any]:
    parsed: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    table: dict[str, Any] = parsed["project"]
    return table


def pins(lock: str) -> dict[str, set[str]]:
    """Locked versions by name; a name has several if they depend on the Python version."""
    found: dict[str, set[str]] = {}
    for match in PINNED.finditer((ROOT / lock).read_text(encoding="utf-8")):
        found.setdefault(canonicalize_name(match["name"]), set()).add(match["version"])
    return found


def missing(requirements: list[str], lock: str) -> list[str]:
    locked, own = pins(lock), str(project()["name"])
    asked = [Requirement(text) for text in requirements]
    return [
        str(requirement)
        for requirement in asked
        if requirement.name != own
        and not any(requirement.specifier.contains(v) for v in locked.get(canonicalize_name(requirement.name), ()))
    ]


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_is_hashed_and_names_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert re.search(r"://|(?<!\w)/\w|file:|--index|--find-links| @ ", text.replace("#    make lock", "")) is None
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert entries
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_lock_satisfies_every_requirement() -> None:
    extras: dict[str, list[str]] = project()["optional-dependencies"]
    everything = [*project()["dependencies"], *(text for extra in extras.values() for text in extra)]
    assert missing(everything, "requirements.lock") == []


def test_image_locks_satisfy_the_runtime_and_the_build() -> None:
    assert missing(project()["dependencies"], "deploy/requirements.lock") == []
    assert missing(["hatchling>=1.27"], "deploy/build.lock") == []


@pytest.mark.parametrize("lock", LOCKS[1:])
def test_image_locks_are_parts_of_the_whole(lock: str) -> None:
    whole = pins("requirements.lock")
    assert {name: versions for name, versions in pins(lock).items() if not versions <= whole.get(name, set())} == {}
