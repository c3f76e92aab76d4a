"""What unification says, fact by fact."""

from __future__ import annotations

from core.events.columns import IMPORTED, Identifier
from core.events.facts import (
    EVENT_ITEM,
    AttributeWrite,
    ConsentWrite,
    ContactState,
    ListChange,
    Merge,
    ProductState,
    Unmerge,
)
from core.identity.links import alone, holder
from core.identity.rules import IdentityRules
from core.identity.settings import Blocked, KindChange, SettingsChange
from core.identity.suspects import Suspicion
from core.profile.fold import KIND_MISMATCH, NO_IDENTIFIER
from core.profile.merge_log import Outcome
from core.profile.profile import new_key
from core.schema import DecimalUnits
from tests.unit.profile.people import (
    DAY_US,
    C,
    D,
    E,
    F,
    Item,
    P,
    T,
    World,
    X,
    Y,
    batch_of,
    event,
    product,
    rules_order,
    separation,
    update,
)

K1, K2 = new_key("w", 1, 1), new_key("w", 2, 2)


def test_a_first_event_makes_a_contact_before_it() -> None:
    world = World()
    folded = world.take(event("a", T, C), event("b", T + 1, C))
    assert folded.facts == (ContactState(1, K1, False, 0, T, 0, False, T, EVENT_ITEM),)
    assert folded.events.contacts is not None
    assert folded.events.contacts.tolist() == [1, 1]
    assert folded.events.identifiers == ()


def test_a_plain_event_writes_nothing() -> None:
    world = World()
    world.take(event("a", T, X, C))
    folded = world.take(event("b", T + 5, C), event("c", T - 5, X), event("d", T + 6, X, C))
    assert folded.facts == ()
    assert world.state.changes().profiles == {}
    assert world.profile(1).first_seen_us == T


def test_the_order_of_facts_and_events_is_kept() -> None:
    world = World()
    folded = world.take(
        event("a", T, C),
        update("u", T + 1, X, C, attributes={"city": "Kyiv"}, consents={"webhook": "granted"}, lists={"vip": True}),
        event("b", T + 2, D),
        event("c", T + 3, C),
    )
    assert folded.facts == (
        ContactState(1, K1, False, 0, T, 0, False, T, EVENT_ITEM),
        ContactState(1, K1, True, 1 << 5, T, 1, False, T + 1, 0),
        AttributeWrite(1, "external_id", "x", T + 1, False, 1),
        AttributeWrite(1, "city", "Kyiv", T + 1, False, 1),
        ListChange(1, "vip", True, T + 1, False, 1),
        ConsentWrite(1, "webhook", "", "granted", "form", "", T + 1, False, 1),
        ContactState(2, new_key("w", 2, 1), False, 0, T + 2, 1, False, T + 2, EVENT_ITEM),
    )
    assert world.contacts_of() == [1, 2, 1]


def test_facts_tell_which_item_brought_them_when_and_whether_from_history() -> None:
    world = World()
    world.take(event("a", T, C), event("b", T, D))
    facts = world.facts(
        update("a", T, X, attributes={"city": "Odesa"}),  # a repetition: it keeps its number
        update("u", T + 1, Identifier("messenger_id", "tg1"), imported=True),
        event("c", T + 2, E, D, flags=IMPORTED),
        update("v", T + 3, X, E, C, lists={"vip": True}),
    )
    key = new_key("w", 3, 2)
    assert facts == (
        ContactState(3, key, True, 0, T + 1, 0, True, T + 1, 1),
        ContactState(2, new_key("w", 2, 1), True, 0, T, 0, True, T + 2, EVENT_ITEM),
        AttributeWrite(2, "email", "e@example.com", T + 2, True, 0, EVENT_ITEM),
        Merge(2, 1, 1, 2),
        AttributeWrite(2, "email", "e@example.com", T + 3, False, 1, 2),
        AttributeWrite(2, "external_id", "x", T + 3, False, 1, 2),
        ListChange(2, "vip", True, T + 3, False, 1, 2),
    )


def test_a_grant_dated_ahead_does_not_outlast_a_later_refusal() -> None:
    world = World()
    ahead = T + 3 * 3_600_000_000
    world.take(update("u", ahead, X, E, attributes={"city": "Kyiv"}, consents={"email": "granted"}, received_us=T))
    assert world.profile(1).consents["email"].at_us == T
    assert "city" not in world.profile(1).attributes
    world.take(update("v", T + 1, X, consents={"email": "denied"}, received_us=T + 1))
    assert world.profile(1).consents["email"].state == "denied"
    assert world.profile(1).reachable() == 0


def test_an_anonymous_history_joins_the_known_person() -> None:
    world = World()
    world.take(update("u", T, X, E))
    world.take(event("a", T + 1, C))
    assert world.facts(event("b", T + 2, E, C)) == (Merge(1, 2, 0, EVENT_ITEM),)
    assert world.take(event("c", T + 3, C)).events.contacts is not None
    assert world.contacts_of() == [2, 1, 1]
    assert world.profile(2).merged_into == 1
    assert world.profile(1).merged == ((2, K2),)
    assert world.links[Identifier("contact_key", K2)] == holder(2, 1)
    assert world.links[C] == ((T + 1, holder(2, 1)), (T + 2, alone(1)))  # the cookie is linked by whom it was used
    assert world.parts_of() == [2, 1, 1]


def test_two_known_merge_by_a_shared_email() -> None:
    world = World()
    world.take(update("u", T, E, attributes={"city": "Lviv"}, consents={"email": "granted"}))
    world.take(update("v", T - 1, X, attributes={"city": "Kyiv"}, consents={"email": "suppressed"}))
    facts = world.facts(update("w", T + 1, X, E))
    assert facts == (
        Merge(2, 1, 0),  # the fact is told of the part that holds the external id: the email is the other one's
        AttributeWrite(2, "external_id", "x", T + 1, False, 0),
    )
    person = world.profile(2)
    assert person.attributes["city"].value == "Lviv"
    assert person.consents["email"].state == "suppressed"
    assert person.reachable() == 0


def test_a_merge_that_lifts_consent_says_so() -> None:
    world = World()
    world.take(update("u", T, E, consents={"email": "granted"}))
    world.take(event("v", T + 5, X))
    facts = world.facts(event("w", T + 6, X, E))
    assert facts == (Merge(2, 1, 0, EVENT_ITEM), ContactState(2, K2, True, 1, T, 0, False, T + 6, EVENT_ITEM))


def test_two_external_ids_never_merge_and_the_first_keeps_the_email() -> None:
    world = World()
    world.take(update("u", T, X, E))
    world.take(update("v", T, Y, E))
    assert world.contacts_of(()) == []
    assert [sorted(one.value for one in person.identifiers) for person in world.people()] == [
        ["e@example.com", "x"],
        ["y"],
    ]
    assert world.facts(event("c", T, E)) == ()
    assert world.contacts_of() == [1]


def test_a_shared_cookie_follows_who_used_it_last() -> None:
    world = World()
    world.take(event("a", T + 10, X, C), event("b", T + 20, Y, C))
    world.take(event("c", T + 5, C), event("d", T + 15, C), event("e", T + 25, C))
    assert world.contacts_of() == [1, 2, 1, 1, 2]


def test_a_contact_key_resolves_through_merges() -> None:
    world = World()
    world.take(update("u", T, X))
    world.take(event("a", T, C))
    world.take(event("b", T, X, C))
    world.take(event("click", T, Identifier("contact_key", K2), D), event("site", T + 1, D))
    assert world.contacts_of() == [2, 1, 1, 1]


def test_an_event_that_names_nobody_is_set_aside_and_its_neighbours_stand() -> None:
    world = World()
    null, stranger = Identifier("external_id", "null"), Identifier("contact_key", "0123456789abcdef")
    folded = world.take(event("a", T, C), event("b", T, null), event("c", T, stranger), event("d", T, C))
    assert [(letter.message_id, letter.reason) for letter in folded.dead] == [
        ("b", NO_IDENTIFIER),
        ("c", NO_IDENTIFIER),
    ]
    assert folded.events.ids == ("a", "d")


def test_a_repeated_message_id_counts_once() -> None:
    world = World()
    first = world.take(event("a", T, C), event("a", T + 1, D), update("u", T, X, attributes={"city": "Kyiv"}))
    again = world.take(event("a", T, C), event("b", T, C), update("u", T, X, attributes={"city": "Lviv"}))
    assert (first.events.ids, again.events.ids) == (("a",), ("b",))
    assert (first.duplicates, again.duplicates) == (1, 2)
    assert again.facts == ()


def test_an_id_is_new_after_the_horizon_and_an_order_never() -> None:
    world = World()
    order = "order:7:completed"
    world.take(event("a", T, C), event(order, T, C, type_="order_completed"))
    later = T + 7 * DAY_US + DAY_US // 24
    folded = world.take(
        event("a", T, C, received_us=later), event(order, T, C, received_us=later, type_="order_completed")
    )
    assert folded.events.ids == ("a",)


def test_the_first_value_fixes_the_kind_of_an_attribute() -> None:
    world = World()
    world.take(update("u", T, X, attributes={"score": DecimalUnits(5), "level": 3, "tags": ()}))
    folded = world.take(
        update("v", T, X, attributes={"score": 2, "level": DecimalUnits(1), "age": "old", "tags": ("a",), "city": None})
    )
    assert [fact for fact in folded.facts if isinstance(fact, AttributeWrite)][1:] == [
        AttributeWrite(1, "score", DecimalUnits(20_000), T, False, 0),
        AttributeWrite(1, "level", DecimalUnits(1), T, False, 0),  # the first fraction makes decimals of integers
        AttributeWrite(1, "tags", ("a",), T, False, 0),
        AttributeWrite(1, "city", None, T, False, 0),
    ]
    assert [(letter.reason, letter.detail) for letter in folded.dead] == [
        (KIND_MISMATCH, "attribute 'age' is of kind INTEGER, this value of kind TEXT"),
    ]


def test_an_event_shows_a_new_address_as_an_attribute_only_where_there_is_none() -> None:
    world = World()
    assert world.facts(event("a", T, X, E, flags=IMPORTED))[1:] == (
        AttributeWrite(1, "external_id", "x", T, True, 0, EVENT_ITEM),
        AttributeWrite(1, "email", "e@example.com", T, True, 0, EVENT_ITEM),
    )
    assert world.facts(event("b", T + 1, X, F)) == ()
    assert world.profile(1).addresses("email")


def test_products_pass_by_the_vocabulary() -> None:
    folded = World().take(product("p", "1", {"price": 12, "stock": "many"}), product("q", "2", {}))
    assert folded.facts == (
        ProductState("1", {"price": DecimalUnits(120_000)}, T, 0),
        ProductState("2", {}, T, 0),
    )
    assert [letter.reason for letter in folded.dead] == [KIND_MISMATCH]


def test_a_shared_cookie_stops_at_the_limit() -> None:
    world = World(rules=IdentityRules(moves_limit=100))
    for start in range(0, 10_000, 500):
        emails = [Identifier("email", f"{n}@example.com") for n in range(start, start + 500)]
        world.take(*(event(f"m{one.value}", T + n, one, C) for n, one in enumerate(emails, start)))
    people = world.people()
    assert len(people) == 10_000
    assert sum(C in person.identifiers for person in people) == 100
    assert world.contacts_of() == list(range(1, 10_001))
    link = world.links[C]
    assert isinstance(link, tuple)
    assert len(link) == 100
    assert world.take(event("last", T + 20_000, C)).events.contacts is not None
    assert world.contacts_of()[-1] == 100


def test_limits_of_emails_and_cookies() -> None:
    world = World()
    world.take(*(event(f"e{n}", T, X, Identifier("email", f"{n}@example.com")) for n in range(9)))
    world.take(*(event(f"c{n}", T, X, Identifier("anonymous_id", f"c{n}")) for n in range(120)))
    [person] = world.people()
    kinds = [one.kind for one in person.identifiers]
    assert (kinds.count("email"), kinds.count("anonymous_id"), kinds.count("external_id")) == (5, 100, 1)
    assert set(world.contacts_of()) == {1}


def test_a_fold_that_failed_leaves_no_trace() -> None:
    world = World()
    world.take(update("u", T, X, E, attributes={"city": "Kyiv"}))
    before = (dict(world.state.links), world.state.profile(1), world.state.kinds, world.state.next_contact)
    steps = world.folding.fold(
        batch_of(9, [event("a", T, X, F), event("b", T, D), update("v", T, P, X, attributes={"shoe": 42})])
    )
    for wanted in steps:
        world._load(wanted)
    world.state.roll_back()
    assert world.state.links.items() >= before[0].items()
    assert {one for one, link in world.state.links.items() if link is not None} == set(before[0])
    assert (world.state.profile(1), world.state.kinds, world.state.next_contact) == before[1:]
    assert world.state.changes().profiles == {}


def test_what_is_in_memory_makes_no_difference() -> None:
    items: list[list[Item]] = [
        [event("a", T, C), update("u", T, X, E)],
        [event("b", T, E, C), event("c", T, D)],
        [update("v", T + 1, P, D), event("d", T, P, X)],
        [event("e", T, D), event("order:1:completed", T, D), event("order:1:completed", T, D)],
    ]
    one, other = World(), World(forgetful=True)
    for batch in items:
        first, second = one.take(*batch), other.take(*batch)
        assert first.facts == second.facts
    assert one.rows == other.rows
    assert one.links == other.links
    assert one.contacts_of() == other.contacts_of()
    assert other.asked > one.asked


def test_a_grant_that_comes_by_one_part_lifts_the_refusal_of_another() -> None:
    world = World()
    world.take(update("u", T, X, consents={"webhook": "denied"}))
    world.take(update("v", T + 1, E, consents={"webhook": "granted"}))
    world.take(event("w", T + 2, X, E))
    assert world.profile(1).reachable() == 0  # refusal wins over the consent of before
    [state, _] = world.facts(update("x", T + 3, F, E, consents={"webhook": "granted"}))[:2]
    assert isinstance(state, ContactState)
    assert state.reachable == 1 << 5
    assert world.profile(1).part(1).consents["webhook"].state == "denied"


def test_facts_tell_their_part() -> None:
    world = World()
    world.take(update("u", T, X))
    world.take(update("v", T, E))
    world.take(event("w", T, X, E))
    facts = world.facts(update("x", T + 1, E, attributes={"city": "Lviv"}, consents={"sms": "denied"}))
    assert facts == (
        AttributeWrite(1, "email", "e@example.com", T + 1, False, 0, 0, 2),
        AttributeWrite(1, "city", "Lviv", T + 1, False, 0, 0, 2),
        ConsentWrite(1, "sms", "", "denied", "form", "", T + 1, False, 0, 0, 2),
    )
    world.take(event("y", T + 1, X), event("z", T + 1, E))
    assert (world.contacts_of()[-2:], world.parts_of()[-2:]) == ([1, 1], [1, 2])


def test_merged_and_taken_apart_in_one_batch() -> None:
    world = World()
    facts = world.facts(
        update("u", T, X, attributes={"city": "Kyiv"}),
        update("v", T, E, attributes={"city": "Lviv"}),
        event("w", T, X, E),
        event("x", T + 1, E),
        separation("s", K1, new_key("w", 2, 1)),
        event("y", T + 2, E),
    )
    [unmerge] = [fact for fact in facts if isinstance(fact, Unmerge)]
    assert (unmerge.survivor, unmerge.restored, unmerge.event_ids, unmerge.before_event) == (1, 2, ("x",), 2)
    anew = [fact for fact in facts[facts.index(unmerge) :] if isinstance(fact, AttributeWrite)]
    assert [(fact.contact, fact.name, fact.value, fact.part) for fact in anew] == [
        (1, "external_id", "x", 0),
        (1, "city", "Kyiv", 0),
        (2, "email", "e@example.com", 0),
        (2, "city", "Lviv", 0),
    ]
    assert world.contacts_of() == [1, 1, 2]
    assert world.outcomes == {"s": Outcome(survivor=1, restored=2)}


def test_orders_that_cannot_be_carried_out_change_nothing() -> None:
    world = World()
    world.take(update("u", T, X))
    world.take(update("v", T, E))
    orders = [("a", K1, K2), ("b", K1, K1), ("c", "nobody", K2), ("d", K1, "")]
    assert world.facts(*(separation(*one) for one in orders)) == ()
    assert [world.outcomes[one].reason for one, _, _ in orders] == [
        "NOT_MERGED",
        "NOT_MERGED",
        "NO_SUCH_CONTACT",
        "NO_SUCH_CONTACT",
    ]


def test_rules_hold_from_their_place_in_the_log() -> None:
    world = World()
    card = Identifier("loyalty_card", "7")
    kind = KindChange("loyalty_card", 2, 1, True, True)
    blocked = (Blocked("email", "F@Example.com"), Blocked("", "", "^evil"))
    folded = world.take(
        event("a", T, C, card),
        rules_order("r", SettingsChange((kind,), blocked=blocked)),
        event("b", T, D, card),
        update("u", T, card, F, Identifier("anonymous_id", "evil cookie")),
        rules_order("s", SettingsChange(etag="old")),
        rules_order("t", SettingsChange(blocked=(Blocked("", "", "("),))),
    )
    assert [(letter.message_id, letter.reason) for letter in folded.dead] == []
    assert world.profile(2).identifiers == {D, card}
    assert {one: outcome.reason for one, outcome in world.outcomes.items()} == {
        "r": "",
        "s": "ETAG_MISMATCH",
        "t": "BAD_IDENTITY_RULES",
    }
    assert world.meta.settings is not None
    assert world.meta.settings.revision == 1
    assert world.take(event("c", T, card)).dead == ()


def test_who_hits_limits_is_remembered() -> None:
    world = World()
    world.take(update("u", T, X, E), update("v", T, Y))
    world.take(*(event(f"e{n}", T + n, Y, E) for n in range(12)))
    world.take(*(event(f"f{n}", T + n, X, Identifier("email", f"{n}@example.com")) for n in range(6)))
    suspects = world.meta.suspects
    assert suspects[E] == Suspicion(external_ids_apart=12, last_at_us=T + 11)
    assert suspects[E].block_proposed
    assert suspects[X] == Suspicion(limits_hit=2, last_at_us=T + 5)
    assert set(suspects) == {E, X}
