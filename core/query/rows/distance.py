"""Distance on the sphere. The only floating point of the engine: what is compared is a length, not a sum of money."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from core.index.dictionary import TextDictionary
from core.index.root import Root
from core.kernels.ranges import sorted_unique
from core.query.ast import Circle
from core.query.execute_context import Context

#: Mean radius of the earth, metres.
EARTH_RADIUS_M = 6_371_008.8
_E7 = 1e7
_MM = 1000.0

#: By index: all its roots share one dictionary.
_REMEMBERED: WeakKeyDictionary[TextDictionary, tuple[NDArray[np.int64], NDArray[np.int64]]] = WeakKeyDictionary()


def inside_circle(numbers: NDArray[np.int64], circle: Circle, context: Context) -> NDArray[np.bool_]:
    """Which places (numbers of `root.locations`) lie in the circle, its rim included. Each place is asked once; the
    answer does not depend on which others are asked, as every step is one operation on one place."""
    asked = sorted_unique(numbers)
    latitudes, longitudes = _places(context.root)
    distances = metres(latitudes[asked], longitudes[asked], circle.latitude_e7, circle.longitude_e7)
    held = distances * _MM <= circle.radius_mm
    return np.asarray(held[np.searchsorted(asked, numbers)], np.bool_)


def _places(root: Root) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Latitudes and longitudes of `root.locations` at least, in units of 1e-7 degrees. They only grow, so what was
    made for an earlier root is gone on with; a lost race between readers only repeats work."""
    known = _REMEMBERED.get(root.dictionary)
    if known is None or len(known[0]) < len(root.locations):
        known = (np.zeros(0, np.int64), np.zeros(0, np.int64)) if known is None else known
        fresh = root.locations[len(known[0]) :]
        known = (
            np.concatenate((known[0], np.array([place.latitude_e7 for place in fresh], np.int64))),
            np.concatenate((known[1], np.array([place.longitude_e7 for place in fresh], np.int64))),
        )
        _REMEMBERED[root.dictionary] = known
    return known


def metres(
    latitudes_e7: NDArray[np.int64], longitudes_e7: NDArray[np.int64], latitude_e7: int, longitude_e7: int
) -> NDArray[np.float64]:
    """The haversine distance of each place from one, in binary floats, without any tolerance. Differences are taken
    in whole units first, so that equal places are exactly 0 apart."""
    north = np.radians((latitudes_e7 - latitude_e7) / _E7)
    east = np.radians((longitudes_e7 - longitude_e7) / _E7)
    cosines = np.cos(np.radians(latitudes_e7 / _E7)) * np.cos(np.radians(latitude_e7 / _E7))
    chord = np.sin(north / 2) ** 2 + cosines * np.sin(east / 2) ** 2
    distance: NDArray[np.float64] = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(chord, 1.0)))
    return distance
