"""A token opens one inbox, for a while, and nothing else does."""

from __future__ import annotations

import base64
import random

import pytest

from core.clock import DAY_US, SECOND_US
from core.delivery.inbox_tokens import InboxReader, reader_of, sign_reader
from core.delivery.links import sign
from core.delivery.visits import sign_visit
from core.errors import CdpError

KEY = b"k" * 32
NOW_US = 1_800_000_000 * SECOND_US
ANN = InboxReader("shop", "c0123456789abcde")
TOKEN = sign_reader(KEY, ANN, NOW_US + DAY_US)


def reason(token: str, key: bytes = KEY, now_us: int = NOW_US) -> str:
    with pytest.raises(CdpError) as caught:
        reader_of(key, token, now_us)
    return caught.value.reason


def test_a_token_names_whom_it_was_made_for() -> None:
    assert reader_of(KEY, TOKEN, NOW_US) == ANN
    assert reader_of(KEY, TOKEN, NOW_US + DAY_US - SECOND_US) == ANN
    assert reason(TOKEN, now_us=NOW_US + DAY_US) == "INBOX_TOKEN_ENDED"
    assert reason(TOKEN, key=b"x" * 32) == "BAD_INBOX_TOKEN"


def test_nothing_else_opens_an_inbox() -> None:
    others = (
        "", "a", "-", "é", "a" * 5_000, TOKEN + "A", TOKEN[:-2], TOKEN.upper(),
        sign_visit(KEY, "shop", ANN.contact_key, NOW_US), sign(KEY, "shop", "m1", 1, 0),
    )  # fmt: skip
    assert {reason(one) for one in others} == {"BAD_INBOX_TOKEN"}


def test_no_changed_byte_is_believed() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    raw = base64.urlsafe_b64decode(TOKEN + "=" * (-len(TOKEN) % 4))
    for at in range(len(raw)):
        changed = bytearray(raw)
        changed[at] ^= 1 << chance.randrange(8)
        assert reason(base64.urlsafe_b64encode(bytes(changed)).rstrip(b"=").decode()) == "BAD_INBOX_TOKEN"


def test_what_no_token_holds() -> None:
    for reader, until_us in ((InboxReader("w" * 256, "c"), NOW_US), (InboxReader("w", ""), NOW_US), (ANN, -1)):
        with pytest.raises(ValueError, match="inbox token"):
            sign_reader(KEY, reader, until_us)
    with pytest.raises(ValueError, match="2105"):
        sign_reader(KEY, ANN, 2**32 * SECOND_US)
