"""The index against plain dicts: whatever the order of batches, merges, erasures, snapshots and published roots."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from core.events.columns import MACHINE, Event
from core.events.facts import AttributeWrite, ContactState, Erasure, ListChange, Merge, ProductState
from core.index.digest import digest
from core.index.index import Index
from core.index.root import Root
from core.index.snapshot import decode, encode
from core.schema import DecimalUnits, Instant, Scalar
from tests.generators.world import Happened, Logged, batch
from tests.property.index_model import ATTRIBUTES, EVENT_TYPES, LISTS, after, digest_at_once, held, totals

#: Few, so that merges and late facts meet; instants come equal, early and late.
CONTACTS = st.integers(0, 7)
INSTANTS = st.integers(0, 12)
VALUES: dict[str, st.SearchStrategy[Scalar | None]] = {
    "city": st.one_of(st.none(), st.sampled_from(("Kyiv", "", "Lviv"))),
    "visits": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.integers(0, 3)),
    "seen": st.one_of(st.none(), st.builds(Instant, INSTANTS)),
}


@st.composite
def events(draw: st.DrawFn) -> Happened:
    """An event of anybody, merged and erased contacts included."""
    params: dict[str, Scalar | tuple[str, ...]] = {}
    if draw(st.booleans()):
        params["n"] = draw(st.integers(0, 2**40))
    if draw(st.booleans()):
        params["price"] = DecimalUnits(draw(st.integers(0, 99_999)))
    lines = draw(st.lists(st.fixed_dictionaries({"sku": st.sampled_from(("a", "b"))}), max_size=2))
    made = Event(
        id=f"e{draw(st.integers(0, 5))}",
        type=draw(st.sampled_from(EVENT_TYPES)),
        occurred_at_us=draw(INSTANTS),
        received_at_us=0,
        params=params,
        items=tuple(lines),
        flags=MACHINE if draw(st.integers(0, 5)) == 0 else 0,
    )
    return Happened(draw(CONTACTS), made)


@st.composite
def writes(draw: st.DrawFn) -> AttributeWrite:
    """A write of an attribute, also late, also of contacts that are gone."""
    name = draw(st.sampled_from(ATTRIBUTES))
    return AttributeWrite(draw(CONTACTS), name, draw(VALUES[name]), draw(INSTANTS), False, 0)


@st.composite
def products(draw: st.DrawFn) -> ProductState:
    """Something said of a product."""
    fields: dict[str, Scalar] = {"stock": draw(st.integers(0, 3))} if draw(st.booleans()) else {}
    return ProductState(draw(st.sampled_from(("a", "b"))), fields, draw(INSTANTS), 0)


class IndexMachine(RuleBasedStateMachine):
    """An index, the log that it was given, and roots published on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.index = Index()
        self.log: tuple[Logged, ...] = ()
        self.position = 0
        self.gone: set[int] = set()
        self.pinned: list[tuple[Root, int, str]] = []

    def give(self, *lines: Logged) -> None:
        """One batch."""
        self.position += 1
        made = batch(lines, self.position)
        self.index.apply(made.events, made.facts, self.position)
        self.log += lines

    def alive(self, contact: int) -> bool:
        return contact not in self.gone

    @rule(lines=st.lists(st.one_of(events(), writes(), products()), min_size=1, max_size=8))
    def facts(self, lines: list[Logged]) -> None:
        """Facts of anybody, in one batch or one by one."""
        self.give(*lines)

    @rule(lines=st.lists(events(), min_size=1, max_size=4))
    def events_one_by_one(self, lines: list[Logged]) -> None:
        for line in lines:
            self.give(line)

    @rule(contact=CONTACTS, known=st.booleans(), reachable=st.integers(0, 63), us=INSTANTS)
    def state(self, contact: int, known: bool, reachable: int, us: int) -> None:
        """Unification speaks of contacts that are."""
        if self.alive(contact):
            self.give(ContactState(contact, f"c{contact}", known, reachable, us, 0))

    @rule(contact=CONTACTS, name=st.sampled_from(LISTS), member=st.booleans(), us=INSTANTS)
    def list_change(self, contact: int, name: str, member: bool, us: int) -> None:
        if self.alive(contact):
            self.give(ListChange(contact, name, member, us, False, 0))

    @rule(survivor=CONTACTS, loser=CONTACTS, more=st.lists(events(), max_size=2))
    def merge(self, survivor: int, loser: int, more: list[Logged]) -> None:
        """In the middle of a batch."""
        if survivor != loser and self.alive(survivor) and self.alive(loser):
            self.gone.add(loser)
            self.give(*more, Merge(survivor, loser, 0), *more)

    @rule(contact=CONTACTS)
    def erase(self, contact: int) -> None:
        if self.alive(contact):
            self.gone.add(contact)
            self.give(Erasure(contact, 0))

    @rule()
    def restart_from_a_snapshot(self) -> None:
        self.index = decode(encode(self.index.root()))

    @rule()
    def publish(self) -> None:
        root = self.index.root()
        assert root is self.index.root()
        self.pinned.append((root, len(self.log), digest(root)))

    @rule()
    def now(self) -> None:
        """The present root is what the log says, and nobody could tell how it came about."""
        check(self.index.root(), self.log)

    @precondition(lambda self: bool(self.pinned))
    @rule(data=st.data())
    def then(self, data: st.DataObject) -> None:
        """A root that was published earlier stays as it was."""
        root, lines, digested = data.draw(st.sampled_from(self.pinned))
        assert digest(root) == digested
        check(root, self.log[:lines])

    def teardown(self) -> None:
        check(self.index.root(), self.log)
        for root, lines, _ in self.pinned[-2:]:
            check(root, self.log[:lines])


def check(root: Root, log: tuple[Logged, ...]) -> None:
    """The root holds what the log says, in every way of asking."""
    expected: dict[str, Any] = after(log)
    got = held(root, expected)
    for part, wanted in expected.items():
        assert got[part] == wanted, (part, log)
    sums: dict[int, int] = {}
    for contact, *_, n in expected["events"]:
        if n is not None:
            sums[contact] = sums.get(contact, 0) + n
    assert totals(root) == sums, log
    assert digest(root) == digest_at_once(log), log


TestIndexMachine = IndexMachine.TestCase
TestIndexMachine.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
