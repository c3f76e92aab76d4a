"""Histories of weak identifiers."""

from __future__ import annotations

import random

import pytest

from core.identity.links import (
    History,
    Link,
    alone,
    contact_of,
    holder,
    linked_at,
    pack_link,
    part_of,
    rehomed,
    unpack_link,
    with_link,
)


def test_before_the_first_link_it_is_the_first_holders() -> None:
    history: History = ((10, 1), (20, 2))
    assert [linked_at(history, at) for at in (5, 10, 19, 20, 99)] == [1, 1, 1, 2, 2]


def test_links_insert_by_their_instant() -> None:
    history = with_link((), 10, 1, 100)
    assert history == ((10, 1),)
    assert with_link(history, 15, 1, 100) is history
    assert with_link(history, 5, 1, 100) == ((5, 1),)
    assert with_link(history, 20, 2, 100) == ((10, 1), (20, 2))
    assert with_link(((10, 1), (20, 2)), 15, 2, 100) == ((10, 1), (15, 2))
    assert with_link(((10, 1), (20, 2)), 20, 1, 100) == ((10, 1),)
    assert with_link(((10, 1), (20, 2)), 5, 2, 100) == ((5, 2), (10, 1), (20, 2))


def test_it_changes_hands_only_so_often() -> None:
    assert with_link(((10, 1), (20, 2)), 30, 3, 2) is None
    assert with_link(((10, 1), (20, 2)), 30, 3, 3) == ((10, 1), (20, 2), (30, 3))


def test_parts_of_a_merged_contact_lead_to_the_survivor_and_back() -> None:
    history = ((10, alone(1)), (20, alone(2)), (30, alone(3)))
    merged = rehomed(history, {2: 1})
    assert merged == ((10, alone(1)), (20, holder(2, 1)), (30, alone(3)))
    assert rehomed(merged, {2: 2}) == history
    assert rehomed(alone(7), {7: 3, 3: 9}) == holder(7, 3)
    assert (part_of(holder(7, 3)), contact_of(holder(7, 3))) == (7, 3)


def test_the_latest_link_at_or_before_an_instant_decides() -> None:
    """Against a plain list of links, where nothing is folded away."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(200):
        history: History = ()
        links: list[tuple[int, int]] = []
        for at in sorted(rng.sample(range(100), 20)):  # in the order of time nothing is lost by joining equal ones
            contact = rng.randrange(3)
            history = with_link(history, at, contact, 1000) or ()
            links.append((at, contact))
        for at in range(100):
            past = [contact for when, contact in links if when <= at]
            assert linked_at(history, at) == (past[-1] if past else links[0][1])
        stored = rehomed(tuple((at, alone(contact)) for at, contact in history), {1: rng.choice((1, 2))})
        assert unpack_link(pack_link(stored)) == stored


def test_stored_form() -> None:
    top = 2**32 - 1
    assert pack_link(alone(7)) == b"\0\0\0\7"
    assert pack_link(holder(9, 7)) == b"\0\0\0\7\0\0\0\x09"
    assert pack_link(((-1, alone(2)),)) == b"\xff" * 8 + b"\0\0\0\2"
    assert pack_link(((-1, holder(3, 2)),)) == b"\1" + b"\xff" * 8 + b"\0\0\0\2\0\0\0\3"
    links: list[Link] = [alone(top), holder(top, 1), ((0, alone(1)), (5, holder(top, 1)))]
    links += [tuple((n, holder(n % 3 + 1, 1)) for n in range(count)) for count in range(1, 30)]
    for link in links:
        assert unpack_link(pack_link(link)) == link
    with pytest.raises(ValueError, match="5 bytes"):
        unpack_link(b"12345")
