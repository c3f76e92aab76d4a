"""Published numbers as stored state."""

from __future__ import annotations

import json

from core.query.knowledge import RfmThresholds, Statistic
from core.segments.publication import Number


def encode_number(number: Number) -> bytes:
    """JSON."""
    if isinstance(number, Statistic):
        return json.dumps([number.numerator, number.denominator, number.n, number.as_of_us]).encode()
    return json.dumps(
        [list(number.recency), list(number.frequency), list(number.monetary), number.n, number.as_of_us]
    ).encode()


def decode_number(data: bytes) -> Number:
    """From `encode_number`."""
    fields = json.loads(data)
    if len(fields) == 4:
        return Statistic(*fields)
    recency, frequency, monetary, n, as_of_us = fields
    return RfmThresholds(tuple(recency), tuple(frequency), tuple(monetary), n, as_of_us)
