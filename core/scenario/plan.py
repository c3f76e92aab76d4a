"""A scenario checked and read: what the machine runs by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.query.ast import FilterTree
from core.scenario.definition import Action, Definition, SegmentTrigger
from core.scenario.graph import Ways
from core.scenario.texts import RunText


@dataclass(frozen=True, slots=True)
class Plan:
    """Version `version` of the scenario `name`; made by `core.scenario.validate.plan_of`.

    `ways` has the successors of each block, nothing left empty but the end. `about` are the trigger's values that
    the texts name, sorted: what a run is about.
    """

    name: str
    version: int
    definition: Definition
    actions: Mapping[str, Action]
    ways: Ways
    exit_text: RunText | None
    conditions: Mapping[str, RunText]
    trigger_filter: FilterTree
    parameters: frozenset[str]
    about: tuple[str, ...]

    @property
    def first_block(self) -> str:
        """Where runs start."""
        return self.definition.blocks[0].id

    @property
    def event_type(self) -> str | None:
        """The type of the events that start runs; None for a segment's trigger."""
        trigger = self.definition.trigger
        return None if isinstance(trigger, SegmentTrigger) else trigger.type
