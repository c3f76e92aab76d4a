"""Tokens of visits: genuine ones name their contact for an hour, everything else names nobody."""

from __future__ import annotations

import random

import pytest

from core.clock import SECOND_US
from core.delivery.links import sign
from core.delivery.visits import VISIT_TOKEN_S, sign_visit, visitor_of
from core.errors import CdpError

KEY = b"tracking key"
NOW_US = 1_793_000_000 * SECOND_US


def test_a_token_names_its_contact_for_an_hour() -> None:
    token = sign_visit(KEY, "shop", "contact-1", NOW_US)
    assert visitor_of(KEY, "shop", token, NOW_US) == "contact-1"
    assert visitor_of(KEY, "shop", token, NOW_US + VISIT_TOKEN_S * SECOND_US) == "contact-1"
    assert visitor_of(KEY, "shop", token, NOW_US - 60 * SECOND_US) == "contact-1"
    for at_us in (NOW_US + (VISIT_TOKEN_S + 1) * SECOND_US, NOW_US - 61 * SECOND_US):
        with pytest.raises(CdpError, match="too old") as error:
            visitor_of(KEY, "shop", token, at_us)
        assert error.value.reason == "BAD_LINK_TOKEN"


@pytest.mark.parametrize("token", ["", "x", "é", "AAAA" * 300, "=" * 40, sign(KEY, "shop", "m1", 7, 0)])
def test_other_texts_name_nobody(token: str) -> None:
    with pytest.raises(CdpError, match="none of ours"):
        visitor_of(KEY, "shop", token, NOW_US)


def test_keys_and_workspaces_are_kept_apart() -> None:
    token = sign_visit(KEY, "shop", "contact-1", NOW_US)
    for key, workspace in ((b"other", "shop"), (KEY, "shap"), (KEY, "sho"), (KEY, "shops")):
        with pytest.raises(CdpError, match="none of ours"):
            visitor_of(key, workspace, token, NOW_US)


def test_every_changed_character_is_seen() -> None:
    seed = 20_261_122
    print("seed", seed)
    chance = random.Random(seed)
    token = sign_visit(KEY, "shop", "contact-1", NOW_US)
    for place in range(len(token) - 1):
        other = chance.choice([c for c in "ABCabc019-_" if c != token[place]])
        with pytest.raises(CdpError, match="none of ours"):
            visitor_of(KEY, "shop", token[:place] + other + token[place + 1 :], NOW_US)


def test_what_cannot_be_signed() -> None:
    for workspace, now_us in (("w" * 256, NOW_US), ("shop", -1), ("shop", 2**32 * SECOND_US)):
        with pytest.raises(ValueError, match="a visit token holds"):
            sign_visit(KEY, workspace, "contact-1", now_us)
