"""Many facts of contacts at once, as columns: what imports and generators load instead of one object a fact."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.index.keys import Keys
from core.schema import Kind


@dataclass(frozen=True, slots=True)
class StateColumns:
    """What ContactState says, of unique `contacts` (uint32) in any order. `keys`: texts, or n x 16 bytes (uint8) of
    UUIDs. `known` bool, `reachable` uint8 bits of CHANNELS, `occurred_at_us` int64."""

    contacts: NDArray[np.uint32]
    keys: Keys
    known: NDArray[np.bool_]
    reachable: NDArray[np.uint8]
    occurred_at_us: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class WriteColumns:
    """What AttributeWrite says, of one attribute, in log order; a contact may stand in it more than once.

    `values` int64: integers; decimals in units; booleans 0 or 1; instants in microseconds; dates as days since 1970;
    for TEXT places in `texts`. `missing`: where a write erases the value; None: nowhere. Lists and locations are
    written one by one."""

    name: str
    contacts: NDArray[np.uint32]
    occurred_at_us: NDArray[np.int64]
    kind: Kind
    values: NDArray[np.int64]
    texts: tuple[str, ...] = ()
    missing: NDArray[np.bool_] | None = None
