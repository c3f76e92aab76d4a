"""Histories of weak identifiers."""

from __future__ import annotations

import random

import pytest

from core.identity.links import History, linked_at, pack_link, renamed, unpack_link, with_link


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


def test_a_merged_holder_is_renamed() -> None:
    assert renamed(((10, 1), (20, 2), (30, 3)), 2, 1) == ((10, 1), (30, 3))


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
        assert unpack_link(pack_link(history)) == history


def test_stored_form() -> None:
    assert unpack_link(pack_link(7)) == 7
    assert pack_link(((-1, 2),)) == b"\xff" * 8 + b"\0\0\0\2"
    with pytest.raises(ValueError, match="5 bytes"):
        unpack_link(b"12345")
