"""Decisions about whose a fact is."""

from __future__ import annotations

from core.events.columns import Identifier
from core.identity.decide import Decision, Evidence, decide
from core.identity.rules import IdentityRules

RULES = IdentityRules()
X, Y = Identifier("external_id", "x"), Identifier("external_id", "y")
E, F = Identifier("email", "e@example.com"), Identifier("email", "f@example.com")
P = Identifier("phone", "+380501234567")
C, D = Identifier("anonymous_id", "c"), Identifier("anonymous_id", "d")
KEY = Identifier("contact_key", "k")


def _decide(*evidence: tuple[Identifier, int | None], **held: set[Identifier]) -> Decision:
    people = {int(name[1:]): frozenset(identifiers) for name, identifiers in held.items()}
    return decide([Evidence(*one) for one in evidence], people, RULES)


def test_nobody_known_makes_a_new_contact() -> None:
    assert _decide((X, None), (E, None), (C, None)) == Decision(None, (), (X, E, C))


def test_a_new_identifier_joins_the_holder_of_another() -> None:
    assert _decide((E, 1), (P, None), _1={E}) == Decision(1, (), (P,))


def test_an_anonymous_contact_becomes_known_under_its_number() -> None:
    assert _decide((X, None), (C, 1), _1={C}) == Decision(1, (), (X,))


def test_an_anonymous_contact_merges_into_the_known_one() -> None:
    assert _decide((X, 5), (C, 1), _5={X}, _1={C}) == Decision(5, ((5, 1),), ())


def test_two_known_merge_and_the_external_id_survives() -> None:
    assert _decide((X, 9), (E, 2), _9={X}, _2={E}) == Decision(9, ((9, 2),), ())


def test_two_known_without_external_ids_merge_into_the_lower_number() -> None:
    assert _decide((E, 9), (P, 2), _9={E}, _2={P}) == Decision(2, ((2, 9),), ())


def test_three_become_one() -> None:
    decision = _decide((E, 9), (F, 4), (P, 2), _9={E}, _4={F}, _2={P})
    assert decision == Decision(2, ((4, 9), (2, 4)), ())


def test_two_external_ids_never_merge() -> None:
    assert _decide((X, 1), (E, 2), _1={X}, _2={Y, E}) == Decision(1, (), ())


def test_a_new_external_id_does_not_join_the_holder_of_another() -> None:
    assert _decide((Y, None), (E, 1), _1={X, E}) == Decision(None, (), (Y,))


def test_a_full_profile_takes_no_further_email() -> None:
    full = {X, *(Identifier("email", f"{n}@example.com") for n in range(5))}
    assert _decide((X, 1), (F, None), _1=full) == Decision(1, (), ())


def test_a_merge_past_a_limit_does_not_happen() -> None:
    mine = {X, *(Identifier("email", f"{n}@example.com") for n in range(4))}
    theirs = {P, E, F}
    assert _decide((X, 1), (P, 2), _1=mine, _2=theirs) == Decision(1, (), ())


def test_a_cookie_moves_between_known_people_and_merges_nobody() -> None:
    assert _decide((X, 1), (C, 2), _1={X}, _2={Y, C}) == Decision(1, (), (C,))
    assert _decide((Y, 2), (C, 1), _1={X, C}, _2={Y, C}) == Decision(2, (), (C,))


def test_a_cookie_of_a_known_person_gives_a_new_email_no_home() -> None:
    assert _decide((F, None), (C, 1), _1={E, C}) == Decision(None, (), (F, C))


def test_cookies_alone_belong_to_their_holder() -> None:
    assert _decide((C, 1), _1={X, C}) == Decision(1, (), ())
    assert _decide((D, None), (C, 1), _1={X, C}) == Decision(1, (), (D,))
    assert _decide((C, 2), (D, 1), _1={D}, _2={C}) == Decision(1, ((1, 2),), ())
    assert _decide((C, 1), (D, 2), _1={C}, _2={D, X}) == Decision(2, ((2, 1),), ())
    assert _decide((C, 1), (D, 2), _1={C, X}, _2={D, Y}) == Decision(1, (), ())


def test_a_contact_key_names_the_contact_and_links_the_rest() -> None:
    assert _decide((KEY, 3), (C, None), _3={E}) == Decision(3, (), (C,))
    assert _decide((KEY, 3), (C, 4), _3={E}, _4={C}) == Decision(3, ((3, 4),), ())
    assert _decide((KEY, None)) == Decision(None, (), ())


def test_a_contact_named_twice_merges_once() -> None:
    assert _decide((X, 5), (C, 1), (D, 1), _5={X}, _1={C, D}) == Decision(5, ((5, 1),), ())
    assert _decide((E, 9), (F, 4), (P, 9), _9={E, P}, _4={F}) == Decision(4, ((4, 9),), ())
