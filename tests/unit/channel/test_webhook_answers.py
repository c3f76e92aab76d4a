"""What a webhook's receiver answers, as values of the run."""

from __future__ import annotations

import json

import pytest

from core.schema import DecimalUnits
from services.channel.senders.pinned_post import Answer
from services.channel.senders.webhook import answered


def told(body: bytes) -> dict[str, object]:
    found = answered(Answer(200, {}, body))
    assert found.pop("status") == 200
    return dict(found)


def test_scalar_fields_become_values() -> None:
    body = b'{"code": "A1", "n": 7, "price": 12.5, "ok": true, "none": null, "list": [1], "in": {"a": 1}, "a b": 1}'
    assert told(body) == {
        "answer_code": "A1",
        "answer_n": 7,
        "answer_price": DecimalUnits(125_000),
        "answer_ok": True,
    }


@pytest.mark.parametrize(
    "body",
    [b"", b"no json", b"[1]", b'"text"', b"{", b'{"a": NaN}', b'{"a": 1e999999999}', b"[" * 100_000, b"\xff",
     b'{"a": 0.00001}', b'{"a": 9223372036854775808}', b'{"a": ' + b"9" * 5_000 + b"}"],
)  # fmt: skip
def test_what_cannot_be_read_is_left_out(body: bytes) -> None:
    assert told(body) == {}


def test_answers_are_bounded_and_clean() -> None:
    found = told(json.dumps({f"f{number}": "x" * 600 for number in range(30)}).encode())
    assert len(found) == 20
    assert set(map(len, map(str, found.values()))) == {500}
    assert told(b'{"a": "\\ud800\\u0000b"}') == {"answer_a": "?b"}
