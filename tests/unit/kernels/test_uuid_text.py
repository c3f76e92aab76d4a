"""Ids as pairs of numbers."""

from __future__ import annotations

import random
import uuid

import numpy as np
import pytest

from core.kernels.uuid_text import plain_read_uuids, read_uuids, write_uuid, write_uuids

SEED = 73


def test_uuids_are_read_and_written_and_order_as_texts() -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    texts = [str(uuid.UUID(int=rng.getrandbits(128))) for _ in range(200)]
    texts += ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"]
    data = np.frombuffer("".join(texts).encode(), np.uint8)
    fast, plain = np.zeros(2 * len(texts), np.uint64), np.zeros(2 * len(texts), np.uint64)
    assert read_uuids(data, fast)
    assert plain_read_uuids(data, plain)
    assert fast.tolist() == plain.tolist()
    pairs = list(zip(fast[0::2].tolist(), fast[1::2].tolist(), strict=True))
    assert [write_uuid(*pair).decode() for pair in pairs] == texts
    assert write_uuids(fast).tobytes() == data.tobytes()
    assert [text for _, text in sorted(zip(pairs, texts, strict=True))] == sorted(texts)


@pytest.mark.parametrize(
    "text",
    [
        "0000000A-0000-0000-0000-000000000000",
        "0000000g-0000-0000-0000-000000000000",
        "00000000-0000-0000-000-0000000000000",
        "-00000000000-0000-0000-000000000000-",
        "00000000/0000-0000-0000-000000000000",
        "0000000:-0000-0000-0000-00000000000`",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    data = np.frombuffer(("0" * 8 + "-0000-0000-0000-" + "0" * 12 + text).encode(), np.uint8)
    assert not read_uuids(data, np.zeros(4, np.uint64))
    assert not plain_read_uuids(data, np.zeros(4, np.uint64))
