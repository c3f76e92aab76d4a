"""Circles on the globe whose edges pass close by the places of the worlds."""

from __future__ import annotations

from math import asin, cos, radians, sin, sqrt
from random import Random

from core.query.ast import Circle
from tests.generators.vocabulary import PLACES

_RADIUS_MM = 6_371_008_800


def circle(random: Random) -> Circle:
    """Around some place: just large enough to hold another, or just not, or of no size at all."""
    middle, edge = random.choice(PLACES), random.choice(PLACES)
    # A millimetre is far more than the rounding of any order of operations.
    radius_mm = round(_distance_mm(middle, edge)) + random.choice((-2, 2, 2, 100_000))
    return Circle(*middle, max(radius_mm, 0))


def _distance_mm(one: tuple[int, int], other: tuple[int, int]) -> float:
    (lat1, lon1), (lat2, lon2) = ([radians(e7 / 10_000_000) for e7 in place] for place in (one, other))
    half = sin((lat2 - lat1) / 2) ** 2 + cos(lat1) * cos(lat2) * sin((lon2 - lon1) / 2) ** 2
    return 2 * _RADIUS_MM * asin(sqrt(min(1.0, half)))
