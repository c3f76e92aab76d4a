"""A root as sections of bytes, and an index back from them. Reading and writing files is the service's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import CdpError, Code
from core.events.columns import MACHINE
from core.index.contacts import ERASED, ContactView
from core.index.dictionary import TextDictionary
from core.index.event_ids import EventIds
from core.index.event_run import EventRun
from core.index.event_ties import EventTies
from core.index.index import Index
from core.index.interner import ListInterner, ListView
from core.index.keys import KeyTable, packed_without
from core.index.product_section import pack_products, unpack_products
from core.index.root import Learned, Root
from core.index.section import Content, Draft, Section, pack, pack_texts, unpack, unpack_texts
from core.index.step_section import pack_steps, unpack_steps
from core.index.table_section import pack_table, text_codes, unpack_table
from core.kernels.ranges import expand_ranges, sorted_unique
from core.schema import Kind, Location

_MANIFEST, _DICTIONARY, _CONTACTS = "manifest", "dictionary", "contacts"
_TEXT_LISTS, _OBJECT_LISTS, _LOCATIONS = "text_lists", "object_lists", "locations"
_PRODUCTS, _TIES, _TELLERS = "products", "ties", "list_tellers"
_EVENTS, _ATTRIBUTES, _LISTS = "events/", "attributes/", "lists/"

#: How sections of events are written; another form is refused, and the index is built from the log.
_EVENT_FORM = 2

Arrays = dict[str, NDArray[Any]]


def encode(root: Root) -> Iterator[Draft]:
    """The sections of a snapshot; the last one, `manifest`, names all others in the order in which they are decoded.

    Texts that no fact holds any more (of erased contacts) are left out.
    """
    names: list[str] = []
    used = _used_by_types(root)
    for section, codes in _content(root):
        for part in codes:
            used[part] = True
        names.append(section.name)
        yield section
    texts = [root.dictionary.text(code) if keep else "" for code, keep in enumerate(used.tolist())]
    dictionary = pack(_DICTIONARY, {**pack_texts(texts), "used": used})
    yield dictionary
    yield pack(_MANIFEST, {}, _manifest(root, [dictionary.name, *names]))


def decode(sections: Iterable[Section | Draft]) -> Index:
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


def forget_texts(index: Index) -> None:
    """Forget the texts that no fact holds any more, those that only the erased had. For the writer, as it must not go
    on meanwhile; it reads every column of texts, so it is worth calling where somebody was erased."""
    root = index.root()
    used = _used_by_types(root)
    for _, codes in _content(root):
        for part in codes:
            used[part] = True
    root.dictionary.keep_only(used)


def _used_by_types(root: Root) -> NDArray[np.bool_]:
    used = np.zeros(len(root.dictionary), np.bool_)
    codes = (root.dictionary.code(type_name) for type_name in root.events)
    used[[code for code in codes if code is not None]] = True
    return used


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


def _content(root: Root) -> Iterator[tuple[Draft, list[NDArray[np.uint32]]]]:
    """Every section that holds facts, with the dictionary codes in it."""
    view = root.contacts
    made_of = (view.count, view.alive, view.earliest, view.known, *view.channels, view.forward, view.keys)
    yield Draft(_CONTACTS, partial(_contact_content, view), made_of), []
    for kind, name, lists in (
        (Kind.TEXT_LIST, _TEXT_LISTS, root.text_lists),
        (Kind.OBJECT_LIST, _OBJECT_LISTS, root.object_lists),
    ):
        held = [steps.values_of_kind(kind) for steps in root.attributes.values()]
        yield _pack_lists(name, lists, sorted_unique(np.concatenate([np.zeros(0, np.int64), *held])))
    yield _pack_locations(root), []
    for name, steps in root.attributes.items():
        yield pack_steps(_ATTRIBUTES + name, steps), [steps.values_of_kind(Kind.TEXT).astype(np.uint32)]
    for name, steps in root.lists.items():
        yield pack_steps(_LISTS + name, steps), []
    if root.products.runs:
        yield pack_products(_PRODUCTS, root.products)
    if root.ties:
        yield pack(_TIES, *_named(*root.ties.arrays())), []
    if root.tellers:
        yield pack(_TELLERS, *_named(*root.tellers.arrays())), []
    for name, event_runs in root.events.items():
        for event_run in event_runs:
            yield _pack_events(name, event_run), [*text_codes(event_run.params), *text_codes(event_run.items)]


def _contact_content(view: ContactView) -> Content:
    everyone = np.arange(view.count, dtype=np.uint32)
    forward = view.forward_of(everyone)
    arrays: Arrays = {
        "earliest": view.earliest_of(everyone),
        "known": view.known.has(everyone),
        "reachable": view.reachable_of(everyone),
        "forward": forward,
    }
    (high, low, form), heap = packed_without(view.keys, forward == ERASED)
    return {**arrays, "key_high": high, "key_low": low, "key_form": form, "key_heap": heap}, {}


def _named(arrays: Arrays, names: list[str]) -> tuple[Arrays, dict[str, Any]]:
    return arrays, {"names": names}


def _pack_lists(name: str, lists: ListView, used: NDArray[np.int64]) -> tuple[Draft, list[NDArray[np.uint32]]]:
    """Lists keep their numbers; those that no contact holds any more are empty and marked."""
    keep = np.zeros(len(lists.offsets) - 1, np.bool_)
    keep[used] = True
    rows, _ = expand_ranges(lists.offsets[used], lists.offsets[used + 1])
    lengths = np.where(keep, np.diff(lists.offsets), 0)
    elements = lists.elements.take(rows)
    arrays, facts = pack_table("elements", elements)
    return pack(name, {"keep": keep, "lengths": lengths, **arrays}, facts), text_codes(elements)


def _pack_locations(root: Root) -> Draft:
    """Locations keep their numbers; those that no contact holds any more are marked."""
    places = np.array([[at.latitude_e7, at.longitude_e7] for at in root.locations], np.int64).reshape(-1, 2)
    keep = np.zeros(len(places), np.bool_)
    for steps in root.attributes.values():
        keep[steps.values_of_kind(Kind.LOCATION)] = True
    places[~keep] = 0
    return pack(_LOCATIONS, {"latitude": places[:, 0], "longitude": places[:, 1], "keep": keep})


def _pack_events(type_name: str, run: EventRun) -> Draft:
    # The name alone says what it is: the run itself is not held by whoever remembers the draft.
    return Draft(f"{_EVENTS}{type_name}/{run.serial}", partial(_event_content, type_name, run), ())


def _event_content(type_name: str, run: EventRun) -> Content:
    params, param_facts = pack_table("params", run.params)
    items, item_facts = pack_table("items", run.items)
    arrays: Arrays = {
        "occurred_at_us": run.occurred_at_us,
        "contacts": run.contacts,
        **run.ids.arrays(),
    }
    if run.flags is not None:
        arrays["flags"] = run.flags
    if run.item_offsets is not None:
        arrays["item_offsets"] = run.item_offsets
    facts = {"form": _EVENT_FORM, "type": type_name, "serial": run.serial, **param_facts, **item_facts}
    return {**arrays, **params, **items}, facts


def _decode_one(index: Index, section: Section | Draft) -> None:
    arrays, facts = unpack(section)
    name = section.name
    if name == _CONTACTS:
        keys = KeyTable()
        keys.load((arrays["key_high"], arrays["key_low"], arrays["key_form"]), arrays["key_heap"])
        index.contacts.load(keys, arrays["earliest"], arrays["known"], arrays["reachable"], arrays["forward"])
    elif name in (_TEXT_LISTS, _OBJECT_LISTS):
        interner: ListInterner = index.attributes.text_lists if name == _TEXT_LISTS else index.attributes.object_lists
        interner.load(arrays["keep"], arrays["lengths"], unpack_table("elements", arrays, facts))
    elif name == _LOCATIONS:
        latitudes, longitudes = arrays["latitude"].tolist(), arrays["longitude"].tolist()
        keep = arrays["keep"].tolist() if "keep" in arrays else [True] * len(latitudes)
        index.attributes.locations.load([Location(*place) for place in zip(latitudes, longitudes, strict=True)], keep)
    elif name == _PRODUCTS:
        index.products.load(unpack_products(section))
    elif name == _TIES:
        index.events.ties = EventTies.of_arrays(arrays, facts["names"])
    elif name == _TELLERS:
        index.attributes.tellers.load(arrays, facts["names"])
    elif name.startswith(_ATTRIBUTES):
        index.attributes.load_attribute(name.removeprefix(_ATTRIBUTES), unpack_steps(section))
    elif name.startswith(_LISTS):
        index.attributes.load_list(name.removeprefix(_LISTS), unpack_steps(section))
    elif name.startswith(_EVENTS):
        index.events.load(facts["type"], _unpack_events(section))


def _unpack_events(section: Section | Draft) -> EventRun:
    arrays, facts = unpack(section)
    if facts.get("form") != _EVENT_FORM:
        raise CdpError(Code.INTERNAL, "SNAPSHOT_DAMAGED", f'section "{section.name}" is written in a form of old')
    # Views of a section are read-only and begin at any byte: kernels would be compiled once more for them, and slower.
    arrays = {name: array.copy() for name, array in arrays.items()}
    flags = arrays.get("flags")
    return EventRun(
        serial=facts["serial"],
        occurred_at_us=arrays["occurred_at_us"],
        contacts=arrays["contacts"],
        flags=flags,
        ids=EventIds.of_arrays(arrays),
        params=unpack_table("params", arrays, facts),
        item_offsets=arrays.get("item_offsets"),
        items=unpack_table("items", arrays, facts),
        has_machine=flags is not None and bool((flags & MACHINE).any()),
    )
