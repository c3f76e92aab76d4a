"""A snapshot is the root, as bytes."""

from __future__ import annotations

import pytest

from core.errors import CdpError
from core.index.digest import digest
from core.index.section import Section, pack
from core.index.snapshot import decode, encode
from core.query.ast import AttributeCondition, Compare, Comparison, ElementMatch, InList
from core.schema import DecimalUnits, Instant, Location
from tests.unit.index.small_world import SmallWorld, apply, members, operands

NOW = 10**9


def world() -> SmallWorld:
    made = SmallWorld().contacts(0, 1, 2).contacts(3, known=False, reachable=0)
    made.event(0, "order_completed", 5, {"total": DecimalUnits(5), "tags": ("a", "b")}, ({"sku": "x", "n": 2}, {}))
    made.event(1, "order_completed", 3, {"at": Instant(9), "ok": True, "total": 7}).event(3, "site_visited", 4)
    made.attribute(0, "loyalty_tags", ("gold", "vip")).attribute(1, "loyalty_tags", ())
    made.attribute(2, "children", ({"name": "An", "age": 8}, {"age": 9})).attribute(2, "location", Location(1, 2))
    return made.on_list(1, "vip", True, 2).merge(0, 1)


def test_a_decoded_index_has_the_same_facts_and_goes_on() -> None:
    index = world().index(2, root_each=True)
    root = index.root()
    restored = decode(encode(root))
    assert digest(restored.root()) == digest(root)
    assert restored.root().learned == root.learned
    assert restored.position == root.position
    more = (
        SmallWorld()
        .event(1, "order_completed", 3, {"total": 8}, event_id="new")
        .merge(2, 0)
        .on_list(2, "vip", False, 9)
    )
    more.attribute(2, "loyalty_tags", ("gold", "vip"), 8)
    for one in (index, restored):
        apply(one, more.log, 99)
    assert digest(restored.root()) == digest(index.root())
    assert restored.root().next_log_orders == index.root().next_log_orders


def test_evaluation_after_decoding() -> None:
    root = decode(encode(world().root())).root()
    tags = AttributeCondition(Comparison("loyalty_tags", Compare.HAS_ALL, operands("vip", "gold")))
    assert members(root, tags, NOW) == {0} or members(root, tags, NOW) == set()
    child = ElementMatch("children", (Comparison("age", Compare.GE, operands(9)),))
    assert members(root, AttributeCondition(child), NOW) == {2}
    assert members(root, InList("vip"), NOW) == {0}


def test_event_sections_keep_their_name_while_they_do_not_change() -> None:
    index = world().index()
    first = {section.name: section.data for section in encode(index.root()) if section.name.startswith("events/")}
    apply(index, SmallWorld().event(0, "site_visited", 50).attribute(0, "city", "Kyiv").log, 9)
    second = {section.name: section.data for section in encode(index.root()) if section.name.startswith("events/")}
    shared = set(first) & set(second)
    assert {name for name in shared if name.startswith("events/order_completed/")}
    assert all(first[name] == second[name] for name in shared)


def test_texts_of_erased_contacts_are_in_no_section() -> None:
    made = SmallWorld().contacts(0, 1).event(0, "site_visited", 1, {"url": "/se-cret"})
    made.attribute(0, "tags", ("hid-den",)).attribute(0, "children", ({"name": "chi-ld"},)).attribute(0, "m", "ma-il")
    made.attribute(1, "tags", ("kept",)).erase(0)
    data = b"".join(section.data for section in encode(made.root()))
    assert b"kept" in data
    assert not any(text in data for text in (b"se-cret", b"hid-den", b"chi-ld", b"ma-il", b"key-0"))
    again = decode(encode(made.root()))
    apply(again, SmallWorld().attribute(1, "tags", ("hid-den",), 5).log, 9)
    has = AttributeCondition(Comparison("tags", Compare.HAS_ANY, operands("hid-den")))
    assert members(again.root(), has, NOW) == {1}


def test_damage_is_noticed() -> None:
    sections = list(encode(world().root()))
    with pytest.raises(CdpError, match="no manifest"):
        decode(sections[:-1])
    with pytest.raises(CdpError, match="lacks contacts"):
        decode([section for section in sections if section.name != "contacts"])
    for damage in (b"", b"\0" * 40, sections[0].data[:-1]):
        with pytest.raises(CdpError) as refused:
            decode([Section(sections[0].name, damage), *sections[1:]])
        assert refused.value.reason == "SNAPSHOT_DAMAGED"


def test_events_written_in_another_form_are_refused() -> None:
    sections = list(encode(world().root()))
    place = next(k for k, section in enumerate(sections) if section.name.startswith("events/"))
    sections[place] = pack(sections[place].name, {}, {"type": "order_completed", "serial": 1})
    with pytest.raises(CdpError, match="a form of old"):
        decode(sections)
