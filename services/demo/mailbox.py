"""A local SMTP server and a local webhook receiver: what is sent to the demo's people arrives here."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope

from services.demo.client import DemoError

_LIMIT_BYTES = 4 << 20
_HEAD_END = b"\r\n\r\n"


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
        await _close(self._server)
        self._server = None


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook call as it arrived; header names in lower case."""

    headers: Mapping[str, str]
    raw: bytes


class HookReceiver:
    """Answers every POST on 127.0.0.1 with 200; `next` gives the calls in the order of arrival."""

    def __init__(self) -> None:
        self.port = 0
        self._hooks: asyncio.Queue[Hook] = asyncio.Queue()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(_HEAD_END)).decode("latin-1")
            lines = (line.partition(":") for line in head.split("\r\n")[1:])
            headers = {name.strip().lower(): value.strip() for name, colon, value in lines if colon}
            body = await reader.readexactly(min(int(headers.get("content-length", "0")), _LIMIT_BYTES))
            self._hooks.put_nowait(Hook(headers, body))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async def next(self) -> Hook:
        """The next call; waits for it."""
        return await self._hooks.get()

    async def close(self) -> None:
        """Stop listening. Idempotent."""
        await _close(self._server)
        self._server = None


async def _close(server: asyncio.Server | None) -> None:
    if server is not None:
        server.close()
        await server.wait_closed()
