"""What was told for an instant ahead waits in the profile, and comes into force then."""

from __future__ import annotations

from core.events.columns import Identifier
from core.events.facts import AttributeWrite, ListChange
from core.profile.ahead import MAXIMUM_AHEAD, due
from core.profile.people import TOO_MANY_AHEAD
from core.profile.profile import Profile
from tests.unit.profile.people import DAY_US, E, F, T, World, X, erasure, event, separation, update


def _city(profile: Profile, now_us: int) -> object:
    """The city that a person shows at `now_us`."""
    shown = due(profile, now_us).attributes.get("city")
    return None if shown is None else shown.value


def test_the_far_future_hides_nothing_that_is_true_now() -> None:
    world = World(forgetful=True)
    ahead = T + 100 * 365 * DAY_US
    world.take(update("a", T - DAY_US, X, attributes={"city": "Kyiv"}))
    facts = world.facts(update("b", ahead, X, attributes={"city": "Mars"}, received_us=T))
    assert AttributeWrite(1, "city", "Mars", ahead, False, 0) in facts, "the engine hears of it, with its date"
    assert _city(world.profile(1), T) == "Kyiv"
    world.take(update("c", T + 1, X, attributes={"city": "Lviv"}))
    person = world.profile(1)
    assert (_city(person, T + 1), _city(person, ahead - 1), _city(person, ahead)) == ("Lviv", "Lviv", "Mars")


def test_what_is_due_is_brought_into_force_by_the_next_fact_received_then() -> None:
    world = World(forgetful=True)
    world.take(
        update("a", T + 5, X, attributes={"city": "Lviv"}, lists={"vip": True}, received_us=T),
        update("b", T + 7, X, attributes={"city": None}, lists={"vip": False}, received_us=T),
    )
    person = world.profile(1)
    assert (dict(person.attributes), dict(person.lists)) == ({}, {})
    assert [due(person, T + n).on_list("vip") for n in (4, 5, 6, 7)] == [False, True, True, False]
    assert [_city(person, T + n) for n in (4, 5, 6, 7)] == [None, "Lviv", "Lviv", None]
    assert due(person, T + 4) is person
    world.take(update("c", T - 9, X, attributes={"plan": "free"}, received_us=T + 5))
    person = world.profile(1)
    assert (person.attributes["city"].value, person.on_list("vip")) == ("Lviv", True)
    assert [one.at_us for one in person.attributes_ahead["city"]] == [T + 7]
    world.take(event("d", T - 9, X, E, received_us=T + 7))  # an event that links settles as well
    person = world.profile(1)
    assert (person.attributes["city"].value, person.on_list("vip")) == (None, False)
    assert (person.attributes_ahead, person.lists_ahead) == ({}, {})


def test_an_older_fact_that_comes_late_does_not_undo_what_came_into_force() -> None:
    world = World()
    world.take(update("a", T + 5, X, attributes={"city": "Lviv"}, received_us=T))
    world.take(update("b", T + 3, X, attributes={"city": "Kyiv"}, received_us=T + 9))
    assert world.profile(1).attributes["city"].value == "Lviv"


def test_of_one_instant_ahead_the_later_in_the_log_counts() -> None:
    world = World()
    for name, city in (("a", "Kyiv"), ("b", "Lviv")):
        world.take(update(name, T + 5, X, attributes={"city": city}, lists={"vip": city == "Kyiv"}, received_us=T))
    person = world.profile(1)
    assert (_city(person, T + 5), due(person, T + 5).on_list("vip")) == ("Lviv", False)
    assert len(person.attributes_ahead["city"]) == 1


def test_an_address_of_an_event_dated_ahead_names_at_once_and_is_an_attribute_from_then_on() -> None:
    world = World()
    world.take(event("a", T + 5, E, received_us=T))
    person = world.profile(1)
    assert person.identifiers == {E}
    assert person.attributes == {}
    assert due(person, T + 5).attributes["email"].value == E.value
    world.take(event("b", T + 5, F, received_us=T), event("c", T + 1, E, F))
    assert sorted(due(world.people()[0], T + 5).attributes) == ["email"]


def test_only_so_much_waits_and_the_rest_is_told_to_nobody() -> None:
    world = World(forgetful=True)
    for n in range(1, MAXIMUM_AHEAD + 1):
        world.take(update(f"u{n}", T + n, X, attributes={"size": n}, lists={"vip": True}, received_us=T))
    folded = world.take(
        update("full", T + 99, X, attributes={"size": 99, "plan": "a"}, lists={"vip": False}, received_us=T),
        update("again", T + 7, X, attributes={"size": 700}, received_us=T),
        update("now", T, X, attributes={"size": 0}),
    )
    assert [(one.message_id, one.reason) for one in folded.dead] == [("full", TOO_MANY_AHEAD)] * 2
    assert [one.detail.partition(" waits")[0] for one in folded.dead] == ["attribute 'size'", "list 'vip'"]
    told = [fact for fact in folded.facts if isinstance(fact, AttributeWrite | ListChange)]
    assert told == [
        AttributeWrite(1, "plan", "a", T + 99, False, 0, 0),
        AttributeWrite(1, "external_id", "x", T + 7, False, 0, 1),
        AttributeWrite(1, "size", 700, T + 7, False, 0, 1),
        AttributeWrite(1, "external_id", "x", T, False, 0, 2),
        AttributeWrite(1, "size", 0, T, False, 0, 2),
    ]
    person = world.profile(1)
    assert [due(person, T + n).attributes["size"].value for n in (0, 1, 7, 20, 99)] == [0, 1, 700, 20, 20]
    assert world.take(update("room", T + 99, X, attributes={"size": 99}, received_us=T + 1)).dead == ()


def test_parts_keep_what_waits_through_a_merge_and_an_unmerge() -> None:
    world = World(forgetful=True)
    world.take(
        update("a", T + 50, X, attributes={"city": "Lviv"}, lists={"vip": True}, received_us=T),
        update("b", T - 1, X, attributes={"city": "Kyiv"}),
        update("c", T + 60, E, attributes={"city": "Odesa"}, lists={"vip": False}, received_us=T),
    )
    world.take(event("m", T, X, E))
    [person] = world.people()
    assert (person.attributes_ahead, person.lists_ahead) == ({}, {}), "the parts keep it"
    assert [_city(person, T + n) for n in (0, 50, 60)] == ["Kyiv", "Lviv", "Odesa"]
    assert due(person, T + 50).on_list("vip")
    survivor, merged = world.profile(1).key, person.part(2).key
    world.take(update("d", T, E, attributes={"plan": "b"}, received_us=T + 55))
    assert world.profile(1).attributes["city"].value == "Lviv", "a fact of one part brings the others' into force"
    world.take(separation("s", survivor, merged))
    assert world.outcomes["s"].reason == ""
    assert [_city(world.profile(1), T + n) for n in (55, 60)] == ["Lviv", "Lviv"]
    assert [_city(world.profile(2), T + n) for n in (55, 60)] == [None, "Odesa"]


def test_what_waits_is_forgotten_with_the_person() -> None:
    world = World(forgetful=True)
    name = Identifier("external_id", "ann")
    world.take(update("a", T + 50, name, attributes={"city": "Atlantis"}, lists={"secret": True}, received_us=T))
    world.take(erasure("e", T + 1, world.profile(1).key))
    assert not any(b"Atlantis" in row or b"secret" in row for row in world.rows.values())
    assert world.people() == []
