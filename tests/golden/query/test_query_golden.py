"""Every phrase of the language with its one canonical form and its protobuf form, and every mistake with its message.

What the files hold and how they are written anew stands in cases.py.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import pytest

from core.errors import CdpError, Code
from core.query import ast
from core.query.binding.bind import bind
from core.query.text.parse import parse
from core.query.walk import parts
from tests.golden.query.base import golden_root
from tests.golden.query.cases import canonical, cases, mistake, plan, protobuf, protobufs
from tests.golden.query.workspace import WORKSPACE

RULES = [text for text, _ in cases("rules.txt")]


@pytest.mark.parametrize(("text", "expected"), [*cases("texts.txt"), *cases("rules.txt")])
def test_a_text_has_one_canonical_form(text: str, expected: str) -> None:
    assert canonical(text) == expected
    assert parse(expected) == parse(text)


@pytest.mark.parametrize(("text", "expected"), list(zip(RULES, protobufs(), strict=True)))
def test_a_rule_has_one_protobuf_form(text: str, expected: dict[str, Any]) -> None:
    assert protobuf(text) == {key: expected[key] for key in ("rule", "protobuf")}


def test_a_rule_has_one_plan() -> None:
    root = golden_root()
    for text, expected in zip(RULES, protobufs(), strict=True):
        assert plan(text, root) == expected["plan"], text


@pytest.mark.parametrize("text", RULES)
def test_a_golden_rule_can_be_saved(text: str) -> None:
    bind(parse(text), WORKSPACE)


def test_the_golden_rules_say_everything_that_the_language_has() -> None:
    said: list[Any] = [part for text in RULES for part in parts(parse(text))]
    classes = [one for one in vars(ast).values() if isinstance(one, type) and one.__module__.startswith("core.query")]
    written = {one for one in classes if is_dataclass(one)} - {ast.Span, ast.Population}
    assert not written - {type(part) for part in said}
    words = {word for one in classes if issubclass(one, Enum) for word in one}
    assert not words - {value for part in said for value in _fields(part) if isinstance(value, Enum)}


def _fields(part: Any) -> list[object]:
    return [getattr(part, field.name) for field in fields(part)]


@pytest.mark.parametrize(("text", "expected"), cases("errors.txt"))
def test_a_mistake_is_named_with_its_place(text: str, expected: str) -> None:
    assert mistake(text) == expected
    with pytest.raises(CdpError) as caught:
        bind(parse(text), WORKSPACE)
    error = caught.value
    assert error.code is Code.INVALID
    [violation] = error.violations
    assert violation.path
    assert violation.description in error.message
