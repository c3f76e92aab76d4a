"""The calls of the load: drawn from a seed, in their shares, and of rules that the language has."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from cdp.segment.v1 import segment_pb2 as pb
from core.query.text.parse import parse
from tests.load.mix import EVALUATE_ALL, EVALUATE_SOME, IS_MEMBER, METHODS, MIXES, draw_calls, draw_slow, saved_names

_CONTACTS = 1_000


@pytest.mark.parametrize("mix", MIXES)
def test_a_mix_keeps_its_shares(mix: str) -> None:
    calls = draw_calls(mix, 5_000, _CONTACTS, 7)
    assert calls == draw_calls(mix, 5_000, _CONTACTS, 7)
    counted = Counter(call.kind for call in calls)
    for kind, share in MIXES[mix].items():
        assert abs(counted[kind] / 5_000 - share) < 0.04
        assert kind in METHODS


def test_requests_ask_about_what_there_is() -> None:
    for call in draw_calls("mixed", 500, _CONTACTS, 8):
        if call.kind == IS_MEMBER:
            asked = pb.IsMemberRequest.FromString(call.body)
            assert asked.name in saved_names()
            assert asked.contacts and max(asked.contacts) < _CONTACTS
        elif call.kind in (EVALUATE_SOME, EVALUATE_ALL):
            evaluated = pb.EvaluateRequest.FromString(call.body)
            parse(evaluated.rule.text)
            assert bool(evaluated.contacts) == (call.kind == EVALUATE_SOME)


def test_the_slow_question_is_never_the_same() -> None:
    generator = random.Random(9)
    bodies = {draw_slow(generator) for _ in range(20)}
    assert len(bodies) == 20
    for body in bodies:
        parse(pb.EvaluateRequest.FromString(body).rule.text)
