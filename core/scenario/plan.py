"""A scenario checked and read: what the machine runs by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.query.ast import FilterTree
from core.scenario.definition import Action, CallWebhook, Definition, EventTrigger, IssueCoupon, WaitFor
from core.scenario.graph import Ways
from core.scenario.texts import RunText


@dataclass(frozen=True, slots=True)
class Plan:
    """Version `version` of the scenario `name`; made by `core.scenario.validate.plan_of`.

    `ways` has the successors of each block, nothing left empty but the end. `parameters` are the values that a run must
    have from the start; `about` are those of the trigger among them, sorted: what a run is about. `exit_needs` are the
    values of the exit condition that blocks bring; until a run has them it is not asked. `filters` are those of blocks
    that wait for an event.
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
    exit_needs: frozenset[str] = frozenset()
    filters: Mapping[str, FilterTree] = field(default_factory=dict)

    @property
    def first_block(self) -> str:
        """Where runs start."""
        return self.definition.blocks[0].id

    @property
    def reads_catalogue(self) -> bool:
        """Whether any condition reads what products are now."""
        return any(condition.catalogue for condition in self.conditions.values())

    @property
    def event_type(self) -> str | None:
        """The type of the events that start runs; None for any other trigger."""
        trigger = self.definition.trigger
        return trigger.type if isinstance(trigger, EventTrigger) else None


def is_brought(definition: Definition, name: str) -> bool:
    """Whether a block may give a run the value `name`: an event waited for, a coupon, a webhook's answer."""
    return any(_brings(block.action, name) for block in definition.blocks)


def _brings(action: Action, name: str) -> bool:
    match action:
        case IssueCoupon(_, store_as):
            return name == store_as
        case WaitFor() | CallWebhook():
            return bool(action.store_as) and name.startswith(f"{action.store_as}_")
        case _:
            return False
