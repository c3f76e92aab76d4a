"""Whether a scenario can run: every mistake found, each with the path of its place."""

from __future__ import annotations

from collections.abc import Sequence

from core.clock import DAY_US
from core.errors import CdpError, Violation, invalid
from core.events.facts import CHANNELS
from core.query.ast import FilterTree, Parameter
from core.scenario.definition import (
    MESSAGE_KINDS,
    Block,
    Condition,
    Definition,
    EventTrigger,
    Exit,
    SegmentTrigger,
    Send,
    Wait,
)
from core.scenario.graph import restless, unreachable, ways, written_ways
from core.scenario.plan import Plan
from core.scenario.run import OWN_VALUES
from core.scenario.texts import RunText, attributes_in, filter_operands, read_filter, read_text, reads_contacts_zone
from core.scenario.trigger import SEGMENT_VALUE

MAX_BLOCKS = 200
MAX_NAME_CHARACTERS = 200
#: The longest wait: ten years.
MAX_WAIT_US = 3_653 * DAY_US


def plan_of(name: str, version: int, definition: Definition) -> Plan:
    """The plan of a version. Raises INVALID / SCENARIO_INVALID with one violation per mistake."""
    check = _Check()
    tree = check.trigger(definition)
    exit_text = check.text(definition.exit_when, "exit_when") if definition.exit_when.strip() else None
    conditions = check.blocks(definition.blocks)
    parameters = frozenset().union(
        *(text.parameters for text in (exit_text, *conditions.values()) if text is not None)
    )  # fmt: skip
    about = tuple(sorted(parameters - OWN_VALUES - definition.values.keys()))
    if isinstance(definition.trigger, SegmentTrigger):
        for unknown in (value for value in about if value != SEGMENT_VALUE):
            check.wrong(
                "trigger.values", f'the texts name ":{unknown}", which a segment\'s trigger does not carry: set it here'
            )
    if check.violations:
        first = check.violations[0]
        raise invalid("SCENARIO_INVALID", f"{first.path}: {first.description}", *check.violations)
    return Plan(
        name,
        version,
        definition,
        {block.id: block.action for block in definition.blocks},
        ways(definition.blocks),
        exit_text,
        conditions,
        tree,
        parameters,
        about,
    )


class _Check:
    """Collects what is wrong; goes on wherever the rest can still be judged."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def wrong(self, path: str, description: str) -> None:
        self.violations.append(Violation(path, description))

    def text(self, text: str, path: str) -> RunText | None:
        try:
            return read_text(text)
        except CdpError as error:
            self.wrong(path, error.message)
            return None

    def trigger(self, definition: Definition) -> FilterTree:
        if definition.max_age_us <= 0:
            self.wrong("trigger.max_age_us", "the greatest age of a trigger is positive")
        for name in definition.values:
            if name in OWN_VALUES:
                self.wrong(f"trigger.values[{name}]", "every run has this value by itself: choose another name")
        trigger = definition.trigger
        if isinstance(trigger, SegmentTrigger):
            self._name(trigger.segment, "trigger.segment.segment", "the name of a segment")
            return ()
        return self._event_trigger(trigger, definition)

    def _event_trigger(self, trigger: EventTrigger, definition: Definition) -> FilterTree:
        self._name(trigger.type, "trigger.event.type", "the name of an event")
        if "*" in trigger.type:
            self.wrong("trigger.event.type", "a trigger names one event, no prefix")
        path = "trigger.event.filter"
        try:
            tree = read_filter(trigger.filter)
        except CdpError as error:
            self.wrong(path, error.message)
            return ()
        for attribute in attributes_in(tree):
            self.wrong(path, f'a trigger knows only its event; ask for attribute "{attribute}" in a condition block')
        for operand in filter_operands(tree):
            if isinstance(operand, Parameter) and operand.name not in definition.values:
                self.wrong(path, f'":{operand.name}" is none of the scenario\'s own values')
        if reads_contacts_zone(tree):
            self.wrong(path, "a trigger knows no contact's zone; ask in a condition block")
        return tree

    def blocks(self, blocks: Sequence[Block]) -> dict[str, RunText]:
        if not blocks or len(blocks) > MAX_BLOCKS:
            self.wrong("blocks", f"a scenario has 1 to {MAX_BLOCKS} blocks")
            return {}
        ids = [block.id for block in blocks]
        conditions: dict[str, RunText] = {}
        for index, block in enumerate(blocks):
            path = f"blocks[{index}]"
            self._name(block.id, f"{path}.id", "the id of a block")
            if ids.index(block.id) != index:
                self.wrong(f"{path}.id", f'"{block.id}" is the id of an earlier block, too')
            for way in written_ways(block):
                if way and way not in ids:
                    self.wrong(path, f'there is no block "{way}" to go to')
            text = self._action(block, path)
            if text is not None:
                conditions[block.id] = text
        if not self.violations:
            self._ways(blocks)
        return conditions

    def _action(self, block: Block, path: str) -> RunText | None:
        match block.action:
            case Wait(duration_us):
                if not 0 < duration_us <= MAX_WAIT_US:
                    self.wrong(f"{path}.wait.duration_us", "a wait is longer than nothing and at most ten years")
            case Condition(text):
                return self.text(text, f"{path}.condition.text")
            case Send(channel, template, kind):
                if channel not in CHANNELS:
                    self.wrong(f"{path}.send.channel", f'"{channel}" is no channel: choose of {", ".join(CHANNELS)}')
                self._name(template, f"{path}.send.template", "the name of a template")
                if kind not in MESSAGE_KINDS:
                    self.wrong(f"{path}.send.kind", f'"{kind}" is no kind: choose of {", ".join(MESSAGE_KINDS)}')
            case Exit():
                return None
        return None

    def _ways(self, blocks: Sequence[Block]) -> None:
        leading = ways(blocks)
        index = {block.id: number for number, block in enumerate(blocks)}
        for one in unreachable(blocks, leading):
            self.wrong(f"blocks[{index[one]}]", f'no way leads to "{one}"')
        for one in restless(blocks, leading):
            self.wrong(f"blocks[{index[one]}]", f'"{one}" lies on, or leads into, a loop without a wait')

    def _name(self, name: str, path: str, what: str) -> None:
        if not name.strip() or len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
            self.wrong(path, f"{what} has 1 to {MAX_NAME_CHARACTERS} printable characters")
