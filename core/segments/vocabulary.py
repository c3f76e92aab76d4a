"""Which names a rule of a workspace may use: the canonical ones, those seen in its facts, and its saved segments."""

from __future__ import annotations

from collections.abc import Mapping

from core.events.vocabulary import ATTRIBUTES, COMMON_PARAMS, ELEMENTS, EVENTS, ITEM_PARAMS
from core.index.root import Root
from core.query.ast import Rule
from core.query.names import DEFAULT_SETTING, Names, Setting
from core.schema import Kind


def names_of(root: Root, segments: Mapping[str, Rule], zone: str, setting: Setting = DEFAULT_SETTING) -> Names:
    """The vocabulary as of `root`; what was seen wins over nothing, the canonical kinds win over what was seen."""
    events: dict[str, Mapping[str, Kind]] = {}
    learned = root.event_kinds()
    for name in {**learned, **EVENTS}:
        events[name] = {**learned.get(name, {}), **COMMON_PARAMS, **EVENTS.get(name, {})}
    return Names(
        attributes={**root.attribute_kinds(), **ATTRIBUTES},
        events=events,
        items={**root.item_kinds(), **ITEM_PARAMS},
        lists=root.list_names(),
        elements={**root.element_kinds(), **ELEMENTS},
        segments=segments,
        zone=zone,
        setting=setting,
    )
