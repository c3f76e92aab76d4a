"""Messages that are not over yet, in little memory: each as it is stored, read when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from services.channel.record import Record, decode


class Pending(Mapping[str, Record]):
    """Message id -> record."""

    def __init__(self) -> None:
        self._stored: dict[str, bytes] = {}

    def __getitem__(self, message_id: str) -> Record:
        return decode(self._stored[message_id])

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)

    def __contains__(self, message_id: object) -> bool:
        return message_id in self._stored

    def put(self, message_id: str, stored: bytes) -> None:
        """There is something to come of this one."""
        self._stored[message_id] = stored

    def drop(self, message_id: str) -> None:
        """It is over, or gone. Nothing happens where it was before."""
        self._stored.pop(message_id, None)
