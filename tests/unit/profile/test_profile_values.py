"""Profiles as values: merge, bytes, timelines."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import date
from itertools import permutations

import numpy as np
import pytest

from core.events.columns import Identifier
from core.profile.codec import decode_profile, encode_profile
from core.profile.merge import absorbed, merge
from core.profile.profile import (
    Attribute,
    Consent,
    ListMove,
    Profile,
    with_attribute,
    with_consent,
    with_move,
)
from core.profile.timeline import CHUNK_REFS, REF, Head, Refs, Tail, newest_first, pack_head, unpack_head
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
    {"vip": (ListMove(True, 1, 1), ListMove(False, 2, 2))},
    ((3, "other"),),
)


def test_bytes_and_back() -> None:
    assert decode_profile(encode_profile(FULL)) == FULL
    assert encode_profile(decode_profile(encode_profile(FULL))) == encode_profile(FULL)
    assert decode_profile(encode_profile(absorbed(FULL, 2))).merged_into == 2
    with pytest.raises(ValueError, match="format 9"):
        decode_profile(encode_profile(FULL).replace(b'"v":1', b'"v":9'))


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
    for one in (merge(granted, suppressed), merge(suppressed, granted)):
        assert one.consents["email"] == Consent("suppressed", "link", 9, 9)
        assert with_consent(one, "email", Consent("granted", "", 5, 10)).consents["email"].state == "suppressed"
        assert with_consent(one, "email", Consent("granted", "", 10, 10)).consents["email"].state == "granted"


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
                left = merge(left, part)
            for part in one[-2::-1]:
                right = merge(part, right)
            halves = merge(merge(one[0], one[1]), merge(one[2], one[3])) if len(one) == 4 else left
            found |= {left.consents["email"], right.consents["email"], halves.consents["email"]}
        assert len(found) == 1
        [consent] = found
        assert (consent.state, consent.at_us) == ("suppressed", len(parts))


def test_without_a_refusal_the_later_consent_counts() -> None:
    granted = Profile(1, "a", 0, consents={"email": Consent("granted", "form", 1, 1)})
    bounced = Profile(2, "b", 0, consents={"email": Consent("bounced", "mail", 2, 2)})
    assert merge(granted, bounced).consents == merge(bounced, granted).consents == bounced.consents


def test_lists_unite() -> None:
    on = with_move(Profile(1, "a", 0), "vip", ListMove(True, 1, 1))
    off = with_move(Profile(2, "b", 0), "vip", ListMove(False, 5, 5))
    one = merge(off, on)
    assert one.on_list("vip")
    assert with_move(one, "vip", ListMove(False, 3, 6)).lists["vip"] == (ListMove(False, 3, 6), ListMove(False, 5, 5))
    assert not with_move(one, "vip", ListMove(False, 6, 6)).on_list("vip")


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
