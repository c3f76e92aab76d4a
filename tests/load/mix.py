"""The calls of the load: which kinds in which shares, serialised before the clock runs."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cdp.segment.v1 import segment_pb2 as pb
from tests.bench.questions.saved_segments import SAVED
from tests.bench.workload import CATEGORIES, TEXT_ATTRIBUTES

#: Requests of one kind that are made beforehand and sent again and again.
_POOL = 500
_ASKED_CONTACTS = 10
_EVALUATED_CONTACTS = 20

COUNT, IS_MEMBER, EVALUATE_SOME, EVALUATE_ALL = "Count", "IsMember", "Evaluate 20 contacts", "Evaluate everyone"

#: Name of a mix -> kind -> share.
MIXES: Mapping[str, Mapping[str, float]] = {
    "counts": {COUNT: 1.0},
    "fast": {COUNT: 0.65, IS_MEMBER: 0.35},
    "mixed": {COUNT: 0.58, IS_MEMBER: 0.30, EVALUATE_SOME: 0.10, EVALUATE_ALL: 0.02},
}
METHODS: Mapping[str, str] = {
    COUNT: "/cdp.segment.v1.SegmentService/Count",
    IS_MEMBER: "/cdp.segment.v1.SegmentService/IsMember",
    EVALUATE_SOME: "/cdp.segment.v1.SegmentService/Evaluate",
    EVALUATE_ALL: "/cdp.segment.v1.SegmentService/Evaluate",
}


@dataclass(frozen=True, slots=True)
class Call:
    """A serialised request of one kind."""

    kind: str
    body: bytes


def saved_names() -> tuple[str, ...]:
    """The names of the twenty saved segments, in the order of their rules."""
    return tuple(f"saved {number}" for number in range(1, len(SAVED) + 1))


def draw_calls(mix: str, n: int, contacts: int, seed: int) -> list[Call]:
    """`n` calls of the mix about contacts 0 to `contacts` - 1; equal arguments draw equal calls."""
    generator = random.Random(f"{mix} {seed}")
    shares = MIXES[mix]
    pools = {kind: _pool(kind, contacts, generator) for kind in shares}
    kinds = generator.choices(list(shares), list(shares.values()), k=n)
    return [generator.choice(pools[kind]) for kind in kinds]


def _pool(kind: str, contacts: int, generator: random.Random) -> Sequence[Call]:
    draw = _DRAWS[kind]
    return [Call(kind, draw(contacts, generator)) for _ in range(_POOL)]


def _count(contacts: int, generator: random.Random) -> bytes:
    return pb.CountRequest(name=generator.choice(saved_names())).SerializeToString()


def _is_member(contacts: int, generator: random.Random) -> bytes:
    asked = [generator.randrange(contacts) for _ in range(_ASKED_CONTACTS)]
    return pb.IsMemberRequest(name=generator.choice(saved_names()), contacts=asked).SerializeToString()


def _evaluate_some(contacts: int, generator: random.Random) -> bytes:
    """A rule of attributes and two windows, with constants of its own."""
    text = (
        f'device = "{generator.choice(TEXT_ATTRIBUTES["device"])}" and age < {generator.randint(20, 70)}'
        f" and did product_viewed in last {generator.randint(24, 2_000)} hours"
        f" and did not message_opened in last {generator.randint(24, 500)} hours"
    )
    asked = [generator.randrange(contacts) for _ in range(_EVALUATED_CONTACTS)]
    return pb.EvaluateRequest(rule=pb.RuleSource(text=text), contacts=asked).SerializeToString()


def _evaluate_all(contacts: int, generator: random.Random) -> bytes:
    """A short question about everyone: who viewed a category in about a week and bought nothing."""
    category = generator.choice(CATEGORIES)
    text = (
        f'did product_viewed (category = "{category}") in last {generator.randint(100, 240)} hours'
        f" and did not order_completed in last {generator.randint(100, 240)} hours"
    )
    return pb.EvaluateRequest(rule=pb.RuleSource(text=text)).SerializeToString()


def draw_slow(generator: random.Random) -> bytes:
    """The slow question: sequences and sums over everyone, with constants that nobody asked before."""
    hours = generator.randint(300, 2_000)
    text = (
        f"(sequence in last {hours} hours: product_viewed then cart_updated within 1 day"
        " then not order_completed within 1 day)"
        f" or sum(order_completed.total) in last {hours + 5_000} hours > {generator.randint(100, 900)}"
    )
    return pb.EvaluateRequest(rule=pb.RuleSource(text=text)).SerializeToString()


_DRAWS: Mapping[str, Callable[[int, random.Random], bytes]] = {
    COUNT: _count,
    IS_MEMBER: _is_member,
    EVALUATE_SOME: _evaluate_some,
    EVALUATE_ALL: _evaluate_all,
}
