"""Who a contact is by now: merged into another one, itself again, or erased.

The engine's memberships come behind the profile log: a record may name a contact that was merged away or erased
meanwhile. Table "people": contact -> its survivor, or ERASED.
"""

from __future__ import annotations

from collections.abc import Collection

from core.eventlog.protocol import EventLog, Partition, TableWrite

PEOPLE = "people"
_ERASED = -1


class People:
    """Erasures and the merges that stand, of one workspace. Memory is changed first; `drain` gives the writes."""

    def __init__(self) -> None:
        self._became: dict[int, int] = {}
        self._changed: dict[bytes, bytes] = {}
        self._gone: dict[bytes, None] = {}

    @staticmethod
    async def load(log: EventLog, partition: Partition) -> People:
        """Read what is stored."""
        self = People()
        async for key, stored in log.scan(partition, PEOPLE):
            self._became[int(key)] = int(stored)
        return self

    def owner(self, contact: int) -> int | None:
        """Whose the facts of `contact` are after all merges; None if that one is erased."""
        while (became := self._became.get(contact)) is not None:
            if became == _ERASED:
                return None
            contact = became
        return contact

    def merged(self, loser: int, survivor: int) -> None:
        """`loser` is a part of `survivor` from here on."""
        self._set(loser, survivor)

    def unmerged(self, survivor: int, restored: int, parts: Collection[int]) -> None:
        """`restored` is no part of `survivor` any more, and `parts` are parts of it. Who became one of these and is not
        among them is a part of the survivor's."""
        theirs = {restored, *parts}
        for contact, became in list(self._became.items()):
            if contact not in theirs and became in theirs and self.owner(contact) == survivor:
                self._set(contact, survivor)
        for contact in theirs - {restored}:
            self._set(contact, restored)
        if self._became.pop(restored, None) is not None:
            key = b"%d" % restored
            self._changed.pop(key, None)
            self._gone[key] = None

    def erased(self, contact: int) -> None:
        """`contact` and its parts are gone."""
        self._set(contact, _ERASED)

    def drain(self) -> tuple[TableWrite, ...]:
        """What changed since the last call, as writes; commit them."""
        changed, gone = self._changed, self._gone
        self._changed, self._gone = {}, {}
        return (TableWrite(PEOPLE, changed, tuple(gone)),) if changed or gone else ()

    def _set(self, contact: int, became: int) -> None:
        self._became[contact] = became
        self._changed[b"%d" % contact] = b"%d" % became
        self._gone.pop(b"%d" % contact, None)
