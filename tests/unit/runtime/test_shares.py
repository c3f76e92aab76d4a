"""Shares: nobody has more than half, and what was given back is free again."""

from __future__ import annotations

import random

import pytest

from services.runtime.shares import Shares


def test_half_is_the_most_of_one() -> None:
    shares = Shares(10)
    assert [shares.take("a") for _ in range(6)] == [True] * 5 + [False]
    assert [shares.take(name) for name in "bcdefg"] == [True] * 5 + [False]
    shares.give_back("a")
    assert shares.take("g")
    assert (shares.total, shares.of("a"), shares.of("nobody")) == (10, 4, 0)
    with pytest.raises(ValueError, match="more given back"):
        shares.give_back("b", 2)


def test_the_smallest_room_lets_one_in() -> None:
    assert [Shares(1).take("a"), Shares(0).take("a")] == [True, False]


def test_what_moves_is_counted_once() -> None:
    shares = Shares(8)
    assert shares.take("", 4)
    assert shares.move(2, "", "a")
    assert shares.move(2, "", "a")
    assert (shares.of(""), shares.of("a"), shares.total) == (0, 4, 4)
    assert shares.take("", 1)
    assert not shares.move(1, "", "a"), "the share of a is full"
    assert (shares.of(""), shares.of("a")) == (1, 4)
    assert shares.move(0, "", "a")


def test_against_plain_sums() -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance, shares = random.Random(seed), Shares(40)
    had: dict[str, int] = dict.fromkeys("abcd", 0)
    for _ in range(5_000):
        name, other, amount = chance.choice("abcd"), chance.choice("abcd"), chance.randrange(9)
        turn = chance.randrange(3)
        if turn == 0:
            fits = had[name] + amount <= 20 and sum(had.values()) + amount <= 40
            assert shares.take(name, amount) == fits
            had[name] += amount if fits else 0
        elif turn == 1:
            amount = min(amount, had[name])
            shares.give_back(name, amount)
            had[name] -= amount
        else:
            amount = min(amount, had[name])
            fits = name == other or not amount or had[other] + amount <= 20
            assert shares.move(amount, name, other) == fits
            if fits:
                had[name] -= amount
                had[other] += amount
        assert {one: shares.of(one) for one in had} == had
        assert shares.total == sum(had.values())
