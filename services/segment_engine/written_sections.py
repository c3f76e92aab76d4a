"""Which sections of a snapshot are on disk already, so that the next one need not make, sum up and hash them again.

A section of events is known by its name, which never stands for anything else. Any other is known by the very objects
that it was made of; large ones are not kept alive for that.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from core.index.contact_set import ContactSet
from core.index.section import Draft

_NEVER_CHANGING = "events/"


@dataclass(frozen=True, slots=True)
class Written:
    """A section's bytes: their SHA-256 in hexadecimal digits, and how many they are."""

    sha256: str
    length: int


class WrittenSections:
    """For one folder and one index; `same` is asked, then `remember` told, in the order of snapshots."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[object, ...], Written]] = {}

    @classmethod
    def read(cls, parts: Iterable[Mapping[str, Any]]) -> WrittenSections:
        """What is known of a snapshot from which the index was made, by its manifest: the sections of events."""
        found = cls()
        for part in parts:
            if part["name"].startswith(_NEVER_CHANGING):
                found._known[part["name"]] = ((), Written(part["sha256"], part["bytes"]))
        return found

    def same(self, draft: Draft) -> Written | None:
        """What was written under this name of the same objects; None: it may be something else now."""
        held, written = self._known.get(draft.name, ((), None))
        if draft.made_of is None or written is None or len(held) != len(draft.made_of):
            return None
        is_same = all(_is(one, now) for one, now in zip(held, draft.made_of, strict=True))
        return written if is_same else None

    def remember(self, draft: Draft, written: Written) -> None:
        """It is on disk."""
        if draft.made_of is not None:
            self._known[draft.name] = (tuple(map(_hold, draft.made_of)), written)

    def keep_only(self, names: set[Any]) -> None:
        """Forget the others."""
        self._known = {name: one for name, one in self._known.items() if name in names}


def _hold(part: object) -> object:
    """A set is small; a table of all contacts would be a second version of it in memory."""
    return part if isinstance(part, int | ContactSet) else weakref.ref(part)


def _is(held: object, now: object) -> bool:
    if isinstance(held, weakref.ref):
        return held() is now
    return held == now if isinstance(held, int) else held is now
