"""The random number of a contact: a hash of the workspace, a salt and the contact's public id."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from core.index.dictionary import TextDictionary
from core.index.root import Root
from core.kernels.sha256 import INITIAL_STATE, ROUND_CONSTANTS, first_eight_bytes, plain_first_eight_bytes
from core.kernels.threads import in_parallel, parts_for

_NUL = "\0"
#: So many salts of one index are remembered; each costs nine bytes a contact.
_COLUMNS = 8
#: So many ids are texts at a time; each is about a hundred bytes then.
_AT_ONCE = 65_536
#: Below so many texts the standard library is quicker than starting the compiled loop.
_FEW = 64


class _Column:
    """Hashes that were computed so far. `pair`: which (bool), and the hashes (uint64); both are as long, and a hash is
    written before it is marked, so whoever reads the pair at once never takes a hash that is not there yet."""

    def __init__(self) -> None:
        self.pair = (np.zeros(0, np.bool_), np.zeros(0, np.uint64))

    def at_least(self, n: int) -> tuple[NDArray[np.bool_], NDArray[np.uint64]]:
        """The pair with room for the contacts below `n`."""
        done, values = self.pair
        if n > len(done):
            more = n - len(done)
            # In this order: what was marked when the marks were copied had its hash already.
            marks = np.concatenate((done, np.zeros(more, np.bool_)))
            self.pair = (marks, np.concatenate((values, np.zeros(more, np.uint64))))
        return self.pair


#: By index (all its roots share one dictionary) and by (workspace, salt); ids of contacts never change.
_REMEMBERED: WeakKeyDictionary[TextDictionary, dict[tuple[str, str], _Column]] = WeakKeyDictionary()


def hashes(root: Root, workspace: str, salt: str, contacts: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """For each of `contacts` the first eight bytes, big-endian, of SHA-256(workspace NUL salt NUL public id), uint64.

    Remembered per index, workspace and salt; a lost race between readers only repeats work.
    """
    columns = _REMEMBERED.setdefault(root.dictionary, {})
    column = columns.get((workspace, salt))
    if column is None:
        if len(columns) >= _COLUMNS:
            columns.pop(next(iter(columns)), None)
        column = columns[(workspace, salt)] = _Column()
    done, values = column.at_least(root.contact_count)
    missing = ~done[contacts]
    if not missing.any():
        return values[contacts]
    asked = contacts[missing]
    fresh = np.zeros(len(asked), np.uint64)

    def fill(first: int, after: int) -> None:
        for start in range(first, after, _AT_ONCE):
            here = slice(start, min(start + _AT_ONCE, after))
            some, keys = asked[here], root.keys_of(asked[here])
            found = fresh[here] = hashes_of(workspace, salt, keys)
            # A contact whose id was not told yet will have another one.
            told = np.array([key != "" for key in keys], np.bool_)
            values[some[told]] = found[told]
            done[some[told]] = True

    # While one thread hashes, the other one may read ids.
    threads = parts_for(len(asked), _AT_ONCE)
    ends = [len(asked) * number // threads for number in range(threads + 1)]
    in_parallel([partial(fill, first, after) for first, after in pairwise(ends)])
    result = values[contacts]
    result[missing] = fresh
    return result


def hashes_of(workspace: str, salt: str, keys: list[str]) -> NDArray[np.uint64]:
    """The same for public ids."""
    prefix = np.frombuffer(f"{workspace}{_NUL}{salt}{_NUL}".encode(), np.uint8)
    encoded = [key.encode() for key in keys]
    offsets = np.zeros(len(keys) + 1, np.int64)
    np.cumsum([len(key) for key in encoded], out=offsets[1:])
    texts = np.frombuffer(b"".join(encoded), np.uint8)
    result = np.zeros(len(keys), np.uint64)
    hash_all = plain_first_eight_bytes if len(keys) < _FEW else first_eight_bytes
    hash_all(prefix, texts, offsets, ROUND_CONSTANTS, INITIAL_STATE, result)
    return result
