"""What the machine must know of a condition's text: the values it needs, the events that may change its answer."""

from __future__ import annotations

from typing import get_args

import pytest

from core.query.ast import Branch, Condition
from core.query.text.parse import parse
from core.scenario.texts import read_text

#: (text, parameters, events, refers)
TEXTS: tuple[tuple[str, set[str], set[str], bool], ...] = (
    ("everyone", set(), set(), False),
    ("age > :least", {"least"}, set(), False),
    ('in list "a"', set(), set(), False),
    ('in segment "a" with (section = :s)', {"s"}, set(), True),
    ("did bought (x = :x) at least :n times since last visited", {"x", "n"}, {"bought", "visited"}, False),
    ("did not bought since last visited (y = :y)", {"y"}, {"bought", "visited"}, False),
    ("opened message (kind = :k) in last 3 days", {"k"}, {"message_opened", "message_clicked"}, False),
    ("received message sent at night", set(), {"message_bounced", "message_delivered", "message_sent"}, False),
    ("clicked message sent by day", set(), {"message_clicked", "message_sent"}, False),
    ("sum(bought.total) where (x = :x) > :most", {"x", "most"}, {"bought"}, False),
    ("first time did bought (x = :x) in last 3 days", {"x"}, {"bought"}, False),
    ("last bought (x = :x) had (y = :y)", {"x", "y"}, {"bought"}, False),
    ("stopped bought (x = :x): did in 9 days before, not in last 3 days", {"x"}, {"bought"}, False),
    (
        "restarted bought (x = :x): did in last 3 days, not in 9 days before, but earlier",
        {"x"}, {"bought"}, False,
    ),
    ("did bought (x = :x) regularly: in at least 2 of last 3 calendar weeks", {"x"}, {"bought"}, False),
    ("bought (x = :x) rising by 50 % over last 3 days", {"x"}, {"bought"}, False),
    ("sequence: visited as v then not bought (x = v.x and y = :y) within 1 day", {"y"}, {"visited", "bought"}, False),
    ("sum(any of (bought, paid).total) where (x = :x) above average", {"x"}, {"bought", "paid"}, False),
    ('rfm purchases in cell "VIP"', set(), set(), True),
    ("interest in category :section > 0.5", {"section"}, set(), True),
    ('rfm purchases moved from "VIP" in last 3 days', set(), set(), True),
    ("cohort of first bought (x = :x) in last 3 days", {"x"}, {"bought"}, False),
    ("city has been :c for at least 3 days", {"c"}, set(), False),
    ("city changed from :c in last 3 days", {"c"}, set(), False),
    ('was in segment "a" in last 3 days', set(), set(), True),
    ('was in list "a" in last 3 days', set(), set(), False),
    ('was in scenario "a" in last 3 days', set(), {"scenario_entered", "scenario_left"}, False),
    ('has been in segment "a" for at least 3 days', set(), set(), True),
    ("reachable by email", set(), set(), False),
    ('random bucket 0 to 99 of "a"', set(), set(), False),
    ("did shop_* limit 10 by largest number of bought (x = :x)", {"x"}, {"shop_*", "bought"}, False),
    ("not (did bought and age > :least)", {"least"}, {"bought"}, False),
)  # fmt: skip


@pytest.mark.parametrize(("text", "parameters", "events", "refers"), TEXTS, ids=[row[0] for row in TEXTS])
def test_what_a_text_names(text: str, parameters: set[str], events: set[str], refers: bool) -> None:
    found = read_text(text)
    assert (set(found.parameters), set(found.events), found.refers) == (parameters, events, refers)
    assert found.asked == f"among all contacts: {text}"
    assert all(found.concerned_by(event.replace("*", "visited")) for event in events)
    assert found.concerned_by("anything_else") is refers


def test_every_condition_has_a_text() -> None:
    nodes = (node for text, *_ in TEXTS for node in parse(text).nodes)
    assert {type(node) for node in nodes if not isinstance(node, Branch)} == set(get_args(Condition))


def test_a_text_that_says_whom_it_means_stays() -> None:
    assert read_text("among known contacts: everyone").asked == "among known contacts: everyone"


@pytest.mark.parametrize(
    ("text", "profile", "catalogue"),
    [
        ("everyone", False, False),
        ("did bought (x > attribute age)", True, False),
        ("age > 3", True, False),
        ('in list "a" or did bought', True, False),
        ("reachable by email", True, False),
        ("city has been :c for at least 3 days", True, False),
        ("did product_viewed on a product now the last item", False, True),
        ('in segment "a"', False, False),
    ],
)
def test_what_else_may_change_the_answer(text: str, profile: bool, catalogue: bool) -> None:
    found = read_text(text)
    assert (found.profile, found.catalogue) == (profile, catalogue)
