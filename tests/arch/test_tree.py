"""What a look at the tree must show: the given names, files of a readable size, nothing of any one machine."""

from __future__ import annotations

import re

import pytest

from tests.arch.tree import ROOT, files, python_files, text_of

NAMES = {"protos", "services", "core", "deploy", "tests", "pyproject.toml", "Makefile", "README.md"}
BESIDE = {"LICENSE", "requirements.lock"}
LIMIT_LINES = 400

# Written in two halves, so that this file does not name them itself.
HOSTS = ["pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "deb.debian" + ".org", "proxy.golang" + ".org"]
MACHINE_PATH = re.compile(r"(?<![\w.$}])/(?:" + "|".join(["work", "root", "tmp", "Users"]) + r")/[\w.]")
UNFINISHED = re.compile(r"\b(?:" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]) + r")\b")


def test_top_level_names_are_the_given_ones() -> None:
    tops = {path.parts[0] for path in files() if not path.parts[0].startswith(".")}
    assert tops - NAMES - BESIDE == set()
    assert set(NAMES) - tops == set()


def test_no_file_wants_to_be_two() -> None:
    lengths = {str(path): len((text_of(path) or "").splitlines()) for path in python_files("core", "services")}
    assert {path: lines for path, lines in lengths.items() if lines > LIMIT_LINES} == {}


@pytest.mark.parametrize("host", HOSTS)
def test_no_file_names_a_registry_host(host: str) -> None:
    assert [str(path) for path in files() if host in (text_of(path) or "")] == []


def test_no_file_names_a_path_of_one_machine() -> None:
    found = [
        f"{path}:{number}: {line.strip()[:100]}"
        for path in files()
        for number, line in enumerate((text_of(path) or "").splitlines(), start=1)
        if MACHINE_PATH.search(line)
    ]
    assert found == []


def test_nothing_is_left_unfinished() -> None:
    sources = [path for path in files() if path.suffix in {".py", ".proto", ".yaml", ".tpl", ".toml", ".md"}]
    assert [str(path) for path in sources if UNFINISHED.search(text_of(path) or "")] == []


def test_what_runs_by_itself_may_be_executed() -> None:
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
