"""Scenarios between YAML and the message, checked with line and column.

What the form looks like is a table (yaml_shapes.py); README.md shows one. `yaml_read.py` and `yaml_write.py` go by it.
"""

from __future__ import annotations

import re

from cdp.scenario.v1 import scenario_pb2
from core.errors import CdpError, Violation, invalid
from core.scenario.validate import plan_of
from services.scenario.convert import definition_from_proto
from services.scenario.yaml_nodes import SCENARIO_INVALID, Mistakes
from services.scenario.yaml_read import read_scenario
from services.scenario.yaml_write import write_scenario

_IN_TEXT = re.compile(r"line [0-9]+, column [0-9]+: ")


def from_yaml(text: str) -> scenario_pb2.Scenario:
    """The scenario in `text`, one that can run; its name is `revision.name`. Raises INVALID / SCENARIO_INVALID: each
    violation has the path `line 3, column 5`; a place within a text of the segment language follows in the words."""
    read = read_scenario(text)
    try:
        plan_of(read.message.revision.name, 0, definition_from_proto(read.message))
    except CdpError as error:
        if not error.violations:
            raise
        mistakes = Mistakes()
        for violation in error.violations:
            mistakes.add(read.place_of(violation.path), _of_text(violation.description))
        raise mistakes.error() from error
    return read.message


def to_yaml(message: scenario_pb2.Scenario) -> str:
    """The one YAML of a scenario that can run; `from_yaml` reads the same scenario, but for its revision.

    Raises INVALID / SCENARIO_INVALID with paths for one that cannot run, and for what YAML has no word for."""
    plan_of(message.revision.name, 0, definition_from_proto(message))
    text = write_scenario(message)
    if read_scenario(text).message != without_versions(message):
        path, description = "scenario", "it says something that the YAML form has no word for"
        raise invalid(SCENARIO_INVALID, f"{path}: {description}", Violation(path, description))
    return text


def without_versions(message: scenario_pb2.Scenario) -> scenario_pb2.Scenario:
    """What YAML says of a scenario: all of it, but of its revision the name alone."""
    kept = scenario_pb2.Scenario()
    kept.CopyFrom(message)
    kept.ClearField("revision")
    if message.revision.name:
        kept.revision.name = message.revision.name
    return kept


def _of_text(description: str) -> str:
    """`line 1, column 9: ...` of a segment's text is no place of the YAML: say so."""
    return f"in this text, {description}" if _IN_TEXT.match(description) else description
