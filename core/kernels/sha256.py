"""The first eight bytes of SHA-256 (FIPS 180-4) of many short texts that begin alike."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from core.kernels.compiled import compiled

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint32]


def _fraction_bits(number: int, root: int) -> int:
    """The first 32 bits of the fractional part of the square (or cube) root of `number`."""
    shifted = number << (32 * root)
    low, high = 0, 1 << 40
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**root <= shifted else (low, middle)
    return low & 0xFFFFFFFF


_PRIMES = [number for number in range(2, 312) if all(number % divisor for divisor in range(2, number))]
#: The standard's constants: cube roots of the first 64 primes, square roots of the first 8.
ROUND_CONSTANTS: Words = np.array([_fraction_bits(prime, 3) for prime in _PRIMES[:64]], np.uint32)
INITIAL_STATE: Words = np.array([_fraction_bits(prime, 2) for prime in _PRIMES[:8]], np.uint32)


@compiled
def first_eight_bytes(
    prefix: Bytes,
    texts: Bytes,
    offsets: NDArray[np.int64],
    constants: Words,
    initial: Words,
    hashes: NDArray[np.uint64],
) -> None:
    """`hashes[i]`: the first eight bytes, big-endian, of SHA-256(prefix + texts[offsets[i]:offsets[i + 1]]).
    `constants` and `initial` are ROUND_CONSTANTS and INITIAL_STATE."""
    state = np.empty(8, np.uint32)
    w = np.empty(64, np.uint32)
    for i in range(len(hashes)):
        size = len(prefix) + offsets[i + 1] - offsets[i]
        blocks = (size + 9 + 63) // 64
        for j in range(8):
            state[j] = initial[j]
        for block in range(blocks):
            for j in range(16):
                word = np.uint32(0)
                for k in range(4):
                    place = block * 64 + j * 4 + k
                    byte = np.uint32(0)
                    if place < len(prefix):
                        byte = np.uint32(prefix[place])
                    elif place < size:
                        byte = np.uint32(texts[offsets[i] + place - len(prefix)])
                    elif place == size:
                        byte = np.uint32(128)
                    word = (word << np.uint32(8)) | byte
                w[j] = word
            if block == blocks - 1:
                w[14] = np.uint32(np.uint64(size) >> np.uint64(29))
                w[15] = np.uint32((size << 3) & 0xFFFFFFFF)
            for j in range(16, 64):
                x = w[j - 15]
                y = w[j - 2]
                s0 = ((x >> np.uint32(7)) | (x << np.uint32(25))) ^ ((x >> np.uint32(18)) | (x << np.uint32(14)))
                s1 = ((y >> np.uint32(17)) | (y << np.uint32(15))) ^ ((y >> np.uint32(19)) | (y << np.uint32(13)))
                w[j] = w[j - 16] + (s0 ^ (x >> np.uint32(3))) + w[j - 7] + (s1 ^ (y >> np.uint32(10)))
            a, b, c, d = state[0], state[1], state[2], state[3]
            e, f, g, h = state[4], state[5], state[6], state[7]
            for j in range(64):
                s1 = (e >> np.uint32(6)) | (e << np.uint32(26))
                s1 ^= (e >> np.uint32(11)) | (e << np.uint32(21))
                s1 ^= (e >> np.uint32(25)) | (e << np.uint32(7))
                t1 = h + s1 + ((e & f) ^ (~e & g)) + constants[j] + w[j]
                s0 = (a >> np.uint32(2)) | (a << np.uint32(30))
                s0 ^= (a >> np.uint32(13)) | (a << np.uint32(19))
                s0 ^= (a >> np.uint32(22)) | (a << np.uint32(10))
                t2 = s0 + ((a & b) ^ (a & c) ^ (b & c))
                h = g
                g = f
                f = e
                e = np.uint32(d + t1)
                d = c
                c = b
                b = a
                a = np.uint32(t1 + t2)
            state[0] += a
            state[1] += b
            state[2] += c
            state[3] += d
            state[4] += e
            state[5] += f
            state[6] += g
            state[7] += h
        hashes[i] = (np.uint64(state[0]) << np.uint64(32)) | np.uint64(state[1])


def plain_first_eight_bytes(
    prefix: Bytes,
    texts: Bytes,
    offsets: NDArray[np.int64],
    constants: Words,
    initial: Words,
    hashes: NDArray[np.uint64],
) -> None:
    """first_eight_bytes by the standard library, which needs no constants."""
    start, whole = sha256(prefix.tobytes()), texts.tobytes()
    for i in range(len(hashes)):
        state = start.copy()
        state.update(whole[offsets[i] : offsets[i + 1]])
        hashes[i] = int.from_bytes(state.digest()[:8], "big")
