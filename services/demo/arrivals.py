"""What arrives at the demo's people, over all channels in the order of arrival."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from email.message import EmailMessage
from types import TracebackType

from services.demo.mailbox import Mailbox
from services.demo.push_service import PushService
from services.demo.sms_centre import SmsCentre


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message with the person, by the address it came to: an email address, a phone number, or whose browser it is.
    `text` is what is seen of it at a glance; `letter` is there for mail."""

    channel: str
    to: str
    text: str
    letter: EmailMessage | None = None


class Peers:
    """A mail server, a push service and a centre of text messages on this machine. A context manager: inside it they
    listen. Entering raises DemoError when the port of the mail server is taken."""

    def __init__(self, smtp_port: int) -> None:
        self.mailbox, self.pushes, self.texts = Mailbox(), PushService(), SmsCentre()
        self._smtp_port = smtp_port
        self._arrived: asyncio.Queue[Arrival] = asyncio.Queue()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Peers:
        async with AsyncExitStack() as stack:
            await self.mailbox.start(self._smtp_port)
            stack.push_async_callback(self.mailbox.close)
            await self.pushes.start()
            stack.push_async_callback(self.pushes.close)
            await self.texts.start()
            stack.push_async_callback(self.texts.close)
            for reading in (self._mails(), self._pushes(), self._texts()):
                stack.callback(asyncio.create_task(reading).cancel)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def next(self) -> Arrival:
        """The next message; waits for it."""
        return await self._arrived.get()

    async def _mails(self) -> None:
        while True:
            letter = await self.mailbox.next()
            self._arrived.put_nowait(Arrival("email", str(letter["To"]), str(letter["Subject"]), letter))

    async def _pushes(self) -> None:
        while True:
            notice = await self.pushes.next()
            self._arrived.put_nowait(Arrival("web push", notice.person, f"{notice.title}: {notice.body}"))

    async def _texts(self) -> None:
        while True:
            text = await self.texts.next()
            self._arrived.put_nowait(Arrival("sms", f"+{text.phone}", text.text))
