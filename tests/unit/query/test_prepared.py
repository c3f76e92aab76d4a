"""A rule put together from the shape of an earlier text is the rule that the text says, or the error."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from core.errors import CdpError
from core.query.binding.bind import bind
from core.query.names import Names
from core.query.prepared import PreparedRules
from core.query.recipes import Recipe, UnfitError, recipe_of
from core.query.text.holes import Shape, places_of, shape_of
from core.query.text.lexer import tokenize
from core.query.text.parse import parse, read
from core.query.text.parse_cursor import Cursor
from core.schema import Kind
from tests.golden.query.cases import cases
from tests.golden.query.workspace import WORKSPACE

_GOLDEN = [text for file in ("texts.txt", "rules.txt", "errors.txt") for text, _ in cases(file)]
#: Among them such as change what a text means: none, out of range, a date, not composed, half a pair, like words.
_VALUES = {
    "t": ('""', '"tea"', '"b c"', '"e\u0301"', '"2026-01-31"', '"2026-01-31T10:00:00Z"', '"limit"', '"\ud800"', '"("'),
    "i": ("0", "1", "2", "3", "7", "30", "007", "99", "365", "36525", "36526", "4000000", "99999999999999"),
    "d": ("0.0", "0.5", "1.50", "2.0", "7.25", "99.9999", "100.0001", "99999999999999.9"),
}
_PLACES = re.compile(r"Span\(line=\d+, column=\d+\)")


def _said(text: str, names: Names, prepared: PreparedRules | None) -> str:
    """Everything about the bound rule, kinds of values included, except for places; or the error."""
    try:
        bound = bind(parse(text), names) if prepared is None else prepared.bound(text, names)
    except CdpError as error:
        return f"{error.reason} {error.message} {error.violations}"
    return _PLACES.sub("", repr(bound))


def _recipe(text: str) -> Recipe:
    split = shape_of(text)
    assert split is not None
    shape, written = split
    cursor = Cursor(tokenize(text))
    rule = read(cursor)
    hole_at = {place: hole for hole, place in enumerate(places_of(shape, written))}
    parts = [(part, hole_at[place]) for place, part in cursor.valued if place in hole_at]
    return recipe_of(rule, bind(rule, WORKSPACE), parts, written)


def _with(shape: Shape, written: Sequence[str]) -> str:
    """A text of a shape."""
    return "".join([before + hole for before, hole in zip(shape, written, strict=False)]) + shape[-2]


def test_texts_of_a_shape_bind_as_if_nothing_were_remembered() -> None:
    seed = random.SystemRandom().randrange(2**32)
    drawn = random.Random(seed)
    joined = [f"({drawn.choice(_GOLDEN)}) and ({drawn.choice(_GOLDEN)})" for _ in range(60)]
    for first in [*_GOLDEN, *joined]:
        split = shape_of(first)
        if split is None:  # too long
            continue
        shape, written = split
        prepared = PreparedRules()
        assert _said(first, WORKSPACE, prepared) == _said(first, WORKSPACE, None), first
        for _ in range(8 if written else 1):
            pairs = zip(shape[-1], written, strict=True)
            values = [drawn.choice(_VALUES[kind]) if drawn.random() < 0.6 else one for kind, one in pairs]
            text = _with(shape, values)
            assert shape_of(text) == (shape, values)
            expected = _said(text, WORKSPACE, None)
            assert _said(text, WORKSPACE, prepared) == expected, f"seed {seed}: {first!r}, then {text!r}"
            assert _said(text, WORKSPACE, prepared) == expected, f"seed {seed}: {text!r} asked twice"


@pytest.mark.parametrize(
    ("text", "holes"),
    [
        ('gender = "female" and age < 30 and city in ("Kyiv", "Lviv")', {0, 1, 2, 3}),
        ('did product_viewed (category = "tea" and price between 5.50 and 100) in last 21 days', {0, 1, 2, 3}),
        ("did order_completed at least 3 times in last 90 days", {0, 1}),
        ("sum(order_completed.total) in last 365 days > 250", {0, 1}),
        ("sequence in last 7 days: product_viewed then cart_updated within 1 day", {0}),
        ('opened message (kind = "trigger") in last 90 days', {0, 1}),
        ("age > 30 -- and 5", {0}),
        # What decides more than its own place, or may be refused.
        ('name matches "An"', set()),
        ("did order_completed between 30 and 90 days ago", set()),
        ("at least 2 of (age > 3, age < 9, age = 7)", {1, 2, 3}),
        ('rfm purchases in cell "at risk" and random bucket 0 to 99 of "experiment 7"', set()),
        ("birth_date has anniversary in next 7 days", set()),
    ],
)
def test_only_plain_values_are_put_in(text: str, holes: set[int]) -> None:
    assert _recipe(text).holes == holes


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("did product_viewed (price between 5 and 10)", ["11", "10"]),
        ("did order_completed in last 30 days", ["0"]),
        ("did order_completed in last 30 days", ["40000"]),
        ("age > 2.5", ["2.0"]),
        ('gender = "female"', ['"\ud800"']),
    ],
)
def test_a_value_that_binding_treats_apart_is_left_to_it(text: str, written: list[str]) -> None:
    with pytest.raises(UnfitError):
        _recipe(text).bound(written)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('a = "x" and b < 5.5 or c in (1, "2")', ['"x"', "5.5", "1", '"2"']),
        ("a = -5 and b = 2026-10-05 and at hours 08:00 to 20:00", []),
        ("`a 5`.b5 = 1.23456 and e*.x > 123456789012345", []),
        ('a = "x \\" 5" and b = "y"', ['"y"']),
        ("in last 30 days, top 5 %", ["30", "5"]),
    ],
)
def test_holes_are_plain_texts_and_numbers_that_stand_alone(text: str, written: list[str]) -> None:
    split = shape_of(text)
    assert split is not None
    shape, found = split
    assert found == written
    assert _with(shape, found) == text


def test_places_of_holes_are_those_of_their_tokens() -> None:
    text = 'gender = "female" -- 5\n  and age < 30\n\nand city in ("Kyiv",\n"Lviv")'
    split = shape_of(text)
    assert split is not None
    spans = {token.span: token.text for token in tokenize(text)}
    found = dict(zip(places_of(*split), split[1], strict=True))
    assert {place: hole for place, hole in found.items() if hole != "5"} == {
        place: word for place, word in spans.items() if word in ('"female"', "30", '"Kyiv"', '"Lviv"')
    }


def test_a_long_text_has_no_shape_and_is_read_as_ever() -> None:
    text = " or ".join(["age > 30"] * 100)
    assert shape_of(text) is None
    assert _said(text, WORKSPACE, PreparedRules()) == _said(text, WORKSPACE, None)


def test_other_names_are_asked_anew() -> None:
    prepared = PreparedRules()
    text = "age > 30"
    assert prepared.bound(text, WORKSPACE).attributes == {"age": Kind.INTEGER}
    attributes = dict(WORKSPACE.attributes)
    without = {name: kind for name, kind in attributes.items() if name != "age"}
    for changed in ({**attributes, "age": Kind.DECIMAL}, without):
        names = replace(WORKSPACE, attributes=changed)
        assert _said(text, names, prepared) == _said(text, names, None)
    assert prepared.bound(text, WORKSPACE).attributes == {"age": Kind.INTEGER}


def test_a_shape_is_read_once_for_as_long_as_the_names_are_equal() -> None:
    prepared = PreparedRules()
    first = prepared.bound("age > 30", WORKSPACE)
    # What no value decides is shared by the rules of one shape, so this tells whether the second was read.
    assert prepared.bound("age > 31", replace(WORKSPACE)).attributes is first.attributes
    assert prepared.bound("age >  31", WORKSPACE).attributes is not first.attributes


def test_more_shapes_than_are_kept_are_read_all_the_same() -> None:
    prepared = PreparedRules()
    for count in range(300):
        text = f"at least 1 of (age > {count}, age < 7) limit {count + 1}"
        assert prepared.bound(text, WORKSPACE) == bind(parse(text), WORKSPACE)
