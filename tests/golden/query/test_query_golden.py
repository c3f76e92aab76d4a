"""Every phrase of the language with its one canonical form, and every mistake with its exact message.

`texts.txt` and `errors.txt` hold cases between lines of `---`; `=>` stands before what is expected of the text above.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import CdpError, Code
from core.query.bind import bind
from core.query.format import format_rule
from core.query.parse import parse
from tests.golden.query.workspace import WORKSPACE

HERE = Path(__file__).parent


def cases(file: str) -> list[tuple[str, str]]:
    """(text, expected) of every case of the file."""
    blocks = (HERE / file).read_text(encoding="utf-8").removesuffix("\n").split("\n---\n")
    pairs = [block.partition("\n=>\n") for block in blocks]
    return [(text, expected) for text, _, expected in pairs]


@pytest.mark.parametrize(("text", "canonical"), cases("texts.txt"))
def test_a_text_has_one_canonical_form(text: str, canonical: str) -> None:
    rule = parse(text)
    assert format_rule(rule) == canonical
    assert parse(canonical) == rule


@pytest.mark.parametrize(("text", "expected"), cases("errors.txt"))
def test_a_mistake_is_named_with_its_place(text: str, expected: str) -> None:
    with pytest.raises(CdpError) as caught:
        bind(parse(text), WORKSPACE)
    error = caught.value
    assert f"{error.reason} {error.message}" == expected
    assert error.code is Code.INVALID
    [violation] = error.violations
    assert violation.path
    assert violation.description in error.message
