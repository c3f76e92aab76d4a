"""The one set type: dense words where members are many, Roaring where they are few."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from core.index.roaring_format import numbers_to_portable, portable_to_numbers, words_to_portable
from core.kernels.bits import count_bits, numbers_of, set_bits, words_for
from core.kernels.placing import bits_of
from core.kernels.populations import count_within
from core.kernels.ranges import sorted_unique

#: A set that spans no more words than this is dense whatever it holds: 512 bytes.
_SMALL_WORDS = 64
#: Up to here a bitmap is made from a Python list; beyond, from portable bytes.
_LIST_LIMIT = 4096

Words = NDArray[np.uint64]


class ContactSet:
    """An immutable set of contact numbers (uint32).

    It holds either words (bit i of word w is number 64 w + i; about one member a word or more) or a Roaring bitmap.
    Which one never shows: equal members are equal sets. Not hashable.
    """

    __slots__ = ("_bitmap", "_count", "_words")

    def __init__(self, words: Words | None, bitmap: BitMap | None) -> None:
        """Exactly one of both is given, and belongs to the set from here on; use the class methods instead."""
        self._words = words
        self._bitmap = bitmap
        self._count = -1

    @classmethod
    def empty(cls) -> ContactSet:
        """The set without members."""
        return cls(np.zeros(0, np.uint64), None)

    @classmethod
    def from_numbers(cls, numbers: NDArray[np.uint32]) -> ContactSet:
        """The set of `numbers`, in any order, repeats allowed."""
        if len(numbers) == 0:
            return cls.empty()
        words_needed = (int(numbers.max()) >> 6) + 1
        if words_needed <= _SMALL_WORDS or len(numbers) >= words_needed:
            bits = np.zeros(words_needed * 64, np.bool_)
            bits[numbers] = True
            return cls(np.packbits(bits, bitorder="little").view(np.uint64), None)
        if len(numbers) <= _LIST_LIMIT:
            return cls(None, BitMap(numbers.tolist()))
        return cls(None, BitMap.deserialize(numbers_to_portable(sorted_unique(numbers).astype(np.uint32, copy=False))))

    @classmethod
    def from_mask(cls, mask: NDArray[np.bool_]) -> ContactSet:
        """The set of positions at which `mask` is true."""
        packed = np.packbits(mask, bitorder="little")
        padding = -len(packed) % 8
        if padding:
            packed = np.concatenate((packed, np.zeros(padding, np.uint8)))
        return cls(packed.view(np.uint64), None)

    @classmethod
    def deserialize(cls, data: bytes) -> ContactSet:
        """The set behind Roaring's portable bytes. Raises ValueError where they are none."""
        return cls.from_numbers(portable_to_numbers(data))

    def serialize(self) -> bytes:
        """Roaring's portable bytes: equal sets give equal bytes."""
        if self._words is not None:
            return words_to_portable(self._words)
        return numbers_to_portable(self.numbers())

    def words(self, least: int = 0) -> Words:
        """The set as words, at least so many; shared with the set, so do not write."""
        if self._words is None:
            numbers = self.numbers()
            words = words_for(max(least * 64, int(numbers[-1]) + 1 if len(numbers) else 0))
            set_bits(numbers, words)
            return words
        if len(self._words) >= least:
            return self._words
        words = np.zeros(least, np.uint64)
        words[: len(self._words)] = self._words
        return words

    @property
    def nbytes(self) -> int:
        """About how many bytes the members take: of words exactly, of a bitmap at most two a member."""
        if self._words is not None:
            return int(self._words.nbytes)
        assert self._bitmap is not None
        return 16 + 2 * len(self._bitmap)

    def has(self, numbers: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Membership of each of `numbers`."""
        if self._words is None:
            members = self.numbers()
            if len(members) == 0:
                return np.zeros(len(numbers), np.bool_)
            places = np.searchsorted(members, numbers.astype(np.uint32, copy=False))
            return np.asarray(members[np.minimum(places, len(members) - 1)] == numbers, np.bool_)
        return self._has(numbers)

    def numbers(self) -> NDArray[np.uint32]:
        """The members, ascending, uint32; a new array."""
        if self._words is not None:
            members = np.empty(len(self), np.uint32)
            numbers_of(self._words, members)
            return members
        assert self._bitmap is not None
        # The one quick way out of a bitmap: a list of 3,000 took 90 times as long, portable bytes 50 times.
        return np.frombuffer(self._bitmap.to_array(), np.uint32)

    def mask(self, n: int) -> NDArray[np.bool_]:
        """Membership of the numbers below `n`, n booleans; members from `n` on are left out."""
        result = np.zeros(n, np.bool_)
        if self._words is not None:
            bits = np.unpackbits(self._words.view(np.uint8), bitorder="little").view(np.bool_)
            shared = min(n, len(bits))
            result[:shared] = bits[:shared]
        else:
            numbers = self.numbers()
            result[numbers[numbers < n]] = True
        return result

    def compact(self) -> ContactSet:
        """The same set in its smaller form, for keeping."""
        if self._words is not None and len(self._words) > _SMALL_WORDS and len(self) < len(self._words):
            return ContactSet.from_numbers(self.numbers())
        return self

    def counts_with(self, one: ContactSet, other: ContactSet) -> tuple[int, int, int]:
        """How many members there are, how many of them are in `one`, and how many in `other`."""
        if self._words is None:
            numbers = self.numbers()
            return len(numbers), int(np.count_nonzero(one.has(numbers))), int(np.count_nonzero(other.has(numbers)))
        counts = np.zeros(3, np.int64)
        n = len(self._words)
        count_within(self._words, one.words(n)[:n], other.words(n)[:n], counts)
        self._count = int(counts[0])
        return self._count, int(counts[1]), int(counts[2])

    def __len__(self) -> int:
        if self._count < 0:
            if self._words is not None:
                self._count = count_bits(self._words)
            else:
                assert self._bitmap is not None
                self._count = len(self._bitmap)
        return self._count

    def __contains__(self, number: object) -> bool:
        if not isinstance(number, int | np.integer) or number < 0:
            return False
        if self._words is None:
            assert self._bitmap is not None
            return int(number) in self._bitmap
        word = int(number) >> 6
        return word < len(self._words) and bool((int(self._words[word]) >> (int(number) & 63)) & 1)

    def __iter__(self) -> Iterator[int]:
        return iter(self.numbers().tolist())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ContactSet):
            return NotImplemented
        if self._bitmap is not None and other._bitmap is not None:
            return bool(self._bitmap == other._bitmap)
        return len(self) == len(other) and bool(np.array_equal(self.numbers(), other.numbers()))

    def __repr__(self) -> str:
        return f"ContactSet({len(self)} members)"

    def __and__(self, other: ContactSet) -> ContactSet:
        if self._words is not None and other._words is not None:
            shared = min(len(self._words), len(other._words))
            return ContactSet(self._words[:shared] & other._words[:shared], None)
        if self._bitmap is not None and other._bitmap is not None:
            return ContactSet(None, self._bitmap & other._bitmap)
        words, sparse = (self, other) if self._words is not None else (other, self)
        numbers = sparse.numbers()
        return ContactSet.from_numbers(numbers[words._has(numbers)])

    def __or__(self, other: ContactSet) -> ContactSet:
        if self._bitmap is not None and other._bitmap is not None:
            return ContactSet(None, self._bitmap | other._bitmap)
        return self._dense_with(other, np.bitwise_or)

    def __xor__(self, other: ContactSet) -> ContactSet:
        if self._bitmap is not None and other._bitmap is not None:
            return ContactSet(None, self._bitmap ^ other._bitmap)
        return self._dense_with(other, np.bitwise_xor)

    def __sub__(self, other: ContactSet) -> ContactSet:
        if self._bitmap is not None:
            if other._bitmap is not None:
                return ContactSet(None, self._bitmap - other._bitmap)
            numbers = self.numbers()
            return ContactSet.from_numbers(numbers[~other._has(numbers)])
        assert self._words is not None
        if other._words is not None:
            result = np.empty_like(self._words)
            shared = min(len(result), len(other._words))
            np.invert(other._words[:shared], out=result[:shared])
            result[:shared] &= self._words[:shared]
            result[shared:] = self._words[shared:]
        else:
            result = self._words.copy()
            places, bits = _word_bits(other.numbers())
            inside = places < len(result)
            result[places[inside]] &= ~bits[inside]
        return ContactSet(result, None)

    def _dense_with(self, other: ContactSet, operation: np.ufunc) -> ContactSet:
        """OR or XOR where at least one side is dense."""
        if self._words is not None and other._words is not None:
            few, many = sorted((self._words, other._words), key=len)
            result = np.empty_like(many)
            operation(many[: len(few)], few, out=result[: len(few)])
            result[len(few) :] = many[len(few) :]
            return ContactSet(result, None)
        base, added = (self, other) if self._words is not None else (other, self)
        assert base._words is not None
        places, bits = _word_bits(added.numbers())
        needed = int(places[-1]) + 1 if len(places) else 0
        result = np.zeros(max(len(base._words), needed), np.uint64)
        result[: len(base._words)] = base._words
        result[places] = operation(result[places], bits)
        return ContactSet(result, None)

    def _has(self, numbers: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Membership of each of `numbers` in this dense set."""
        assert self._words is not None
        found = np.empty(len(numbers), np.bool_)
        bits_of(self._words, np.ascontiguousarray(numbers, np.uint32), found)
        return found


def _word_bits(numbers: NDArray[np.uint32]) -> tuple[NDArray[np.int64], Words]:
    """The words that ascending `numbers` touch, and the bits they set there."""
    places = (numbers >> np.uint32(6)).astype(np.int64)
    bits = np.uint64(1) << (numbers & np.uint32(63)).astype(np.uint64)
    if len(numbers) == 0:
        return places, bits
    starts = np.flatnonzero(np.concatenate(([True], places[1:] != places[:-1])))
    return places[starts], np.bitwise_or.reduceat(bits, starts)
