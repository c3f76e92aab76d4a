"""Who a contact is by now: merged into another one, or erased.

The engine's memberships come behind the profile log: a record may name a contact that was merged away or erased
meanwhile. Table "people": contact -> its survivor, or ERASED.
"""

from __future__ import annotations

from core.eventlog.protocol import EventLog, Partition, TableWrite

PEOPLE = "people"
_ERASED = -1


class People:
    """Merges and erasures of one workspace, all there ever were. Memory is changed first; `drain` gives the writes."""

    def __init__(self) -> None:
        self._became: dict[int, int] = {}
        self._changed: dict[bytes, bytes] = {}

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

    def erased(self, contact: int) -> None:
        """`contact` and its parts are gone."""
        self._set(contact, _ERASED)

    def drain(self) -> tuple[TableWrite, ...]:
        """What changed since the last call, as writes; commit them."""
        changed, self._changed = self._changed, {}
        return (TableWrite(PEOPLE, changed),) if changed else ()

    def _set(self, contact: int, became: int) -> None:
        self._became[contact] = became
        self._changed[b"%d" % contact] = b"%d" % became
