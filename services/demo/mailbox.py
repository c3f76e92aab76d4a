"""A local SMTP server: mail to the demo's people arrives here."""

from __future__ import annotations

import asyncio
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope

from services.demo.client import DemoError

_LIMIT_BYTES = 4 << 20


class Mailbox:
    """Takes every mail on 127.0.0.1:`port` (0: any free one); `next` gives them in the order of arrival."""

    def __init__(self) -> None:
        self.port = 0
        self._mails: asyncio.Queue[EmailMessage] = asyncio.Queue()
        self._server: asyncio.Server | None = None

    async def start(self, port: int) -> None:
        """Listen. Raises DemoError when the port is taken."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: SMTP(self, hostname="mailbox.demo", data_size_limit=_LIMIT_BYTES, enable_SMTPUTF8=True),
                "127.0.0.1",
                port,
            )
        except OSError as error:
            raise DemoError(
                f"port {port} is taken, so the demo cannot receive the mail: end what listens there, or let both "
                f"`cdp up` (CDP_SMTP_URL) and `cdp demo` (--smtp-port) use another one"
            ) from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """One mail, as aiosmtpd hands it over."""
        content = envelope.content or b""
        raw = content if isinstance(content, bytes) else content.encode()
        self._mails.put_nowait(message_from_bytes(raw, policy=default))
        return "250 OK"

    async def next(self) -> EmailMessage:
        """The next mail; waits for it."""
        return await self._mails.get()

    async def close(self) -> None:
        """Stop listening. Idempotent."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            await server.wait_closed()
