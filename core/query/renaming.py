"""The names that a rule uses, by what they belong to, and the same rule under other names.

One walk does both: it asks a function for each name that it meets and writes what that answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar

from core.events.schema import Family, Place
from core.query.ast import (
    AggregateMeasure,
    AttributeAtEvent,
    AttributeMeasure,
    AttributeOperand,
    Changed,
    Comparison,
    ElementMatch,
    EventAggregate,
    EventCount,
    EventSelection,
    MeasureCondition,
    MessageCount,
    PickedEvent,
    Rule,
    Sequence,
    StepOperand,
)
from core.query.binding.bind_fields import ITEMS
from core.query.edges import MESSAGE_EVENTS

#: What to write for a name.
NewName = Callable[[Place], str]
_LINE = f"{ITEMS}."

PartT = TypeVar("PartT")


@dataclass(frozen=True, slots=True)
class _Around:
    """What stands around a name: the types of the events, the list whose elements are filtered, or the contact.
    `steps`: the types of the named steps of a sequence."""

    types: tuple[str, ...] = ()
    elements: str = ""
    steps: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def renamed_rule(rule: Rule, new_name: NewName) -> Rule:
    """The rule in which every name is what `new_name` answers for its place. The owner of a parameter is the event's
    new name; of a prefix (`cart_*`) and of several events the first answer that changes the name counts. Names of
    events with a `*` stay. An equal rule for a function that changes nothing."""
    return _renamed(rule, _Around(), new_name)


def names_used(rule: Rule) -> frozenset[Place]:
    """Every name that the rule itself uses; a prefix stands as it is written, as a type and as an owner."""
    found: set[Place] = set()

    def note(place: Place) -> str:
        found.add(place)
        return place.name

    renamed_rule(rule, note)
    return frozenset(found)


def uses(used: frozenset[Place], place: Place) -> bool:
    """Whether a rule that uses `used` uses the name, by a prefix of its event's type too. An event is used where its
    parameters are."""
    for one in used:
        if one.family is place.family and one.name == place.name and _is_of(one.owner, place.owner):
            return True
        if place.family is Family.EVENT and one.family is Family.EVENT and _is_of(one.name, place.name):
            return True
    return False


def _is_of(written: str, name: str) -> bool:
    return name.startswith(written[:-1]) if written.endswith("*") else written == name


def _renamed(part: PartT, around: _Around, new_name: NewName) -> PartT:
    if isinstance(part, tuple):
        return tuple(_renamed(one, around, new_name) for one in part)  # type: ignore[return-value]
    if not is_dataclass(part) or isinstance(part, type):
        return part
    changed: dict[str, Any] = {}
    inside = around
    match part:
        case EventSelection(names=names):
            changed["names"] = tuple(_type(name, new_name) for name in names)
            inside = replace(around, types=changed["names"], elements="")
        case EventCount(events=events) | EventAggregate(events=events) | AggregateMeasure(events=events):
            types = tuple(_type(name, new_name) for name in events.names)
            told = "same" if isinstance(part, EventCount) else "path"
            changed[told] = _field(getattr(part, told), replace(around, types=types, elements=""), new_name)
        case PickedEvent(events=events):
            types = tuple(_type(name, new_name) for name in events.names)
            changed["conditions"] = _renamed(part.conditions, replace(around, types=types, elements=""), new_name)
        case MessageCount(verb=verb):
            changed["filter"] = _renamed(part.filter, replace(around, types=MESSAGE_EVENTS[verb]), new_name)
        case Sequence(steps=steps):
            named = {step.name: step.events.names for step in steps if step.name is not None}
            inside = replace(
                around, steps={name: tuple(_type(one, new_name) for one in types) for name, types in named.items()}
            )
            types = tuple(_type(name, new_name) for step in steps for name in step.events.names)
            changed["same"] = _field(part.same, replace(around, types=types), new_name)
        case StepOperand(step=step, path=path):
            changed["path"] = _field(path, replace(around, types=around.steps.get(step, ()), elements=""), new_name)
        case MeasureCondition(test=test):
            # What it compares is no attribute, however it is called.
            operands = _renamed(test.operands, around, new_name)
            changed["test"] = test if operands is test.operands else replace(test, operands=operands)
        case Comparison(name=name):
            changed["name"] = _field(name, around, new_name)
        case ElementMatch(name=name):
            changed["name"] = name if name == ITEMS and around.types else _field(name, around, new_name)
            inside = replace(around, elements=changed["name"])
            changed["filter"] = _renamed(part.filter, inside, new_name)
        case (
            AttributeOperand(name=name) | AttributeAtEvent(name=name) | AttributeMeasure(name=name) | Changed(name=name)
        ):
            changed["name"] = new_name(Place(Family.ATTRIBUTE, "", name))
    for one in fields(part):
        if one.name not in changed and one.name != "span":
            old = getattr(part, one.name)
            new = _renamed(old, inside, new_name)
            if new is not old:
                changed[one.name] = new
    changes = {name: value for name, value in changed.items() if value is not getattr(part, name)}
    return replace(part, **changes) if changes else part


def _type(name: str, new_name: NewName) -> str:
    new = new_name(Place(Family.EVENT, "", name))
    return name if name.endswith("*") else new


def _field(name: PartT, around: _Around, new_name: NewName) -> PartT | str:
    if not isinstance(name, str):
        return name
    if around.elements:
        if around.types and around.elements == ITEMS:
            return new_name(Place(Family.ITEM, "", name))
        return new_name(Place(Family.ELEMENT, around.elements, name))
    if not around.types:
        return new_name(Place(Family.ATTRIBUTE, "", name))
    if name.startswith(_LINE):
        return _LINE + new_name(Place(Family.ITEM, "", name.removeprefix(_LINE)))
    answers = [new_name(Place(Family.PARAMETER, type_, name)) for type_ in around.types]
    return next((answer for answer in answers if answer != name), name)
