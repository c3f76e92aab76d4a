"""A root as sections of bytes, and an index back from them. Reading and writing files is the service's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import CdpError, Code
from core.events.columns import MACHINE
from core.index.contacts import ERASED
from core.index.dictionary import TextDictionary
from core.index.event_run import EventRun
from core.index.index import Index
from core.index.interner import ListInterner, ListView
from core.index.root import Learned, Root
from core.index.section import Section, pack, pack_texts, unpack, unpack_texts
from core.index.steps import StepRun, step_run
from core.index.table_section import pack_table, text_codes, unpack_table
from core.kernels.ranges import expand_ranges, sorted_unique
from core.schema import Kind, Location

_MANIFEST, _DICTIONARY, _CONTACTS = "manifest", "dictionary", "contacts"
_TEXT_LISTS, _OBJECT_LISTS, _LOCATIONS = "text_lists", "object_lists", "locations"
_EVENTS, _ATTRIBUTES, _LISTS = "events/", "attributes/", "lists/"

Arrays = dict[str, NDArray[Any]]


def encode(root: Root) -> Iterator[Section]:
    """The sections of a snapshot; the last one, `manifest`, names all others in the order in which they are decoded.

    Texts that no fact holds any more (of erased contacts) are left out.
    """
    names: list[str] = []
    used = np.zeros(len(root.dictionary), np.bool_)
    for section, codes in _content(root):
        for part in codes:
            used[part] = True
        names.append(section.name)
        yield section
    for type_name in root.events:
        code = root.dictionary.code(type_name)
        if code is not None:
            used[code] = True
    texts = [root.dictionary.text(code) if keep else "" for code, keep in enumerate(used.tolist())]
    dictionary = pack(_DICTIONARY, {**pack_texts(texts), "used": used})
    yield dictionary
    yield pack(_MANIFEST, {}, _manifest(root, [dictionary.name, *names]))


def decode(sections: Iterable[Section]) -> Index:
    """The index that a snapshot holds, ready to go on after its position.

    Raises CdpError where a section is missing or damaged.
    """
    by_name = {section.name: section for section in sections}
    if _MANIFEST not in by_name:
        raise CdpError(Code.INTERNAL, "SNAPSHOT_DAMAGED", "the snapshot has no manifest")
    _, manifest = unpack(by_name[_MANIFEST])
    missing = [name for name in manifest["sections"] if name not in by_name]
    if missing:
        raise CdpError(Code.INTERNAL, "SNAPSHOT_DAMAGED", f"the snapshot lacks {', '.join(missing[:5])}")
    arrays, _ = unpack(by_name[_DICTIONARY])
    texts = zip(unpack_texts(arrays), arrays["used"].tolist(), strict=True)
    index = Index(TextDictionary(text if keep else None for text, keep in texts))
    for name in manifest["sections"]:
        _decode_one(index, by_name[name])
    learned = Learned(
        attributes={name: Kind(kind) for name, kind in manifest["attribute_kinds"].items()},
        elements={(name, field): Kind(kind) for name, field, kind in manifest["element_kinds"]},
        events={
            name: {param: Kind(kind) for param, kind in kinds.items()}
            for name, kinds in manifest["event_kinds"].items()
        },
        items={name: Kind(kind) for name, kind in manifest["item_kinds"].items()},
    )
    index.restore(manifest["position"], manifest["version"], learned, tuple(manifest["next_log_orders"]))
    return index


def _manifest(root: Root, names: list[str]) -> dict[str, object]:
    learned = root.learned
    return {
        "sections": names,
        "position": root.position,
        "version": root.version,
        "next_log_orders": list(root.next_log_orders),
        "attribute_kinds": {name: int(kind) for name, kind in learned.attributes.items()},
        "element_kinds": [[name, field, int(kind)] for (name, field), kind in learned.elements.items()],
        "event_kinds": {
            name: {param: int(kind) for param, kind in kinds.items()} for name, kinds in learned.events.items()
        },
        "item_kinds": {name: int(kind) for name, kind in learned.items.items()},
    }


def _content(root: Root) -> Iterator[tuple[Section, list[NDArray[np.uint32]]]]:
    """Every section that holds facts, with the dictionary codes in it."""
    view = root.contacts
    arrays: Arrays = {
        "earliest": view.earliest.all(),
        "known": view.known.all(),
        "reachable": view.reachable.all(),
        "forward": view.forward.all(),
    }
    erased = (view.forward.all() == ERASED).tolist()
    keys = ["" if gone else key for key, gone in zip(root.keys, erased, strict=False)]
    yield pack(_CONTACTS, {**arrays, **pack_texts(keys)}), []
    runs = {name: step_run(steps.runs) for name, steps in root.attributes.items() if steps.runs}
    for kind, name, lists in (
        (Kind.TEXT_LIST, _TEXT_LISTS, root.text_lists),
        (Kind.OBJECT_LIST, _OBJECT_LISTS, root.object_lists),
    ):
        held = [run.values[run.kinds == kind] for run in runs.values()]
        yield _pack_lists(name, lists, sorted_unique(np.concatenate([np.zeros(0, np.int64), *held])))
    places = np.array([[at.latitude_e7, at.longitude_e7] for at in root.locations], np.int64).reshape(-1, 2)
    yield pack(_LOCATIONS, {"latitude": places[:, 0], "longitude": places[:, 1]}), []
    for name, run in runs.items():
        codes = run.values[run.kinds == Kind.TEXT].astype(np.uint32)
        yield _pack_steps(_ATTRIBUTES + name, run), [codes]
    for name, steps in root.lists.items():
        if steps.runs:
            yield _pack_steps(_LISTS + name, step_run(steps.runs)), []
    for name, event_runs in root.events.items():
        for event_run in event_runs:
            yield _pack_events(name, event_run), [*text_codes(event_run.params), *text_codes(event_run.items)]


def _pack_steps(name: str, run: StepRun) -> Section:
    contacts, at_us, log_order, kinds, values = run.columns()
    arrays: Arrays = {"contacts": contacts, "at_us": at_us, "log_order": log_order, "kinds": kinds, "values": values}
    return pack(name, arrays)


def _pack_lists(name: str, lists: ListView, used: NDArray[np.int64]) -> tuple[Section, list[NDArray[np.uint32]]]:
    """Lists keep their numbers; those that no contact holds any more are empty and marked."""
    keep = np.zeros(len(lists.offsets) - 1, np.bool_)
    keep[used] = True
    rows, _ = expand_ranges(lists.offsets[used], lists.offsets[used + 1])
    lengths = np.where(keep, np.diff(lists.offsets), 0)
    elements = lists.elements.take(rows)
    arrays, facts = pack_table("elements", elements)
    return pack(name, {"keep": keep, "lengths": lengths, **arrays}, facts), text_codes(elements)


def _pack_events(type_name: str, run: EventRun) -> Section:
    params, param_facts = pack_table("params", run.params)
    items, item_facts = pack_table("items", run.items)
    arrays: Arrays = {
        "occurred_at_us": run.occurred_at_us,
        "contacts": run.contacts,
        "flags": run.flags,
        "log_order": run.log_order,
        "id_offsets": run.id_offsets,
        "id_bytes": run.id_bytes,
        "item_offsets": run.item_offsets,
    }
    facts = {"type": type_name, "serial": run.serial, **param_facts, **item_facts}
    return pack(f"{_EVENTS}{type_name}/{run.serial}", {**arrays, **params, **items}, facts)


def _decode_one(index: Index, section: Section) -> None:
    arrays, facts = unpack(section)
    name = section.name
    if name == _CONTACTS:
        index.contacts.load(
            unpack_texts(arrays), arrays["earliest"], arrays["known"], arrays["reachable"], arrays["forward"]
        )
    elif name in (_TEXT_LISTS, _OBJECT_LISTS):
        interner: ListInterner = index.attributes.text_lists if name == _TEXT_LISTS else index.attributes.object_lists
        interner.load(arrays["keep"], arrays["lengths"], unpack_table("elements", arrays, facts))
    elif name == _LOCATIONS:
        for latitude, longitude in zip(arrays["latitude"].tolist(), arrays["longitude"].tolist(), strict=True):
            index.attributes.locations.number(Location(latitude, longitude))
    elif name.startswith(_ATTRIBUTES):
        index.attributes.load_attribute(name.removeprefix(_ATTRIBUTES), _unpack_steps(section))
    elif name.startswith(_LISTS):
        index.attributes.load_list(name.removeprefix(_LISTS), _unpack_steps(section))
    elif name.startswith(_EVENTS):
        index.events.load(facts["type"], _unpack_events(section))


def _unpack_steps(section: Section) -> StepRun:
    arrays, _ = unpack(section)
    return StepRun(arrays["contacts"], arrays["at_us"], arrays["log_order"], arrays["kinds"], arrays["values"])


def _unpack_events(section: Section) -> EventRun:
    arrays, facts = unpack(section)
    return EventRun(
        serial=facts["serial"],
        occurred_at_us=arrays["occurred_at_us"],
        contacts=arrays["contacts"],
        flags=arrays["flags"],
        log_order=arrays["log_order"],
        id_offsets=arrays["id_offsets"],
        id_bytes=arrays["id_bytes"],
        params=unpack_table("params", arrays, facts),
        item_offsets=arrays["item_offsets"],
        items=unpack_table("items", arrays, facts),
        has_machine=bool((arrays["flags"] & MACHINE).any()),
    )
