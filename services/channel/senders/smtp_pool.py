"""SMTP connections that are kept and used again, by server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain

import aiosmtplib

from services.channel.senders.sender import ProviderSettings
from services.runtime.addresses import pin

_TIMEOUT_S = 30.0
_CONNECT_S = 10.0
#: As many as may be in use at once (services.channel.lanes).
_IDLE_CONNECTIONS = 48
_CLOSING = 421


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail goes. `security` is "tls", "starttls", or "auto" for STARTTLS where it is offered. `private_hosts`:
    those in private address space that may be called; None: any, for the process's own server."""

    host: str
    port: int
    security: str
    user: str
    password: str = field(repr=False)
    private_hosts: frozenset[str] | None


def server_of(provider: ProviderSettings, private_hosts: frozenset[str] | None) -> SmtpServer:
    """The server that a provider's sound settings name."""
    settings = provider.settings
    security = settings.get("security", "auto")
    port = int(settings.get("port") or {"tls": 465, "starttls": 587}.get(security, 25))
    password = provider.secrets.get("password", "")
    return SmtpServer(settings.get("host", ""), port, security, settings.get("user", ""), password, private_hosts)


def smtp_problem(settings: Mapping[str, str]) -> str:
    """What is wrong with host, port and security; empty for nothing."""
    host = settings.get("host", "")
    if not host.isascii() or not host.isprintable() or any(one in host for one in " /@:") or len(host) > 253:
        return "host is no host name"
    port = settings.get("port", "25")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65_535):
        return "port is no number from 1 to 65535"
    if settings.get("security", "auto") not in ("auto", "starttls", "tls"):
        return "security is none of auto, starttls, tls"
    return ""


class SmtpPool:
    """Hands out connections on which a transaction has begun, and takes them back."""

    def __init__(self) -> None:
        self._idle: dict[SmtpServer, list[aiosmtplib.SMTP]] = {}

    async def addressed(self, server: SmtpServer, sender: str, recipient: str) -> aiosmtplib.SMTP:
        """A connection that has taken sender and recipient; kept ones that have gone stale are replaced.

        Raises aiosmtplib's errors, OSError, and CdpError for an address that may not be called.
        """
        while idle := self._idle.get(server):
            smtp = idle.pop()
            if not smtp.is_connected:
                continue
            try:
                return await self._address(server, smtp, sender, recipient)
            except (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError):
                smtp.close()
            except aiosmtplib.SMTPResponseException as error:
                # A server that has had enough of this connection takes the mail on a new one.
                if error.code != _CLOSING:
                    raise
        smtp = await _connected(server)
        return await self._address(server, smtp, sender, recipient)

    def put_back(self, server: SmtpServer, smtp: aiosmtplib.SMTP) -> None:
        """Keep a connection between two transactions for the next one."""
        idle = self._idle.setdefault(server, [])
        if smtp.is_connected and len(idle) < _IDLE_CONNECTIONS:
            idle.append(smtp)
        else:
            smtp.close()

    async def reset(self, server: SmtpServer, smtp: aiosmtplib.SMTP) -> None:
        """Keep a connection whose transaction was refused on the way."""
        try:
            await smtp.rset()
        except (aiosmtplib.SMTPException, OSError):
            smtp.close()
            return
        self.put_back(server, smtp)

    def close(self) -> None:
        """Let all connections go. Idempotent."""
        idle, self._idle = self._idle, {}
        for smtp in chain.from_iterable(idle.values()):
            smtp.close()

    async def _address(self, server: SmtpServer, smtp: aiosmtplib.SMTP, sender: str, recipient: str) -> aiosmtplib.SMTP:
        try:
            await smtp.mail(sender)
            await smtp.rcpt(recipient)
        except aiosmtplib.SMTPResponseException:
            await self.reset(server, smtp)
            raise
        except BaseException:
            smtp.close()
            raise
        return smtp


async def _connected(server: SmtpServer) -> aiosmtplib.SMTP:
    connection = None if server.private_hosts is None else await _socket(server, server.private_hosts)
    smtp = aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port if connection is None else None,
        sock=connection,
        username=server.user or None,
        password=server.password or None,
        use_tls=server.security == "tls",
        start_tls={"tls": False, "starttls": True}.get(server.security),
        timeout=_TIMEOUT_S,
    )
    try:
        await smtp.connect()
    except BaseException:
        smtp.close()
        if connection is not None:
            connection.close()
        raise
    return smtp


async def _socket(server: SmtpServer, private_hosts: frozenset[str]) -> socket.socket:
    """A connection to just the address that was checked."""
    address = await pin(server.host, server.port, private_hosts, "allowed_private_hosts")
    connection = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    connection.setblocking(False)
    try:
        async with asyncio.timeout(_CONNECT_S):
            await asyncio.get_running_loop().sock_connect(connection, (address, server.port))
    except BaseException:
        with suppress(OSError):
            connection.close()
        raise
    return connection
