"""Any well-formed rule has a text, and the text says the same rule."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import CdpError
from core.query.ast import Rule
from core.query.text.format import format_rule
from core.query.text.lexer import tokenize
from core.query.text.parse import parse
from tests.golden.query.cases import cases
from tests.unit.query.rule_parts import WORDS
from tests.unit.query.rule_strategies import rules, single_rules

_MARKS = ("(", ")", '"a"', "1", "2.5", "=", ">", ",", ".", ":", "%")
_TIMES = ("08:00", "2026-10", "2026-W07", "2026-10-31", "0.12345")
_GOLDEN = [[token.text for token in tokenize(text)] for file in ("rules.txt", "texts.txt") for text, _ in cases(file)]


@st.composite
def _spoilt(draw: st.DrawFn) -> str:
    """A golden text with a few of its words left out, doubled, moved, or taken from another."""
    words = list(draw(st.sampled_from(_GOLDEN)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(words)))
        other = draw(st.sampled_from(_GOLDEN))
        begin = draw(st.integers(0, len(other)))
        words[at : at + draw(st.integers(0, 2))] = other[begin : begin + draw(st.integers(0, 4))]
    return " ".join(words)


@given(rules | single_rules)
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
def test_the_text_of_a_rule_says_the_same_rule(rule: Rule) -> None:
    text = format_rule(rule)
    again = parse(text)
    assert again == rule
    assert format_rule(again) == text


@given(_spoilt() | st.text(max_size=60) | st.lists(st.sampled_from([*WORDS, *_MARKS, *_TIMES])).map(" ".join))
@settings(max_examples=400, deadline=None, print_blob=True)
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    try:
        rule = parse(text)
        canonical = format_rule(rule)
    except CdpError as error:
        assert error.reason.startswith("RULE_")
        assert error.violations
        return
    assert parse(canonical) == rule
