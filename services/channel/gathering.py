"""Many who ask about one contact each become few calls about many."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from core.errors import unavailable

Answer = TypeVar("Answer")


class Ordered(Hashable, Protocol):
    """Whom is asked about: a contact's number, or a tuple that begins with it."""

    def __lt__(self, other: Any, /) -> bool: ...


Asked = TypeVar("Asked", bound=Ordered)
#: How many contacts a call may ask for.
LIMIT_CONTACTS = 1_000


class Gathering(Generic[Asked, Answer]):
    """While one call is under way, those who come wait together for the next. `ask` gets those asked about, ascending,
    at most LIMIT_CONTACTS, and the position that the answer must include; it answers in their order."""

    def __init__(self, ask: Callable[[Sequence[Asked], int], Awaitable[Sequence[Answer]]]) -> None:
        self._ask = ask
        self._asking = asyncio.Lock()
        self._next: _Batch[Asked, Answer] | None = None

    async def of(self, contact: Asked, position: int) -> Answer:
        """The answer about one, of a call that began after this one. Raises what `ask` raises; UNAVAILABLE when
        the one who made the call was cancelled."""
        batch = self._next
        if batch is None or len(batch.contacts) >= LIMIT_CONTACTS:
            batch = self._next = _Batch()
            batch.add(contact, position)
            await self._lead(batch)
        else:
            batch.add(contact, position)
        return (await asyncio.shield(batch.answers))[contact]

    async def _lead(self, batch: _Batch[Asked, Answer]) -> None:
        try:
            async with self._asking:
                self._close(batch)
                contacts = sorted(batch.contacts)
                found = await self._ask(contacts, batch.position)
            batch.answers.set_result(dict(zip(contacts, found, strict=True)))
        except asyncio.CancelledError:
            self._close(batch)
            batch.fail(unavailable("ASKING_STOPPED", "the call that asked for this contact was cancelled"))
            raise
        except Exception as error:  # noqa: BLE001 - it is for everyone who waits, the leader as well
            batch.fail(error)

    def _close(self, batch: _Batch[Asked, Answer]) -> None:
        """Who comes from now on waits for another call."""
        if self._next is batch:
            self._next = None


class _Batch(Generic[Asked, Answer]):
    """Those who wait for one call."""

    def __init__(self) -> None:
        self.contacts: set[Asked] = set()
        self.position = 0
        self.answers: asyncio.Future[dict[Asked, Answer]] = asyncio.get_running_loop().create_future()

    def add(self, contact: Asked, position: int) -> None:
        self.contacts.add(contact)
        self.position = max(self.position, position)

    def fail(self, error: Exception) -> None:
        self.answers.set_exception(error)
        self.answers.exception()  # seen: perhaps nobody waits any more
