"""Events of several types with one instant and one id keep the order of the log."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from core.events.columns import Event
from core.index import tied_events
from core.index.digest import digest
from core.index.event_ids import EventIds
from core.index.event_ties import EventTies, Key
from core.index.index import Index
from core.index.root import Root
from core.index.snapshot import decode, encode
from core.query.ast import Compare, Comparison, EventAggregate, EventSelection, Function, PickedEvent
from core.query.explain import matching_events
from tests.unit.index.small_world import SmallWorld, apply, members, operands

SEED = 417
NOW = 10**9


def tied(root: Root) -> dict[Key, tuple[str, ...]]:
    return root.ties.all()


def expected(world: SmallWorld, erased: Iterable[int] = ()) -> dict[Key, tuple[str, ...]]:
    """What the contract says: the types of the events of a key in log order, of keys of several types."""
    names: dict[Key, list[str]] = {}
    for line in world.log:
        if isinstance(line, tuple) and line[0] not in set(erased):
            event: Event = line[1]
            names.setdefault((event.occurred_at_us, event.id.encode()), []).append(event.type)
    return {key: tuple(types) for key, types in names.items() if len(set(types)) > 1}


def restarted(world: SmallWorld, entry_facts: int, random_: random.Random) -> Index:
    """The log in entries of that size; here and there a root is published, or the index restarted from a snapshot."""
    index = Index()
    for first in range(0, len(world.log), entry_facts):
        apply(index, world.log[first : first + entry_facts], first + 1)
        if random_.random() < 0.5:
            index.root()
        if random_.random() < 0.2:
            index = decode(encode(index.root()))
    return index


def resent() -> SmallWorld:
    """Message m came as `view`, again as `buy`, as `add`, and as `view` once more; n the other way round."""
    world = SmallWorld().contacts(0, 1, 2)
    for number, name in enumerate(("view", "buy", "add", "view")):
        world.event(0, name, 5, {"n": number}, event_id="m")
    for number, name in enumerate(("view", "add", "buy")):
        world.event(1, name, 5, {"n": number}, event_id="n")
    return world.event(2, "view", 5, {"n": 0}, event_id="o").event(2, "buy", 6, {"n": 1}, event_id="o")


@pytest.mark.parametrize("entry_facts", (1, 2, 3, 100))
def test_the_last_accepted_is_the_later_one(entry_facts: int) -> None:
    index = resent().index(entry_facts, root_each=True)
    for root in (index.root(), decode(encode(index.root())).root()):
        assert tied(root) == {(5, b"m"): ("view", "buy", "add", "view"), (5, b"n"): ("view", "add", "buy")}
        for contact, types in ((0, ("view", "buy", "add", "view")), (1, ("view", "add", "buy"))):
            for names in (("view", "buy"), ("add", "buy"), ("add", "view"), ("add", "buy", "view")):
                places = [place for place, name in enumerate(types) if name in names]
                for first, place in ((True, places[0]), (False, places[-1])):
                    is_it = PickedEvent(
                        EventSelection(names), (Comparison("n", Compare.EQ, operands(place)),), first=first
                    )
                    assert contact in members(root, is_it, NOW), (contact, names, first)
                    function = Function.FIRST if first else Function.LAST
                    value = EventAggregate(function, "n", EventSelection(names), Compare.EQ, operands(place))
                    assert contact in members(root, value, NOW), (contact, names, function)
        assert matching_events(EventSelection(("view", "buy")), root, 0, NOW, "UTC", 9) == ("m", "m", "m")


def test_of_equally_frequent_values_the_last_accepted_one_is_taken() -> None:
    world = (
        SmallWorld().contacts(0).event(0, "view", 5, {"n": 7}, event_id="m").event(0, "buy", 5, {"n": 8}, event_id="m")
    )
    for root in (world.root(), world.root(1, root_each=True)):
        both = EventSelection(("view", "buy"))
        assert members(root, EventAggregate(Function.MOST_FREQUENT, "n", both, Compare.EQ, operands(8)), NOW) == {0}


def test_the_digest_tells_the_order_and_not_how_it_came() -> None:
    orders = [("view", "buy"), ("buy", "view")]
    digests = []
    for names in orders:
        world = SmallWorld().contacts(0)
        for name in names:
            world.event(0, name, 5, event_id="m")
        assert digest(world.root()) == digest(world.root(1, root_each=True))
        digests.append(digest(world.root()))
    assert digests[0] != digests[1]


def test_a_root_keeps_its_ties() -> None:
    index = resent().index()
    before = index.root()
    held = tied(before)
    apply(index, SmallWorld().event(1, "add", 5, event_id="m").event(2, "add", 6, event_id="o").erase(0).log, 99)
    after = index.root()
    assert tied(before) == held
    assert tied(after) == {(5, b"n"): ("view", "add", "buy"), (6, b"o"): ("buy", "add")}


def test_ties_of_the_erased_are_gone() -> None:
    world = resent().event(1, "buy", 5, event_id="m").event(2, "view", 5, event_id="m").event(0, "add", 5, event_id="n")
    assert tied(world.root())[(5, b"m")] == ("view", "buy", "add", "view", "buy", "view")
    root = world.erase(0).root(1, root_each=True)
    assert tied(root) == {(5, b"m"): ("buy", "view"), (5, b"n"): ("view", "add", "buy")}
    root = world.erase(2).root(1, root_each=True)
    assert tied(root) == {(5, b"n"): ("view", "add", "buy")}
    assert not any(b'"ties"' in section.data or section.name == "ties" for section in encode(world.erase(1).root()))


def test_a_snapshot_without_the_section_has_no_ties() -> None:
    sections = list(encode(SmallWorld().contacts(0).event(0, "view", 5).root()))
    assert "ties" not in {section.name for section in sections}
    assert not decode(sections).root().ties


@pytest.mark.parametrize("few", (0, 8))
@pytest.mark.parametrize("form", ("bytes", "uuid", "mixed"))
def test_random_logs_in_all_batchings(form: str, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    print(f"seed {SEED}")
    monkeypatch.setattr(tied_events, "_FEW", few)
    monkeypatch.setattr(tied_events, "_LOOKED_UP", 64 if few else 10**9)
    random_ = random.Random(SEED)
    ids = [str(uuid.UUID(int=random_.getrandbits(128))) for _ in range(6)] if form != "bytes" else []
    ids += ["", "a", "a\0", "ä", "order-1"] if form != "uuid" else []
    for _ in range(12):
        world, erased = SmallWorld().contacts(*range(6)), set()
        for _ in range(random_.randrange(5, 120)):
            at_us = random_.randrange(3)
            world.event(random_.randrange(6), random_.choice("abcd"), at_us, event_id=random_.choice(ids))
        if random_.random() < 0.5:
            world.merge(0, 1)
        if random_.random() < 0.7:
            erased = {random_.choice((2, 3))}
            world.erase(*erased)
            for _ in range(9):
                world.event(random_.choice((2, 3, 4)), random_.choice("abcd"), 1, event_id=random_.choice(ids))
        wanted = expected(world, erased)
        for entry_facts in (1, 3, 17, 10**6):
            root = restarted(world, entry_facts, random_).root()
            assert tied(root) == wanted
            check_places(root, wanted)


def check_places(root: Root, wanted: dict[Key, tuple[str, ...]]) -> None:
    """Every event that is tied has a place of its own, and that place is one of its type."""
    found: dict[Key, list[tuple[int, str]]] = {}
    for name, runs in root.events.items():
        for run in runs:
            for row in range(len(run)):
                key = (int(run.occurred_at_us[row]), run.ids.at(row))
                if key in wanted:
                    found.setdefault(key, []).append((root.ties.place(name, runs, run, row), name))
    assert {key: tuple(name for _, name in sorted(places)) for key, places in found.items()} == wanted
    assert all(sorted(place for place, _ in places) == list(range(len(places))) for places in found.values())


def test_layers_are_few_and_the_newest_counts() -> None:
    ties = EventTies()
    for number in range(1000):
        ties = ties.with_types({(number // 2, b"m"): ("a", "b") if number % 2 == 0 else ("a", "b", "a")})
        assert ties.types((number // 2, b"m"))[2:] == (("a",) if number % 2 else ())
    assert len(ties.all()) == 500
    assert len(ties.layers) < 12
    assert ties.types((500, b"m")) == ()
    arrays, names = ties.arrays()
    assert EventTies.of_arrays(arrays, names).all() == ties.all()


def test_words_are_those_of_the_bytes() -> None:
    texts: Sequence[str] = ("", "a", "a\0", "b", "a", "", str(uuid.UUID(int=5)))
    words = tied_events._words(np.zeros(len(texts), np.int64), EventIds.of_texts(tuple(texts)))
    assert len(set(words.tolist())) == len(set(texts))
    assert words[1] == words[4]
