"""Decisions about whose a fact is."""

from __future__ import annotations

from dataclasses import dataclass

from core.events.columns import Identifier
from core.identity.decide import Contest, Evidence, Known, decide
from core.identity.links import alone, holder
from core.identity.rules import IdentityRules

RULES = IdentityRules()
X, Y = Identifier("external_id", "x"), Identifier("external_id", "y")
E, F = Identifier("email", "e@example.com"), Identifier("email", "f@example.com")
P = Identifier("phone", "+380501234567")
C, D = Identifier("anonymous_id", "c"), Identifier("anonymous_id", "d")
KEY = Identifier("contact_key", "k")


@dataclass(frozen=True)
class Decision:
    """What was decided, without ends and evidence of merges."""

    contact: int | None
    merges: tuple[tuple[int, int], ...]
    links: tuple[Identifier, ...]
    contests: tuple[tuple[Identifier, Contest], ...] = ()


def _decide(
    *evidence: tuple[Identifier, int | None], apart: set[tuple[int, int]] | None = None, **held: set[Identifier]
) -> Decision:
    people = {int(name[1:]): frozenset(identifiers) for name, identifiers in held.items()}
    said = [Evidence(one, None if contact is None else alone(contact)) for one, contact in evidence]
    made = decide(said, Known(people, people, apart or set()), RULES)
    merges = tuple((one.survivor, one.loser) for one in made.merges)
    return Decision(made.contact, merges, made.links, made.contests)


def test_nobody_known_makes_a_new_contact() -> None:
    assert _decide((X, None), (E, None), (C, None)) == Decision(None, (), (X, E, C))


def test_a_new_identifier_joins_the_holder_of_another() -> None:
    assert _decide((E, 1), (P, None), _1={E}) == Decision(1, (), (P,))


def test_an_anonymous_contact_becomes_known_under_its_number() -> None:
    assert _decide((X, None), (C, 1), _1={C}) == Decision(1, (), (X,))


def test_an_anonymous_contact_merges_into_the_known_one() -> None:
    assert _decide((X, 5), (C, 1), _5={X}, _1={C}) == Decision(5, ((5, 1),), (C,))


def test_two_known_merge_and_the_external_id_survives() -> None:
    assert _decide((X, 9), (E, 2), _9={X}, _2={E}) == Decision(9, ((9, 2),), ())


def test_two_known_without_external_ids_merge_into_the_lower_number() -> None:
    assert _decide((E, 9), (P, 2), _9={E}, _2={P}) == Decision(2, ((2, 9),), ())


def test_three_become_one() -> None:
    decision = _decide((E, 9), (F, 4), (P, 2), _9={E}, _4={F}, _2={P})
    assert decision == Decision(2, ((4, 9), (2, 4)), ())


def test_two_external_ids_never_merge() -> None:
    refused = ((E, Contest.EXTERNAL_IDS),)
    assert _decide((X, 1), (E, 2), _1={X}, _2={Y, E}) == Decision(1, (), (), refused)


def test_a_new_external_id_does_not_join_the_holder_of_another() -> None:
    refused = ((E, Contest.EXTERNAL_IDS),)
    assert _decide((Y, None), (E, 1), _1={X, E}) == Decision(None, (), (Y,), refused)


def test_a_full_profile_takes_no_further_email() -> None:
    full = {X, *(Identifier("email", f"{n}@example.com") for n in range(5))}
    assert _decide((X, 1), (F, None), _1=full) == Decision(1, (), (), ((X, Contest.LIMIT),))


def test_a_merge_past_a_limit_does_not_happen() -> None:
    mine = {X, *(Identifier("email", f"{n}@example.com") for n in range(4))}
    theirs = {P, E, F}
    assert _decide((X, 1), (P, 2), _1=mine, _2=theirs) == Decision(1, (), (), ((P, Contest.LIMIT),))


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
    assert _decide((KEY, 3), (C, 4), _3={E}, _4={C}) == Decision(3, ((3, 4),), (C,))
    assert _decide((KEY, None)) == Decision(None, (), ())


def test_a_contact_named_twice_merges_once() -> None:
    assert _decide((X, 5), (C, 1), (D, 1), _5={X}, _1={C, D}) == Decision(5, ((5, 1),), (C, D))
    assert _decide((E, 9), (F, 4), (P, 9), _9={E, P}, _4={F}) == Decision(4, ((4, 9),), ())


def test_those_who_were_taken_apart_never_join_again() -> None:
    refused = ((E, Contest.APART),)
    assert _decide((X, 1), (E, 2), apart={(1, 2)}, _1={X}, _2={E}) == Decision(1, (), (), refused)
    # An anonymous visitor is not joined, and the cookie is linked to whoever used it, as that of a known one is.
    assert _decide((X, 1), (C, 2), apart={(1, 2)}, _1={X}, _2={C}) == Decision(1, (), (C,), ((C, Contest.APART),))
    # Nor by way of a third.
    third = _decide((X, 1), (P, 3), (E, 2), apart={(1, 2)}, _1={X}, _2={E}, _3={P})
    assert (third.merges, third.contests) == (((1, 3),), ((E, Contest.APART),))


def test_a_fact_belongs_to_the_part_of_its_highest_identifier_and_links_cookies_to_it() -> None:
    person = frozenset((X, E, C))
    known = Known({1: person}, {1: frozenset((X,)), 2: frozenset((E, C))})
    evidence = [Evidence(X, holder(1, 1)), Evidence(E, holder(2, 1)), Evidence(C, holder(2, 1))]
    made = decide(evidence, known, RULES)
    assert (made.part, made.contact, made.merges, made.links) == (1, 1, (), (C,))
    made = decide(evidence[1:], known, RULES)
    assert (made.part, made.contact, made.merges, made.links) == (2, 1, (), ())


def test_the_evidence_of_a_merge_names_its_ends() -> None:
    known = Known(
        {1: frozenset((X, F)), 3: frozenset((E,))}, {1: frozenset((X,)), 2: frozenset((F,)), 3: frozenset((E,))}
    )
    [joining] = decide([Evidence(E, holder(3, 3)), Evidence(F, holder(2, 1))], known, RULES).merges
    assert (joining.survivor, joining.loser, joining.winner_end, joining.loser_end) == (1, 3, 2, 3)
    assert joining.evidence == (E, F)
