"""Profiles as values: merge, bytes, timelines."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from itertools import permutations

import numpy as np
import pytest

from core.events.columns import Identifier
from core.events.facts import (
    CHANNELS,
    EVENT_ITEM,
    AttributeWrite,
    ConsentWrite,
    ContactState,
    ListChange,
    Merge,
    Unmerge,
)
from core.identity.push_tokens import device_category
from core.profile.codec import decode_profile, encode_profile
from core.profile.merge import absorbed, merge, split
from core.profile.merge_log import (
    MergeRecord,
    Outcome,
    Undone,
    decode_merge,
    decode_outcome,
    encode_merge,
    encode_outcome,
)
from core.profile.parts import survivor_and_loser, written
from core.profile.profile import (
    Attribute,
    Consent,
    Edge,
    ListMove,
    Profile,
    consent_key,
    with_attribute,
    with_consent,
    with_move,
)
from core.profile.timeline import (
    CHUNK_REFS,
    FACT_ROW,
    REF,
    FactRun,
    Head,
    Refs,
    Tail,
    fact_runs,
    newest_first,
    pack_head,
    unpack_head,
)
from core.schema import DecimalUnits, Instant, Location, Scalar

CHILD: Mapping[str, Scalar] = {"age": 3, "name": "Ann", "born": date(2020, 2, 29), "fee": DecimalUnits(1)}
FULL = Profile(
    7,
    "key",
    -5,
    frozenset((Identifier("email", "jos\u00e9@example.com"), Identifier("anonymous_id", "c"))),
    {
        "text": Attribute("a", 1, 2),
        "gone": Attribute(None, 1, 3),
        "integer": Attribute(-(2**63), 1, 2),
        "decimal": Attribute(DecimalUnits(125_000), 1, 2),
        "yes": Attribute(True, 1, 2),
        "instant": Attribute(Instant(-1), 1, 2),
        "date": Attribute(date(1900, 2, 28), 1, 2),
        "texts": Attribute(("b", "a"), 1, 2),
        "none": Attribute((), 1, 2),
        "objects": Attribute((CHILD,), 1, 2),
        "place": Attribute(Location(1, -2), 1, 2),
    },
    {"email": Consent("granted", "form", 4, 5)},
    {"vip": (ListMove(True, 1, 1),)},
    apart=(((7,), (8, 9)),),
    undone=(3,),
)


def _merged(survivor: Profile, loser: Profile, order: int = 1000) -> Profile:
    """Both as one, by a fact that the log had after everything that was told of them, unless told otherwise."""
    ordinal = 1 + len(survivor.edges) + len(loser.edges)
    edges = [replace(edge, ordinal=edge.ordinal + len(survivor.edges)) for edge in loser.edges]
    return merge(survivor, replace(loser, edges=tuple(edges)), Edge(ordinal, survivor.contact, loser.contact, order))


def _told(profile: Profile, part: int, consent: Consent) -> Profile:
    return written(profile, part, lambda one: with_consent(one, "email", consent))


def test_bytes_and_back() -> None:
    assert decode_profile(encode_profile(FULL)) == FULL
    assert encode_profile(decode_profile(encode_profile(FULL))) == encode_profile(FULL)
    assert decode_profile(encode_profile(absorbed(FULL, 2))) == Profile(7, "key", -5, merged_into=2)
    both = _merged(FULL, Profile(9, "other", -9, frozenset((Identifier("phone", "+1"),))))
    assert decode_profile(encode_profile(both)) == both
    assert (both.merged, both.first_seen_us, len(both.identifiers)) == (((9, "other"),), -9, 3)
    with pytest.raises(ValueError, match="format 9"):
        decode_profile(encode_profile(FULL).replace(b'"v":2', b'"v":9'))


def test_the_stored_form_of_a_profile() -> None:
    one = replace(
        FULL, attributes={"city": Attribute("Kyiv", 1, 2)}, identifiers=frozenset((Identifier("email", "e@x.y"),))
    )
    assert encode_profile(replace(one, apart=(), undone=())) == (
        b'{"a":{"city":["Kyiv",1,2]},"c":{"email":["granted","form",4,5]},"i":[["email","e@x.y"]],"k":"key",'
        b'"l":{"vip":[[true,1,1]]},"n":7,"t":-5,"v":2}'
    )
    other = Profile(9, "other", -9, consents={"email/news": Consent("denied", "form", 1, 1, "paper 7")})
    assert encode_profile(_merged(replace(one, consents={}, lists={}), other)) == (
        b'{"apart":[[[7],[8,9]]],"e":[[1,7,9,1000]],"k":"key","n":7,"p":['
        b'{"a":{"city":["Kyiv",1,2]},"c":{},"i":[["email","e@x.y"]],"k":"key","l":{},"n":7,"t":-5},'
        b'{"a":{},"c":{"email/news":["denied","form",1,1,"paper 7"]},"i":[],"k":"other","l":{},"n":9,"t":-9}],'
        b'"t":-9,"undone":[3],"v":2}'
    )
    assert encode_profile(absorbed(one, 2)) == b'{"into":2,"k":"key","n":7,"t":-5,"v":2}'
    waiting = replace(
        other,
        consents={},
        attributes_ahead={"city": (Attribute("Lviv", 5, 1), Attribute(None, 6, 2))},
        lists_ahead={"vip": (ListMove(True, 5, 1),)},
    )
    assert encode_profile(waiting) == (
        b'{"a":{},"c":{},"fa":{"city":[["Lviv",5,1],[null,6,2]]},"fl":{"vip":[[true,5,1]]},"i":[],"k":"other",'
        b'"l":{},"n":9,"t":-9,"v":2}'
    )
    assert decode_profile(encode_profile(waiting)) == waiting


def test_later_writes_win_and_of_one_instant_the_later_in_the_log() -> None:
    profile = with_attribute(Profile(1, "k", 0), "city", Attribute("a", 10, 1))
    assert with_attribute(profile, "city", Attribute("b", 9, 2)) is profile
    assert with_attribute(profile, "city", Attribute("b", 10, 2)).attributes["city"].value == "b"
    profile = with_consent(profile, "sms", Consent("granted", "", 10, 1))
    assert with_consent(profile, "sms", Consent("denied", "", 9, 2)) is profile


def test_reachable_needs_an_address_and_consent() -> None:
    profile = Profile(1, "k", 0)
    for channel in ("email", "sms", "messenger", "mobile_push", "webhook"):
        profile = with_consent(profile, channel, Consent("granted", "", 1, 1))
    assert profile.reachable() == 1 << 5
    mailed = with_attribute(profile, "email", Attribute("a@example.com", 1, 1))
    assert mailed.reachable() == 1 << 5 | 1
    addresses = [("phone", "+1"), ("messenger_id", "m"), ("push_token", "t"), ("email", "a@example.com")]
    reached = Profile(1, "k", 0, frozenset(Identifier(*one) for one in addresses), consents=profile.consents)
    assert reached.reachable() == 0b111101
    assert with_consent(reached, "email", Consent("bounced", "", 2, 2)).reachable() == 0b111100


def test_suppression_wins_over_consent_whichever_came_last() -> None:
    granted = with_consent(Profile(1, "a", 0), "email", Consent("granted", "form", 9, 9))
    suppressed = with_consent(Profile(2, "b", 0), "email", Consent("suppressed", "link", 1, 1))
    for one in (_merged(granted, suppressed), _merged(suppressed, granted)):
        assert one.consents["email"] == Consent("suppressed", "link", 9, 9)
        # A newer grant lifts it, whichever part it came by; a grant of the time before does not.
        assert _told(one, 1, Consent("granted", "", 5, 2000)).consents["email"].state == "suppressed"
        for part in (1, 2):
            assert _told(one, part, Consent("granted", "", 10, 2000)).consents["email"].state == "granted"


def test_consents_of_merges_do_not_depend_on_their_order() -> None:
    said = ["suppressed", "denied", "granted", "suppressed", "bounced", "denied"]
    for channel_states in (said[:3], said[1:5], said):
        parts = [
            Profile(n, f"k{n}", 0, consents={"email": Consent(state, f"source{n}", n, n)})
            for n, state in enumerate(channel_states, 1)
        ]
        found = set()
        for one in permutations(parts):
            left, right = one[0], one[-1]
            for part in one[1:]:
                left = _merged(left, part)
            for part in one[-2::-1]:
                right = _merged(part, right)
            halves = _merged(_merged(one[0], one[1]), _merged(one[2], one[3])) if len(one) == 4 else left
            found |= {left.consents["email"], right.consents["email"], halves.consents["email"]}
        assert len(found) == 1
        [consent] = found
        assert (consent.state, consent.at_us) == ("suppressed", len(parts))


def test_without_a_refusal_the_later_consent_counts() -> None:
    granted = Profile(1, "a", 0, consents={"email": Consent("granted", "form", 1, 1)})
    bounced = Profile(2, "b", 0, consents={"email": Consent("bounced", "mail", 2, 2)})
    assert _merged(granted, bounced).consents == _merged(bounced, granted).consents == bounced.consents


def test_lists_unite() -> None:
    on = with_move(Profile(1, "a", 0), "vip", ListMove(True, 1, 1))
    off = with_move(Profile(2, "b", 0), "vip", ListMove(False, 5, 5))
    one = _merged(off, on)
    assert one.on_list("vip")
    for part in (1, 2):
        later = written(one, part, lambda part: with_move(part, "vip", ListMove(False, 6, 2000)))
        assert not later.on_list("vip")


def test_a_merge_taken_back_leaves_both_as_they_were() -> None:
    parts = [Profile(n, f"k{n}", n, frozenset((Identifier("email", f"{n}@example.com"),))) for n in range(1, 5)]
    chain = parts[0]
    for part in parts[1:]:
        chain = _merged(chain, part)  # every one of them hangs on the first
    both = split(chain, chain.edges[1])
    assert both.restored == replace(parts[2], apart=(((3,), (1, 2, 4)),), undone=(2,))
    assert (both.kept.contact, both.kept.part_numbers(), both.kept.apart) == (1, (1, 2, 4), (((1, 2, 4), (3,)),))
    assert [survivor_and_loser((1, 2, 4), both.kept.edges, edge) for edge in both.kept.edges] == [(1, 2), (1, 4)]
    twice = split(both.kept, both.kept.edges[0])
    assert twice.restored.apart == (((2,), (1, 4)), ((2,), (3,)))


def test_a_side_goes_by_whoever_survived_in_it() -> None:
    """Contact 2 became part of 1, and by way of 2 both became part of 9: without the first merge, 2 is part of 9."""
    one, two, nine = (Profile(n, f"k{n}", 0) for n in (1, 2, 9))
    pair = merge(one, two, Edge(1, 1, 2, 10))
    whole = merge(nine, pair, Edge(2, 9, 2, 20))
    assert [survivor_and_loser((1, 2, 9), whole.edges, edge) for edge in whole.edges] == [(1, 2), (9, 1)]
    both = split(whole, whole.edges[0])
    assert (both.kept.contact, both.kept.part_numbers(), both.restored.contact) == (9, (2, 9), 1)
    assert survivor_and_loser((2, 9), both.kept.edges, both.kept.edges[0]) == (9, 2)


def _refs(*triples: tuple[int, int, int]) -> Refs:
    return np.array(list(triples), REF)


def test_chunks_close_when_full_and_repetitions_are_left_out() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    everything = [(rng.randrange(1000), position, row) for position in range(1, 200) for row in range(3)]
    closed: dict[int, Refs] = {}
    head, done = Head(), 0
    while done < len(everything):
        repeated = max(0, done - rng.randrange(5)) if len(head.refs) > 5 else done
        done += rng.randrange(1, 60)
        head, full = unpack_head(pack_head(head) if head.earliest_us is not None else None).extended(
            _refs(*everything[repeated:done])
        )
        closed.update(full)
    assert [len(closed[number]) for number in range(head.closed)] == [CHUNK_REFS] * head.closed
    assert head.earliest_us == min(at_us for at_us, _, _ in everything)
    stored = [*(closed[number] for number in range(head.closed)), head.refs]
    assert [tuple(ref) for part in stored for ref in part.tolist()] == everything
    assert newest_first([*stored, *stored]).tolist() == sorted(everything, reverse=True)


def test_the_tail_is_read_by_contact() -> None:
    tail = Tail()
    assert tail.of([1]).tolist() == []
    assert tail.earliest_us([1, 2]) == [None, None]
    tail.add(1, np.array([1, 2, 1], np.uint32), np.array([30, 20, 10]))
    tail.add(2, np.array([], np.uint32), np.array([], np.int64))
    tail.add(3, np.array([3, 1], np.uint32), np.array([5, 6]))
    assert tail.of([1]).tolist() == [(30, 1, 0), (10, 1, 2), (6, 3, 1)]
    assert tail.earliest_us([1]) == [6]
    assert tail.earliest_us([3, 9, 1, 3]) == [5, None, 6, 5]
    assert {contact: refs.tolist() for contact, refs in tail.by_contact()} == {
        1: [(30, 1, 0), (10, 1, 2), (6, 3, 1)],
        2: [(20, 1, 1)],
        3: [(5, 3, 0)],
    }
    tail.clear()
    assert len(tail) == 0


def test_what_items_told_is_referred_to_by_part() -> None:
    facts = (
        ContactState(1, "k", True, 0, 5, 0, item=0),
        AttributeWrite(1, "city", "Kyiv", 5, False, 0, 0),
        ListChange(1, "vip", True, 5, False, 0, 0),
        ConsentWrite(1, "sms", "", "denied", "form", "", 4, False, 0, 0),
        AttributeWrite(1, "city", "Lviv", 6, False, 0, 1, part=7),
        Merge(1, 2, 1, 2),
        AttributeWrite(1, "city", "Odesa", 7, False, 1, 2),
        Unmerge(1, 7, "old", (), 9, 1, 3),
        AttributeWrite(7, "city", "Lviv", 6, False, 1, 3),
        AttributeWrite(1, "email", "e@example.com", 8, False, 1, EVENT_ITEM),
    )
    runs = fact_runs(facts)
    assert runs == [FactRun(1, 4, 1, 5), FactRun(4, 5, 7, 6), FactRun(6, 7, 1, 7), FactRun(9, 10, 1, 8)]
    tail = Tail()
    tail.add(3, np.array([1, 7], np.uint32), np.array([50, 60]), runs)
    rows = [(50, 3, 0), (5, 3, FACT_ROW | 1), (7, 3, FACT_ROW | 6), (8, 3, FACT_ROW | 9)]
    assert tail.of([1]).tolist() == rows
    assert {part: refs.tolist() for part, refs in tail.by_contact()}[1] == rows
    assert Head().extended(tail.of([1]))[0].refs.tolist() == rows


def test_the_stored_form_of_merges_and_outcomes() -> None:
    evidence = (Identifier("email", "e@example.com"), Identifier("phone", "+1"))
    record = MergeRecord(3, 1, 2, "k1", "k2", -4, 5, evidence)
    assert encode_merge(record) == (
        b'{"at_us":-4,"evidence":[{"kind":"email","value":"e@example.com"},{"kind":"phone","value":"+1"}],'
        b'"loser":2,"loser_key":"k2","ordinal":3,"position":5,"survivor":1,"survivor_key":"k1","undone":null,"v":1}'
    )
    for one in (record, replace(record, undone=Undone(6, 7, "key", "sisters"))):
        assert decode_merge(encode_merge(one)) == one
    with pytest.raises(ValueError, match="format 9"):
        decode_merge(encode_merge(record).replace(b'"v":1', b'"v":9'))
    outcome = Outcome("NOT_MERGED", "why", 1, 2)
    assert encode_outcome(outcome) == b'{"detail":"why","reason":"NOT_MERGED","restored":2,"survivor":1}'
    assert decode_outcome(encode_outcome(outcome)) == outcome


def test_a_category_reaches_where_nothing_was_said_of_the_channel() -> None:
    email = Identifier("email", "e@example.com")

    def reached(**states: str) -> int:
        consents = {
            consent_key("email", "" if name == "channel" else name): Consent(state, "form", 1, 1)
            for name, state in states.items()
        }
        return Profile(1, "k", 0, frozenset({email}), consents=consents).reachable()

    bit = 1 << CHANNELS.index("email")
    assert reached(channel="granted") == reached(news="granted") == reached(channel="granted", news="denied") == bit
    assert reached(news="denied") == reached(channel="denied", news="granted") == 0
    assert reached(channel="suppressed", news="granted") == reached(channel="unconfirmed", news="granted") == 0
    assert reached(news="unconfirmed") == 0


def test_a_device_that_is_gone_reaches_nobody_and_takes_no_other_along() -> None:
    web, phone = "webpush:k.s.https://push.example/1", "fcm:phone"
    tokens = frozenset(Identifier("push_token", token) for token in (web, phone))
    profile = Profile(1, "k", 0, tokens)
    assert profile.reachable() == 0
    for channel in ("web_push", "mobile_push"):
        profile = with_consent(profile, channel, Consent("granted", "", 1, 1))
    assert profile.reachable() == 0b110
    for state in ("bounced", "denied"):
        told = with_consent(profile, f"web_push/{device_category(web)}", Consent(state, "", 2, 2))
        assert told.reachable() == 0b100
        other = replace(told, identifiers=tokens | {Identifier("push_token", "webpush:k.s.https://push.example/2")})
        assert other.reachable() == 0b110
    # What is told of a device under another channel is of no other device.
    assert with_consent(profile, f"sms/{device_category(web)}", Consent("bounced", "", 2, 2)).reachable() == 0b110
