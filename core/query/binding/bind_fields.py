"""The fields that a comparison may name, where it stands: attributes, parameters of events, fields of elements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from core.errors import CdpError
from core.events.vocabulary import COMMON_PARAMS, MESSAGE_PARAMS
from core.query.ast import MessageVerb
from core.query.binding.bind_values import NUMERIC, kind_words
from core.query.edges import MESSAGE_EVENTS
from core.query.names import Names
from core.query.problems import TYPE, UNKNOWN_NAME, problem
from core.query.text.suggest import did_you_mean
from core.schema import Kind

#: The prefix of a path to a field of the lines of an event.
ITEMS = "items"


@dataclass(frozen=True, slots=True)
class Fields:
    """`what`, `of`: how an error calls one of them, before and after its name; `elements`: list -> field -> kind;
    `clashes`: fields that the selected events hold in kinds that cannot meet; `of_contact`: attributes, whose moving
    windows have edges in time; `of_event`: parameters of events or fields of their lines, which have an instant."""

    what: str
    kinds: Mapping[str, Kind]
    elements: Mapping[str, Mapping[str, Kind]] = field(default_factory=dict)
    clashes: Mapping[str, tuple[Kind, Kind]] = field(default_factory=dict)
    of_contact: bool = False
    of: str = ""
    of_event: bool = False

    def kind_of(self, name: str, where: str) -> Kind:
        """The kind of the field. Raises RULE_UNKNOWN_NAME with near names, RULE_TYPE for a clash."""
        if name in self.clashes:
            one, two = (kind_words(kind) for kind in self.clashes[name])
            raise problem(TYPE, where, f'"{name}" is {one} in one of the events and {two} in another.')
        kind = self.kinds.get(name)
        if kind is None:
            raise self.unknown(name, where)
        return kind

    def unknown(self, name: str, where: str) -> CdpError:
        """The error that names near fields, or the lines that have such a field."""
        hint = did_you_mean(name, self.kinds)
        if not hint and name in self.elements.get(ITEMS, {}):
            hint = f'The lines have it: write "any item ({name} ...)".'
        return problem(UNKNOWN_NAME, where, f'unknown {self.what} "{name}"{self.of}.', hint)


def attribute_fields(names: Names) -> Fields:
    """The attributes of contacts, and the fields of the elements of lists."""
    elements: dict[str, dict[str, Kind]] = {
        name: {} for name, kind in names.attributes.items() if kind is Kind.OBJECT_LIST
    }
    for (attribute, part), kind in names.elements.items():
        elements.setdefault(attribute, {})[part] = kind
    return Fields("attribute", names.attributes, elements, of_contact=True)


def event_fields(selected: tuple[str, ...], names: Names, where: str) -> Fields:
    """The parameters of the selected events together. Raises RULE_UNKNOWN_NAME for an event that is not known."""
    types: list[str] = []
    for name in selected:
        known = [name] if name in names.events else []
        if name.endswith("*"):
            known = [other for other in names.events if other.startswith(name[:-1])]
        if not known and name.endswith("*"):
            raise problem(UNKNOWN_NAME, where, f'no event begins with "{name[:-1]}".')
        if not known:
            raise problem(UNKNOWN_NAME, where, f'unknown event "{name}".', did_you_mean(name, names.events))
        types += known
    of = f' of "{selected[0]}"' if len(selected) == 1 else " of these events"
    return _together(of, (names.events[name] for name in types), names)


def message_fields(verb: MessageVerb, names: Names) -> Fields:
    """The parameters of the activity of messages: the canonical ones, and those of the events that tell the verb."""
    own = (names.events.get(event, {}) for event in MESSAGE_EVENTS[verb])
    return _together(" of messages", (MESSAGE_PARAMS, *own), names)


def _together(of: str, params: Iterable[Mapping[str, Kind]], names: Names) -> Fields:
    kinds: dict[str, Kind] = dict(COMMON_PARAMS)
    clashes: dict[str, tuple[Kind, Kind]] = {}
    named: set[str] = set()
    for one in params:
        for name, kind in one.items():
            before = kinds.get(name) if name in named else None
            named.add(name)
            if before is None or before is kind:
                kinds[name] = kind
            elif before in NUMERIC and kind in NUMERIC:
                kinds[name] = Kind.DECIMAL
            else:
                clashes[name] = (before, kind)
    return Fields("parameter", kinds, {ITEMS: names.items}, clashes, of=of, of_event=True)
