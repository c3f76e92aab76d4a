"""Events that turn out to be a machine's after they were folded."""

from __future__ import annotations

from core.events.columns import MACHINE
from core.events.facts import MachineMark, MarkedEvent
from core.index.index import Index
from core.index.root import Root
from core.index.snapshot import decode, encode
from tests.unit.index.small_world import SmallWorld, apply


def mark(contact: int, *events: tuple[str, int]) -> MachineMark:
    return MachineMark(contact, tuple(MarkedEvent(*one) for one in events), "every_link", 99, False, 0)


def machines(root: Root) -> set[str]:
    """Ids of the events that a machine made."""
    return {
        run.event_id(row)
        for runs in root.events.values()
        for run in runs
        for row in range(len(run))
        if run.flags is not None and run.flags[row] & MACHINE
    }


def world() -> SmallWorld:
    made = SmallWorld().contacts(1, 2)
    made.event(1, "message_opened", 10, event_id="a").event(1, "message_clicked", 10, event_id="b")
    return made.event(2, "message_opened", 10, event_id="a").event(1, "message_opened", 11, event_id="c")


def test_a_mark_means_its_own_contacts_event_of_that_id_and_instant() -> None:
    made = world()
    made.log.append(mark(1, ("a", 10), ("c", 10), ("b", 10), ("unknown", 5)))
    for size in (1, 2, 100):
        for root_each in (False, True):
            root = made.root(size, root_each=root_each)
            marked = {
                (run.event_id(row), int(run.contacts[row]))
                for runs in root.events.values()
                for run in runs
                for row in range(len(run))
                if run.flags is not None and run.flags[row] & MACHINE
            }
            assert marked == {("a", 1), ("b", 1)}, (size, root_each)


def test_an_event_after_the_mark_is_not_meant() -> None:
    made = SmallWorld().contacts(1)
    made.log.append(mark(1, ("late", 10)))
    made.event(1, "message_opened", 10, event_id="late")
    for size in (1, 100):
        assert machines(made.root(size)) == set()


def test_a_mark_before_a_merge_speaks_of_its_contact_alone() -> None:
    made = world()
    made.log.append(mark(2, ("c", 11)))
    made.merge(2, 1)
    for size in (1, 100):
        assert machines(made.root(size)) == set()
    made.log.append(mark(2, ("c", 11)))
    for size in (1, 100):
        assert machines(made.root(size)) == {"c"}


def test_events_of_one_entry_around_a_mark_and_a_merge() -> None:
    made = SmallWorld().contacts(1, 2, 3)
    made.event(1, "message_opened", 10, event_id="a")
    made.log.append(mark(1, ("a", 10)))
    made.merge(2, 3)
    made.event(1, "message_clicked", 20, event_id="b")
    made.log.append(mark(1, ("b", 20), ("c", 30)))
    made.event(1, "message_clicked", 30, event_id="c")
    for size in (1, 3, 100):
        assert machines(made.root(size)) == {"a", "b"}, size


def test_older_roots_keep_what_they_said_and_a_snapshot_keeps_the_mark() -> None:
    made = world()
    index = Index()
    apply(index, made.log, 1)
    before = index.root()
    apply(index, [mark(1, ("a", 10))], 2)
    after = index.root()
    assert (machines(before), machines(after)) == (set(), {"a"})
    assert machines(decode(encode(after)).root()) == {"a"}
