"""Who is counted among a few contacts, looked up for each of many rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.index.root import Root
from core.kernels.placing import Places
from core.query.ast import Scope


class Scopes:
    """The scopes at one instant on one root."""

    def __init__(self, root: Root, as_of_us: int, contacts: NDArray[np.uint32]) -> None:
        """`contacts` ascending: those that may be asked for."""
        self._contacts = contacts
        self._places = Places(contacts)
        self._existing = np.asarray(root.contacts.earliest_of(contacts) <= as_of_us, np.bool_)
        self._known = root.contacts.known.has(contacts)

    def of(self, scope: Scope, contacts: NDArray[np.uint32]) -> NDArray[np.bool_]:
        """Which of `contacts` exist and are in the scope."""
        places = slice(None) if contacts is self._contacts else self._places.of(contacts)
        existing: NDArray[np.bool_] = self._existing[places]
        if scope is Scope.ALL:
            return existing
        return np.asarray(existing & (self._known[places] == (scope is Scope.KNOWN)), np.bool_)
