"""Mistakes in a scenario's YAML: each is told with its line and column, and nothing hostile does harm."""

from __future__ import annotations

import time

import pytest

from core.errors import CdpError, Code
from services.scenario.yaml_form import from_yaml
from services.scenario.yaml_nodes import MAX_CHARACTERS, MAX_DEPTH, MAX_MISTAKES, MAX_NODES
from services.scenario.yaml_read import read_scenario
from tests.unit.scenario.test_yaml_form import NAUGHTY

HEAD = "start:\n  event: signed_up\nblocks:\n"


def mistakes(text: str) -> list[tuple[str, str]]:
    """Place and words of every mistake in `text`."""
    with pytest.raises(CdpError) as caught:
        from_yaml(text)
    refused = caught.value
    assert (refused.code, refused.reason) == (Code.INVALID, "SCENARIO_INVALID")
    assert refused.message.startswith(refused.violations[0].path)
    return [(one.path, one.description) for one in refused.violations]


def test_all_mistakes_at_once_in_their_order() -> None:
    text = """\
nmae: x
start:
  event: cart_updated
  enters segment: VIP
blocks:
  - id: a
    wiat: 2h
  - id: b
    wait: 2x
    nxt: a
  - id: c
    if: [a]
  - wait: 1h
  - id: d
    split:
      - share: 50
  - 5
  - id: e
    set attribute: x
  - id: f
    wait until: "09:00"
    shop's zone: yes
again: sometimes
sends per minute: 99999999999
"""
    found = mistakes(text)
    assert [place for place, _ in found] == [
        "line 1, column 1",
        "line 3, column 3",
        "line 7, column 5",
        "line 9, column 11",
        "line 10, column 5",
        "line 12, column 9",
        "line 13, column 5",
        "line 16, column 16",
        "line 17, column 5",
        "line 18, column 5",
        "line 22, column 18",
        "line 23, column 8",
        "line 24, column 19",
    ]
    words = [said for _, said in found]
    assert words[0] == 'a scenario has no "nmae". Did you mean "name"?'
    assert words[1] == 'a start is one thing, not several: "enters segment", "event"'
    assert words[2] == '"wiat" is nothing that a block can be. Did you mean "wait"?'
    assert words[4] == 'a block with "wait" has no "nxt". Did you mean "next"?'
    assert words[5] == '"if" is a text, not a list'
    assert words[6] == 'a block needs "id"'
    assert words[11].startswith('"sometimes" is none of "one at a time"')
    assert words[12] == '"99999999999" is too large'


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("", "line 1, column 1", 'a scenario is written as "key: value"'),
        ("[]", "line 1, column 1", 'a scenario is written as "key: value"'),
        ("start: 5\nblocks: []\n", "line 1, column 8", 'a start is written as "key: value"'),
        ("start: {}\nblocks: []\n", "line 1, column 8", "a start has one of these keys"),
        ("blocks: []\n", "line 1, column 1", 'a scenario needs "start"'),
        (f"{HEAD}  id: a\n", "line 4, column 3", 'is a list: each of it begins with "- "'),
        (f"{HEAD}  - id: a\n    wait:\n", "line 5, column 10", '"wait" needs a duration behind it'),
        (f"{HEAD}  - id: a\n    wait: {{h: 2}}\n", "line 5, column 11", '"wait" is a duration, not a mapping'),
        (f"{HEAD}  - id: a\n    wait: 1h\n    wait: 2h\n", "line 6, column 5", '"wait" stands here a second time'),
        (f"{HEAD}  - id: a\n    wait: 9999999999999w\n", "line 5, column 11", "is too large"),
        ("start: &x {event: a}\nblocks: *x\n", "line 1, column 8", "no anchors and aliases"),
        ("start: !!python/object/apply:os.system [id]\n", "line 1, column 8", "no tags"),
        ("start:\n\tevent: a\n", "line 2, column 1", "this is no YAML"),
        ("start: 'a\n", "line 2, column 1", "this is no YAML"),
        ("a: 1\n---\nb: 2\n", "line 2, column 1", "a second document begins here"),
        ("? [a]\n: b\n", "line 1, column 3", "a key is a word or a text"),
        ("a: \x01\n", "line 1, column 1", "a character that no text has"),
        ("a: \ud800\n", "line 1, column 1", "a character that no text has"),
        ("x" * (MAX_CHARACTERS + 1), "line 1, column 1", "at most 200,000 characters"),
        ("[" * (MAX_DEPTH + 1), f"line 1, column {MAX_DEPTH + 1}", "levels deep"),
        ("- a\n" * (MAX_NODES + 1), f"line {MAX_NODES}, column 3", "more than 20,000 values"),
        (
            "start:\n  schedule: 0 9 * * 1\n  until: tomorrow\nblocks: []\n",
            "line 3, column 10",
            "an instant is written",
        ),
        ("start:\n  event: a\n  values:\n    v: 1.00001\nblocks: []\n", "line 4, column 8", "more than four decimals"),
        ("start:\n  event: a\n  values:\n    v: 2026-02-30\nblocks: []\n", "line 4, column 8", "day"),
        ("start:\n  event: a\n  values: 5\nblocks: []\n", "line 3, column 11", 'written as "name: value"'),
    ],
)
def test_the_form(text: str, place: str, words: str) -> None:
    found_place, found_words = mistakes(text)[0]
    assert found_place == place
    assert words in found_words


@pytest.mark.parametrize(
    ("blocks", "place", "words"),
    [
        ("  - id: a\n    wait: 1h\n    next: nowhere\n", "line 4, column 5", 'there is no block "nowhere" to go to'),
        ("  - id: a\n    wait: 0s\n", "line 5, column 11", "a wait is longer than nothing"),
        ("  - id: a\n    wait: 1h\n  - id: a\n    wait: 1h\n", "line 6, column 9", "is the id of an earlier block"),
        ("  - id: a\n    send: pigeon\n    template: t\n", "line 5, column 11", '"pigeon" is no channel'),
        ("  - id: a\n    if: gender = \n", "line 5, column 9", "in this text, line 1, column 9: "),
        (
            "  - id: a\n    if: gender = \"f\"\n    then: b\n    else: a\n  - id: b\n    exit: x\n",
            "line 4, column 5",
            "a loop without a wait",
        ),
        ("  - id: a\n    exit: x\n  - id: b\n    exit: y\n", "line 6, column 5", 'no way leads to "b"'),
    ],
)  # fmt: skip
def test_the_sense(blocks: str, place: str, words: str) -> None:
    found_place, found_words = mistakes(HEAD + blocks)[0]
    assert found_place == place
    assert words in found_words


def test_the_start() -> None:
    text = "start:\n  event: signed_*\n  where: city = \n  max age: 0s\nblocks:\n  - id: a\n    exit:\n"
    places = [place for place, _ in mistakes(text)]
    assert places == ["line 2, column 10", "line 3, column 10"]


def test_an_empty_reason_and_a_list_of_one() -> None:
    text = "start:\n  rfm: purchases\n  to: VIP\nblocks:\n  - id: a\n    exit:\n"
    message = read_scenario(text).message
    assert list(message.trigger.rfm.to_cells) == ["VIP"]
    assert message.blocks[0].exit.reason == ""


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "".join(f"  - id: a{number}\n    wait: x\n" for number in range(1_000)),
        "".join(f"naem{number}: x\n" for number in range(9_000)),
        HEAD + "  - id: a\n" + "".join(f"    wiat{number}: x\n" for number in range(9_000)),
        f"start:\n  rfm: p\n  to: [{', '.join('[]' for _ in range(9_000))}]\nblocks: []\n",
        "start:\n  event: e\n  values:\n" + "".join(f"    v{number}:\n" for number in range(9_000)) + "blocks: []\n",
    ],
    ids=["values", "keys", "blocks", "texts", "named"],
)
def test_no_more_mistakes_than_anybody_reads(text: str) -> None:
    began_s = time.process_time()
    assert len(mistakes(text)) == MAX_MISTAKES
    assert time.process_time() - began_s < 5.0


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "{a: " * 40_000,
        "- " * 99_000,
        "a: " + "'" * 199_000,
        "\n".join(f"k{number}: &a{number} [*a{number - 1}, *a{number - 1}]" for number in range(1, 100)),
        "? " * 90_000,
        "a: |\n" + " \n" * 90_000,
        "#" * 199_000,
        "%YAML 1.1\n" * 10_000,
    ],
    ids=["lists", "mappings", "items", "quotes", "laughs", "keys", "block", "comment", "directives"],
)
def test_hostile_texts_are_refused_soon(text: str) -> None:
    began_s = time.process_time()
    assert mistakes(text)
    assert time.process_time() - began_s < 5.0


def test_naughty_strings_as_documents() -> None:
    for text in NAUGHTY:
        for written in (text, f"{HEAD}  - id: {text}\n", f"start:\n  event: {text}\nblocks: {text}\n"):
            assert mistakes(written)
