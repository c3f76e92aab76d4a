"""Taking merges back, in any order and between any facts, leaves people as if those merges had never been allowed."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from core.events.columns import Event, Identifier
from core.events.facts import AttributeWrite, ContactState, ListChange, Merge, Unmerge
from core.identity.normalise import usable
from core.identity.rules import DEFAULT_KINDS, MIRRORED_KINDS, IdentityRules
from core.profile.accepted import ProfileUpdate
from core.profile.parts import survivor_and_loser
from core.profile.profile import Edge
from tests.property.test_identity import assert_sound, contradicting, story
from tests.unit.profile.people import Item, T, World, event, separation, update

SEEDS = st.integers(0, 2**32 - 1)
RULES = IdentityRules()
Digest = frozenset[Any]


@dataclass
class Plain:
    """Identity without limits, with plain dicts: every part by itself, and the pairs that are one person. `forbidden`
    are pairs of parts that are never in one person."""

    forbidden: set[frozenset[int]] = field(default_factory=set)
    strong: dict[Identifier, int] = field(default_factory=dict)
    weak: dict[Identifier, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    parts: dict[int, list[Item]] = field(default_factory=dict)
    named: dict[int, set[Identifier]] = field(default_factory=lambda: defaultdict(set))
    edges: list[tuple[int, int]] = field(default_factory=list)
    refused: set[frozenset[int]] = field(default_factory=set)

    def person(self, part: int) -> set[int]:
        """All parts of one person."""
        found, waiting = {part}, [part]
        while waiting:
            here = waiting.pop()
            near = {b if a == here else a for a, b in self.edges if here in (a, b)} - found
            found |= near
            waiting += near
        return found

    def take(self, item: Item) -> None:
        """One fact, in the order of the log."""
        names = usable(_identifiers(item), RULES)
        strong = [one for one in names if DEFAULT_KINDS[one.kind].strong]
        weak = [one for one in names if one not in strong]
        part: int | None = None
        new = [one for one in strong if one not in self.strong]
        for one in strong:
            if one in self.strong:
                part = self._join(part, self.strong[one])
        by_strong = part is not None or bool(new)
        holders = {one: self._holder(one, item.occurred_at_us) for one in weak}
        moved = []
        for one in sorted(weak, key=lambda one: self._rank(holders[one])):
            held = holders[one]
            if held is None:
                new.append(one)
                continue
            mine = bool(new) if part is None else self._strong_person(part) or bool(set(new) & set(strong))
            if not self._strong_person(held) or not mine:
                part = self._join(part, held)
            if by_strong and part != held:
                moved.append(one)
        if part is None:
            part = len(self.parts) + 1
            self.parts[part] = []
        self.parts[part].append(item)
        self.named[part].update(new, moved)
        self.strong.update((one, part) for one in new if one in strong)
        for one in (*moved, *(one for one in new if one not in strong)):
            self._use(one, item.occurred_at_us, part)

    def cut(self, a: int, b: int) -> set[frozenset[int]]:
        """Take the pair apart; returns the pairs that are never one person from now on."""
        self.edges = [pair for pair in self.edges if set(pair) != {a, b}]
        pairs = {frozenset((one, other)) for one in self.person(a) for other in self.person(b)}
        self.forbidden |= pairs
        return pairs

    def _join(self, part: int | None, other: int) -> int:
        if part is None:
            return other
        mine, theirs = self.person(part), self.person(other)
        pairs = {frozenset((one, two)) for one in mine for two in theirs}
        if pairs & self.forbidden:
            self.refused.add(frozenset((part, other)))
        elif other not in mine:
            self.edges.append((part, other))
        return part

    def _rank(self, held: int | None) -> int:
        if held is None:
            return 2
        return 0 if self._is_strong(held) else 1

    def _is_strong(self, part: int) -> bool:
        return any(DEFAULT_KINDS[one.kind].strong for one in self.named[part])

    def _strong_person(self, part: int) -> bool:
        return any(self._is_strong(one) for one in self.person(part))

    def _holder(self, one: Identifier, at_us: int) -> int | None:
        history = sorted(self.weak[one])
        if not history:
            return None
        return ([part for from_us, part in history if from_us <= at_us] or [history[0][1]])[-1]

    def _use(self, one: Identifier, at_us: int, part: int) -> None:
        if self._holder(one, at_us) != part or not self.weak[one]:
            self.weak[one].append((at_us, part))

    def digest(self) -> Digest:
        """People by what they are."""
        people = {frozenset(self.person(part)) for part in self.parts}
        return frozenset(
            _digest(
                set().union(*(self.named[part] for part in person)),
                [item for part in person for item in self.parts[part]],
            )
            for person in people
        )


def _digest(identifiers: set[Identifier], items: list[Item]) -> tuple[Any, ...]:
    facts = sorted((item for item in items if not isinstance(item, Event)), key=lambda item: item.occurred_at_us)
    attributes: dict[str, tuple[Any, int]] = {}
    consents: dict[str, tuple[str, int]] = {}
    writes, lists = [], set()
    for item in facts:
        assert isinstance(item.fact, ProfileUpdate)
        attributes.update((name, (value, item.occurred_at_us)) for name, value in item.fact.attributes.items())
        writes += [(name, value, item.occurred_at_us) for name, value in item.fact.attributes.items()]
        consents.update((one.channel, (one.state, item.occurred_at_us)) for one in item.fact.consents)
        lists |= {name for name, _ in item.fact.lists}
    return (
        frozenset(identifiers),
        frozenset(attributes.items()),
        frozenset(consents.items()),
        frozenset(lists),
        frozenset(writes),
        frozenset(item.id for item in items if isinstance(item, Event)),
        min(item.occurred_at_us for item in items),
    )


@dataclass
class Reader:
    """What a follower of unification's log knows, who does what the log says and nothing else."""

    events: dict[int, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    writes: dict[int, list[tuple[str, Any, int]]] = field(default_factory=lambda: defaultdict(list))
    moves: dict[int, list[tuple[str, bool, int]]] = field(default_factory=lambda: defaultdict(list))
    states: dict[int, ContactState] = field(default_factory=dict)

    def read(self, world: World) -> Reader:
        """Follow the whole log."""
        for folded in world.log:
            assert folded.events.contacts is not None
            facts = list(folded.facts)
            rows = zip(folded.events.contacts.tolist(), folded.events.ids, folded.events.occurred_at_us, strict=True)
            for row, (contact, event_id, at_us) in enumerate(rows):
                while facts and facts[0].before_event <= row:
                    self._fact(facts.pop(0))
                self.events[contact][event_id] = int(at_us)
            for fact in facts:
                self._fact(fact)
        return self

    def _fact(self, fact: Any) -> None:
        match fact:
            case AttributeWrite():
                self.writes[fact.contact].append((fact.name, fact.value, fact.occurred_at_us))
            case ListChange():
                self.moves[fact.contact].append((fact.list_name, fact.member, fact.occurred_at_us))
            case ContactState():
                self.states[fact.contact] = fact
            case Merge():
                self.events[fact.survivor] |= self.events.pop(fact.loser, {})
                self.writes[fact.survivor] += self.writes.pop(fact.loser, [])
                self.moves[fact.survivor] += self.moves.pop(fact.loser, [])
                del self.states[fact.loser]
            case Unmerge():
                self.events[fact.restored] = {one: self.events[fact.survivor].pop(one) for one in fact.event_ids}
                for contact in (fact.survivor, fact.restored):
                    self.writes[contact], self.moves[contact] = [], []
                    self.states.pop(contact, None)

    def digest(self, world: World) -> Digest:
        """People as the profiles and this reader know them together. Addresses come as attributes of their own."""
        people = {person.contact: person for person in world.people()}
        assert people.keys() == self.states.keys()
        found = []
        for contact, person in people.items():
            state = self.states[contact]
            summary = (state.key, state.known, state.reachable, state.occurred_at_us)
            assert summary == (person.key, person.known(RULES), person.reachable(), person.first_seen_us)
            own = frozenset(one for one in self.writes[contact] if one[0] not in MIRRORED_KINDS)
            shown = {name: one for name, one in person.attributes.items() if name not in MIRRORED_KINDS}
            for name, one in person.attributes.items():
                assert one.at_us == max(at_us for told, _, at_us in self.writes[contact] if told == name)
            assert {name for name, member, _ in self.moves[contact] if member} == set(person.lists)
            found.append(
                (
                    person.identifiers,
                    frozenset((name, (one.value, one.at_us)) for name, one in shown.items()),
                    frozenset((name, (one.state, one.at_us)) for name, one in person.consents.items()),
                    frozenset(name for name in person.lists if person.on_list(name)),
                    own,
                    frozenset(self.events[contact]),
                    min((person.first_seen_us, *self.events[contact].values())),
                )
            )
        return frozenset(found)


def _identifiers(item: Item) -> tuple[Identifier, ...]:
    if isinstance(item, Event):
        return item.identifiers
    assert isinstance(item.fact, ProfileUpdate)
    return item.fact.identifiers


def some_items(random: Random, in_order: bool) -> list[Item]:
    """Facts of people who are told to be one time and again, within all limits. Cookies are shared by everybody where
    instants run with the log; where they do not, each is one address's own."""
    clusters = []
    for number in range(2):
        strong = [Identifier("external_id", f"x{number}")] if random.random() < 0.7 else []
        strong += [Identifier("email", f"{number}.{n}@example.com") for n in range(random.randint(1, 4))]
        strong += [Identifier("phone", f"+38050123456{number}{n}") for n in range(random.randint(0, 3))]
        cookies = [Identifier("anonymous_id", f"c{number}.{n}") for n in range(random.randint(1, 5))]
        clusters.append((strong, cookies, [random.choice(strong) for _ in cookies]))
    instants = random.sample(range(T - 10**9, T), 60)
    if in_order:
        instants.sort()
    items: list[Item] = []
    for number, at_us in enumerate(instants):
        strong, cookies, owners = random.choice(clusters)
        named = random.sample(strong, min(len(strong), random.choice((0, 0, 1, 1, 1, 2))))
        if in_order:
            named += random.sample(cookies, 0 if named and random.random() < 0.4 else 1)
        elif not named or random.random() < 0.4:
            place = random.randrange(len(cookies))
            named = [owners[place]] * (len(named) > 0) + [cookies[place]]
        random.shuffle(named)
        if random.random() < 0.6:
            items.append(event(f"m{number}", at_us, *named))
        else:
            items.append(
                update(
                    f"m{number}",
                    at_us,
                    *named,
                    attributes={random.choice(("city", "plan")): random.choice(("a", "b", None))},
                    consents={random.choice(("webhook", "sms")): random.choice(("granted", "unconfirmed"))},
                    lists={random.choice(("vip", "staff")): True} if random.random() < 0.3 else None,
                )
            )
    return items


def some_merge(random: Random, world: World) -> tuple[Edge, str, str] | None:
    """A merge that stands, the key of its person's survivor or of another part, and the key that it lost."""
    people = [person for person in world.people() if person.edges]
    if not people:
        return None
    person = random.choice(people)
    edge = random.choice(person.edges)
    _, loser = survivor_and_loser(person.part_numbers(), person.edges, edge)
    survivor = random.choice([one for one in person.parts if one.contact != loser])
    return edge, survivor.key, person.part(loser).key


@settings(max_examples=150, deadline=None)
@given(SEEDS)
def test_unmerged_is_as_if_never_merged(seed: int) -> None:
    random = Random(seed)
    items = some_items(random, in_order=random.random() < 0.5)
    world = World(forgetful=random.random() < 0.3)
    merged, forbidden = Plain(), set[frozenset[int]]()
    pending: list[Item] = []
    for number, item in enumerate(items):
        pending.append(item)
        merged.take(item)
        if random.random() < 0.4:
            world.take(*pending)
            pending = []
        if random.random() < 0.15:
            world.take(*pending)
            pending = []
            chosen = some_merge(random, world)
            if chosen is not None:
                edge, survivor, loser = chosen
                order = separation(f"s{number}", survivor, loser)
                if random.random() < 0.5:
                    world.take(order)
                else:
                    pending = [order]
                forbidden |= merged.cut(edge.winner_end, edge.loser_end)
                assert pending or world.outcomes[order.id].reason == ""
    world.take(*pending)
    assert all(outcome.reason == "" for outcome in world.outcomes.values())
    found = Reader().read(world).digest(world)
    assert found == merged.digest()
    if not merged.refused <= forbidden:
        return  # evidence contradicted a merge that was taken back later: it was refused, and is not tried again
    never = Plain(forbidden)
    for item in items:
        never.take(item)
    assert found == never.digest()


Pair = tuple[int, int]


def _fold(random: Random, items: list[Item | Pair]) -> World:
    """A world after `items`, cut at random; a pair takes the second of two contacts out of the first, in any way."""
    world = World(forgetful=random.random() < 0.3)
    pending: list[Item] = []
    for number, item in enumerate(items):
        if not isinstance(item, tuple):
            pending.append(item)
        else:
            world.take(*pending)
            known = all(contact in world.rows for contact in item)
            keys = [world.profile(contact).key for contact in item] if known else ["nobody", "nobody"]
            pending = [separation(f"s{number}", *keys)]
        if random.random() < 0.3:
            world.take(*pending)
            pending = []
    world.take(*pending)
    return world


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_contradictions_and_unmerges_follow_the_log_alone(seed: int) -> None:
    random = Random(seed)
    items: list[Item | Pair] = [*contradicting(random)]
    for _ in range(12):
        items.insert(random.randrange(10, len(items)), (random.randint(1, 20), random.randint(1, 20)))
    worlds = [_fold(random, items) for _ in range(3)]
    for world in worlds:
        assert_sound(world)
        Reader().read(world).digest(world)
    assert len({story(world) for world in worlds}) == 1
    assert len({repr(sorted(world.outcomes.items())) for world in worlds}) == 1
    assert len({frozenset(world.meta.suspects.items()) for world in worlds}) == 1
