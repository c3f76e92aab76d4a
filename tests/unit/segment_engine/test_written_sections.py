"""Sections that are on disk are not made again, and those that changed always are."""

from __future__ import annotations

from core.index.index import Index
from core.index.snapshot import encode
from services.segment_engine.written_sections import Written, WrittenSections
from tests.unit.index.small_world import SmallWorld, apply


def made_anew(written: WrittenSections, index: Index) -> set[str]:
    """The names of the sections that the next snapshot has to make, which are then written."""
    found = set()
    for draft in encode(index.root()):
        if written.same(draft) is None:
            found.add(draft.name.split("/")[0])
            written.remember(draft, Written("", 0))
    return found


def test_only_what_changed_is_made_again() -> None:
    index, written = Index(), WrittenSections()
    apply(index, SmallWorld().contacts(0, 1).attribute(0, "city", "Kyiv").event(0, "site_visited", 5).log, 1)
    first = made_anew(written, index)
    assert {"contacts", "attributes", "events", "manifest"} <= first
    always = made_anew(written, index)
    assert always.isdisjoint({"contacts", "attributes", "events"}), "the same version again"
    apply(index, SmallWorld().event(0, "cart_updated", 6).log, 2)
    assert made_anew(written, index) - always == {"events"}
    apply(index, SmallWorld().attribute(1, "city", "Lviv", 7).log, 3)
    assert "attributes" in made_anew(written, index)
    apply(index, SmallWorld().contacts(2).log, 4)
    assert "contacts" in made_anew(written, index)


def test_a_loaded_manifest_tells_the_sections_of_events() -> None:
    index = Index()
    apply(index, SmallWorld().contacts(0).event(0, "site_visited", 5).log, 1)
    parts = [{"name": draft.name, "sha256": draft.name, "bytes": 9} for draft in encode(index.root())]
    written = WrittenSections.read(parts)
    known = {draft.name for draft in encode(index.root()) if written.same(draft) == Written(draft.name, 9)}
    assert known == {part["name"] for part in parts if str(part["name"]).startswith("events/")} != set()
    written.keep_only(set())
    assert all(written.same(draft) is None for draft in encode(index.root()))
