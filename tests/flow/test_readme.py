"""The README's examples say who is in them; here they are run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.index.index import Index
from core.query.binding.bind import bind
from core.query.execute import evaluate
from core.query.text.format import format_rule
from core.query.text.parse import parse
from core.scenario.validate import plan_of
from core.segments.vocabulary import names_of
from services.scenario.convert import definition_from_proto
from services.scenario.yaml_form import from_yaml, to_yaml
from tests.cast import NOW_US, PEOPLE, ZONE, batch

README = (Path(__file__).parents[2] / "README.md").read_text()
SCENARIOS = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
EXAMPLES = re.findall(r"```segment\n(.*?)```", README, re.DOTALL)


def test_there_are_ten_examples_at_least() -> None:
    assert len(EXAMPLES) >= 10


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_holds_for_whom_it_says(example: str) -> None:
    text, _, says = example.rstrip().rpartition("  -- ")
    who, _, arguments = says.partition(" with ")
    parameters = dict(re.findall(r'(\w+) = "([^"]*)"', arguments))
    index = Index()
    facts = batch()
    index.apply(facts.events, facts.facts, facts.position)
    root = index.root()
    rule = parse(example)
    bound = bind(rule, names_of(root, {}, ZONE))
    members = evaluate(bound, root, NOW_US, parameters).members
    assert {PEOPLE[number] for number in members.numbers().tolist()} == set(who.split(", ")), text
    assert parse(format_rule(rule)) == rule


@pytest.mark.parametrize("text", SCENARIOS)
def test_a_scenario_can_run_and_reads_as_it_was_written(text: str) -> None:
    message = from_yaml(text)
    plan = plan_of(message.revision.name, 1, definition_from_proto(message))
    assert plan.about == ("cart_id",)
    assert from_yaml(to_yaml(message)) == message


def test_there_is_a_scenario() -> None:
    assert len(SCENARIOS) == 1
