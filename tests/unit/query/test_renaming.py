"""Every name that a rule uses is found where it stands, and can be replaced there."""

from __future__ import annotations

import pytest

from core.events.schema import Family, Place
from core.query.renaming import names_used, renamed_rule, uses
from core.query.text.format import format_rule
from core.query.text.parse import parse

A, E, P, I, L = Family.ATTRIBUTE, Family.EVENT, Family.PARAMETER, Family.ITEM, Family.ELEMENT  # noqa: E741

#: A rule, and the names in it.
CASES: tuple[tuple[str, set[Place]], ...] = (
    ('hat = "L" and shoe > attribute size', {Place(A, "", name) for name in ("hat", "shoe", "size")}),
    ("any element of pets (age > 3)", {Place(A, "", "pets"), Place(L, "pets", "age")}),
    ('hat has been "L" for at least 3 days', {Place(A, "", "hat")}),
    ('hat changed from "a" to "b"', {Place(A, "", "hat")}),
    (
        "did folded (color = attribute hat and any item (size = 3)) at least 2 times for the same shade",
        {Place(E, "", "folded"), Place(P, "folded", "color"), Place(A, "", "hat"), Place(I, "", "size"),
         Place(P, "folded", "shade")},
    ),
    ("did any of (folded, washed) (color = \"red\")", {
        Place(E, "", "folded"), Place(E, "", "washed"), Place(P, "folded", "color"), Place(P, "washed", "color")}),
    ("sum(folded.cost) in last 3 days > 5", {Place(E, "", "folded"), Place(P, "folded", "cost")}),
    ("sum(folded.items.size) > 5", {Place(E, "", "folded"), Place(I, "", "size")}),
    ("last folded had (color = \"red\")", {Place(E, "", "folded"), Place(P, "folded", "color")}),
    (
        "sequence with the same shade: folded as v then washed (color = v.tone) within 2 days",
        {Place(E, "", "folded"), Place(E, "", "washed"), Place(P, "washed", "color"), Place(P, "folded", "tone"),
         Place(P, "folded", "shade"), Place(P, "washed", "shade")},
    ),
    ("did folded since last washed (color = \"red\")", {
        Place(E, "", "folded"), Place(E, "", "washed"), Place(P, "washed", "color")}),
    ("sum(folded.cost) above average", {Place(E, "", "folded"), Place(P, "folded", "cost")}),
    ("spent in top 5 %", {Place(A, "", "spent")}),
    ("did folded limit 1 by largest age", {Place(E, "", "folded"), Place(A, "", "age")}),
    ("first time did folded (color = \"red\") in last 3 days", {Place(E, "", "folded"), Place(P, "folded", "color")}),
    ("in list \"x\" and in segment \"y\"", set()),
)  # fmt: skip


@pytest.mark.parametrize(("text", "names"), CASES)
def test_names_are_found_and_replaced(text: str, names: set[Place]) -> None:
    rule = parse(text)
    assert names_used(rule) == names
    assert renamed_rule(rule, lambda place: place.name) == rule
    other = renamed_rule(rule, lambda place: f"{place.name}_x")
    assert other == parse(format_rule(other))

    def renamed_owner(owner: str) -> str:
        return f"{owner}_x" if owner else owner

    assert names_used(other) == {Place(one.family, renamed_owner(one.owner), f"{one.name}_x") for one in names}
    assert renamed_rule(other, lambda place: place.name.removesuffix("_x")) == rule


def test_a_prefix_uses_what_begins_so() -> None:
    used = names_used(parse('did cart_* (color = "red")'))
    assert uses(used, Place(E, "", "cart_washed"))
    assert uses(used, Place(P, "cart_washed", "color"))
    assert not uses(used, Place(E, "", "car"))
    assert not uses(used, Place(P, "folded", "color"))
    assert renamed_rule(parse("did cart_*"), lambda place: "other") == parse("did cart_*")


def test_what_an_interest_compares_is_no_attribute() -> None:
    rule = parse('interest in category "tea" >= attribute least and top interest in brand != "a"')
    assert names_used(rule) == {Place(Family.ATTRIBUTE, "", "least")}
    renamed = renamed_rule(rule, lambda place: f"new {place.name}")
    assert format_rule(renamed) == (
        'interest in category "tea" >= attribute "new least" and top interest in brand != "a"'
    )
