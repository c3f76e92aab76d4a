"""Whether a scenario can run: every mistake found, each with the path of its place."""

from __future__ import annotations

from core.errors import invalid
from core.query.ast import FilterTree, Parameter
from core.query.local_time import find_zone
from core.scenario.definition import (
    ApiTrigger,
    Definition,
    EventTrigger,
    FieldTrigger,
    ProductTrigger,
    Reentry,
    RfmTrigger,
    ScheduleTrigger,
    SegmentTrigger,
)
from core.scenario.graph import ways
from core.scenario.mistakes import Mistakes
from core.scenario.plan import Plan, is_brought
from core.scenario.run import OWN_VALUES
from core.scenario.schedule import check_cron
from core.scenario.texts import filter_operands
from core.scenario.trigger import SETTABLE_CAUSES, carried
from core.scenario.validate_blocks import MAX_BLOCKS, MAX_WAIT_US, BlockCheck

__all__ = ["MAX_BLOCKS", "MAX_WAIT_US", "plan_of"]

#: The names of core.events.facts.ProductChangeKind that start runs.
PRODUCT_CHANGES = (
    "new",
    "back_in_stock",
    "out_of_stock",
    "running_low",
    "last_item",
    "price_dropped",
    "price_raised",
    "promotion_started",
)
#: More than any store sends in a minute.
MAX_SENDS_PER_MINUTE = 1_000_000


def plan_of(name: str, version: int, definition: Definition) -> Plan:
    """The plan of a version. Raises INVALID / SCENARIO_INVALID with one violation per mistake."""
    found = Mistakes()
    tree = _trigger(definition, found)
    _rules(definition, found)
    exit_text = found.text(definition.exit_when, "exit_when") if definition.exit_when.strip() else None
    blocks = BlockCheck(definition, found)
    blocks.check()
    texts = (*([exit_text] if exit_text is not None else []), *blocks.conditions.values())
    named = frozenset().union(
        *(text.parameters for text in texts),
        *(_named(one) for one in blocks.filters.values()),
    )  # fmt: skip
    parameters = frozenset(one for one in named if not is_brought(definition, one))
    about = tuple(sorted(parameters - OWN_VALUES - definition.values.keys()))
    brings = carried(definition.trigger)
    for unknown in about if brings is not None else ():
        if brings is not None and unknown not in brings:
            what = "a segment's trigger" if isinstance(definition.trigger, SegmentTrigger) else "the trigger"
            found.wrong(
                "trigger.values", f'the texts name ":{unknown}", which {what} does not carry: set it here'
            )  # fmt: skip
    if found.violations:
        first = found.violations[0]
        raise invalid("SCENARIO_INVALID", f"{first.path}: {first.description}", *found.violations)
    exit_needs = frozenset() if exit_text is None else exit_text.parameters - parameters
    return Plan(
        name,
        version,
        definition,
        {block.id: block.action for block in definition.blocks},
        ways(definition.blocks),
        exit_text,
        blocks.conditions,
        tree,
        parameters,
        about,
        exit_needs,
        blocks.filters,
    )


def _named(tree: FilterTree) -> frozenset[str]:
    return frozenset(operand.name for operand in filter_operands(tree) if isinstance(operand, Parameter))


def _rules(definition: Definition, found: Mistakes) -> None:
    """What the scenario says about itself, beside its trigger and blocks."""
    if definition.reentry is Reentry.AFTER and not 0 < definition.reentry_after_us <= MAX_WAIT_US:
        found.wrong("reentry_after_us", "say after how long another run may start: at most ten years")
    elif definition.reentry is not Reentry.AFTER and definition.reentry_after_us:
        found.wrong("reentry_after_us", 'only the re-entry "after" has a pause')
    if definition.entries_limit < 0:
        found.wrong("entries_limit", "a limit is positive, or 0 for none")
    if not 0 <= definition.sends_per_minute <= MAX_SENDS_PER_MINUTE:
        found.wrong("sends_per_minute", f"is at most {MAX_SENDS_PER_MINUTE} a minute, or 0 for no limit")
    if definition.category:
        found.name(definition.category, "category", "the name of a category")


def _trigger(definition: Definition, found: Mistakes) -> FilterTree:
    if definition.max_age_us <= 0:
        found.wrong("trigger.max_age_us", "the greatest age of a trigger is positive")
    for name in definition.values:
        if name in OWN_VALUES:
            found.wrong(f"trigger.values[{name}]", "every run has this value by itself: choose another name")
        elif is_brought(definition, name):
            found.wrong(f"trigger.values[{name}]", "a block brings this value: choose another name")
    for index, cause in enumerate(definition.causes):
        if cause not in SETTABLE_CAUSES:
            found.wrong(f"trigger.causes[{index}]", f'"{cause}" is none of {", ".join(SETTABLE_CAUSES)}')
    match definition.trigger:
        case EventTrigger() as event:
            return _event_trigger(event, definition, found)
        case SegmentTrigger(segment):
            found.name(segment, "trigger.segment.segment", "the name of a segment")
        case RfmTrigger(model, from_cells, to_cells):
            found.name(model, "trigger.rfm.model", "the name of an RFM model")
            for field, cells in (("from_cells", from_cells), ("to_cells", to_cells)):
                found.names(cells, f"trigger.rfm.{field}", "the name of a cell")
        case FieldTrigger() as field_trigger:
            _field_trigger(field_trigger, found)
        case ScheduleTrigger() as schedule:
            _schedule(schedule, found)
        case ProductTrigger(changes, segment, at_least):
            found.name(segment, "trigger.product.segment", "the name of a segment")
            if not changes:
                found.wrong("trigger.product.changes", f"name one at least of {', '.join(PRODUCT_CHANGES)}")
            for index, change in enumerate(changes):
                if change not in PRODUCT_CHANGES:
                    path = f"trigger.product.changes[{index}]"
                    found.wrong(path, f'"{change}" is none of {", ".join(PRODUCT_CHANGES)}')
            if at_least < 0:
                found.wrong("trigger.product.at_least_percent_units", "a drop is positive, or 0 for any")
        case ApiTrigger(required):
            for index, name in enumerate(required):
                found.value_name(name, f"trigger.api.required[{index}]")
    return ()


def _event_trigger(trigger: EventTrigger, definition: Definition, found: Mistakes) -> FilterTree:
    found.event_name(trigger.type, "trigger.event.type", "a trigger names one event, no prefix")
    path = "trigger.event.filter"
    tree = found.filter(trigger.filter, path, "a trigger")
    for operand in filter_operands(tree):
        if isinstance(operand, Parameter) and operand.name not in definition.values:
            found.wrong(path, f'":{operand.name}" is none of the scenario\'s own values')
    return tree


def _field_trigger(trigger: FieldTrigger, found: Mistakes) -> None:
    found.name(trigger.attribute, "trigger.field.attribute", "the name of an attribute")
    if not 0 <= trigger.held_for_us <= MAX_WAIT_US:
        found.wrong("trigger.field.held_for_us", "is at most ten years, or 0")
    if trigger.old is not None and trigger.old == trigger.new and type(trigger.old) is type(trigger.new):
        found.wrong("trigger.field.to", "a change ends at another value than it began with")


def _schedule(trigger: ScheduleTrigger, found: Mistakes) -> None:
    found.name(trigger.segment, "trigger.schedule.segment", "the name of a segment")
    problem = check_cron(trigger.cron)
    if problem:
        found.wrong("trigger.schedule.cron", problem)
    if trigger.zone and find_zone(trigger.zone) is None:
        found.wrong("trigger.schedule.zone", f'there is no time zone "{trigger.zone}"')
    if trigger.until_us and trigger.until_us <= trigger.not_before_us:
        found.wrong("trigger.schedule.until_us", "the end lies after the beginning")
