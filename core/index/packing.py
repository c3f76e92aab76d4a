"""Whole numbers in as few bytes as they need: `base + factor * code`, codes of 1, 2 or 4 bytes, else int64 as they are.

A comparison with a number is one with a code (`code_range`), so that nothing has to be unpacked for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SMALL = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.uint32))
_WIDE = np.dtype(np.int64)
#: Where a factor is looked for first: most columns that have none show it here.
_SAMPLE = 64
#: Values further apart than this have no factor, so that differences stay within int64.
_MAX_SPAN = 2**62


@dataclass(frozen=True, slots=True)
class Packed:
    """Value i is `base + factor * codes[i]`. `codes` are uint8, uint16 or uint32; or int64 with base 0 and factor 1."""

    codes: NDArray[Any]
    base: int = 0
    factor: int = 1

    def __len__(self) -> int:
        return len(self.codes)

    def values(self, dtype: np.dtype[Any]) -> NDArray[Any]:
        """The values as `dtype`, which holds them all; not to be written, as it may be the codes themselves."""
        if self.base == 0 and self.factor == 1:
            return self.codes.astype(dtype, copy=False)
        wide = self.codes.astype(_WIDE)
        if self.factor != 1:
            wide *= self.factor
        wide += self.base
        return wide.astype(dtype, copy=False)

    def take(self, selection: slice | NDArray[Any]) -> Packed:
        """The values at `selection`, in its order."""
        return Packed(self.codes[selection], self.base, self.factor)

    def code_range(self, low: int, high: int) -> tuple[int, int] | None:
        """The codes whose values v have `low <= v <= high`, first and last; None where no code can."""
        first = -((self.base - low) // self.factor)
        last = (high - self.base) // self.factor
        limits = np.iinfo(self.codes.dtype)
        first, last = max(first, int(limits.min)), min(last, int(limits.max))
        return (first, last) if first <= last else None

    def limits(self) -> tuple[int, int]:
        """Between which no value lies outside; of 1 or 2 or 4 bytes without looking, else the bounds."""
        if self.codes.dtype == _WIDE:
            return self.bounds()
        return self.base, self.base + self.factor * int(np.iinfo(self.codes.dtype).max)

    def bounds(self) -> tuple[int, int]:
        """The smallest and the largest value; (0, 0) for none."""
        if len(self.codes) == 0:
            return 0, 0
        return self.base + self.factor * int(self.codes.min()), self.base + self.factor * int(self.codes.max())


def pack_values(values: NDArray[Any], *, scaled: bool = False) -> Packed:
    """`values` (int64, or unsigned of any width) packed; `scaled`: a common factor of the differences is taken out."""
    if len(values) == 0:
        return Packed(np.zeros(0, np.uint8))
    base, largest = int(values.min()), int(values.max())
    factor = _factor(values, base) if scaled and base < largest <= base + _MAX_SPAN else 1
    dtype = _smallest((largest - base) // factor)
    if dtype == _WIDE:
        return Packed(values.astype(_WIDE, copy=False))
    if base >= 0 and base % factor == 0 and _smallest(largest // factor) == dtype:
        base = 0  # as narrow, and joined with others that begin at 0 by copying
    if base == 0 and factor == 1:
        return Packed(values.astype(dtype))
    rest = values.astype(_WIDE) - base
    return Packed((rest // factor if factor != 1 else rest).astype(dtype), base, factor)


def join_packed(parts: Sequence[Packed]) -> Packed:
    """All values, part after part."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    if all((one.base, one.factor, one.codes.dtype) == (first.base, first.factor, first.codes.dtype) for one in parts):
        return Packed(np.concatenate([part.codes for part in parts]), first.base, first.factor)
    if any(part.codes.dtype == _WIDE for part in parts if len(part)):
        return Packed(np.concatenate([part.values(_WIDE) for part in parts]))
    held = [(part, int(part.codes.max())) for part in parts if len(part)]
    base = min((part.base for part, _ in held), default=0)
    largest = max((part.base + part.factor * top for part, top in held), default=base)
    # The factor of a part that holds one value only says nothing.
    factor = gcd(*(part.factor for part, top in held if top), *(part.base - base for part, _ in held)) or 1
    dtype = _smallest((largest - base) // factor)
    if dtype == _WIDE or largest - base > _MAX_SPAN:
        return Packed(np.concatenate([part.values(_WIDE) for part in parts]))
    codes = np.empty(sum(map(len, parts)), dtype)
    place = 0
    for part, top in held:
        here = codes[place : place + len(part)]
        place += len(part)
        np.copyto(here, part.codes, casting="unsafe")  # no code of a part is larger than the largest of all
        if top and part.factor != factor:
            here *= dtype.type(part.factor // factor)
        if part.base != base:
            here += dtype.type((part.base - base) // factor)
    return Packed(codes, base, factor)


def offsets_of(lengths: NDArray[Any]) -> NDArray[Any]:
    """Where each of parts of these lengths begins, and where the last one ends: uint32, int64 where that is too
    small."""
    total = int(lengths.sum(dtype=np.int64)) if len(lengths) else 0
    result = np.zeros(len(lengths) + 1, np.uint32 if total < 2**32 else np.int64)
    np.cumsum(lengths, out=result[1:], dtype=result.dtype)
    return result


def _smallest(largest: int) -> np.dtype[Any]:
    for dtype in _SMALL:
        if largest <= int(np.iinfo(dtype).max):
            return dtype
    return _WIDE


def _factor(values: NDArray[Any], base: int) -> int:
    """The greatest common divisor of all `value - base`."""
    some = int(np.gcd.reduce(values[:_SAMPLE].astype(_WIDE) - base))
    if some == 1:
        return 1
    rest = values.astype(_WIDE) - base
    if some > 1 and not (rest % some).any():
        return some
    return int(np.gcd.reduce(rest)) or 1
