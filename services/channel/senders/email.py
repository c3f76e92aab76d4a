"""Email over SMTP. Connections are kept and reused; what the server said, or did not say, decides the outcome."""

from __future__ import annotations

from hashlib import sha256
from urllib.parse import unquote, urlsplit

import aiosmtplib

from cdp.profile.v1 import profile_pb2
from core.delivery.decision import domain_of
from core.delivery.outbox import Accepted, Deferred, Outcome, Rejected, Unknown
from core.errors import invalid
from services.channel.channel_settings import ChannelSettings, parse_sender
from services.channel.render import CompiledTemplate, compile_email, render_email
from services.channel.senders.mime import Mail, encode, mailbox
from services.channel.senders.sender import Envelope, Prepared
from services.channel.templates import Template, bad_template

_TIMEOUT_S = 30.0
_IDLE_CONNECTIONS = 16
#: Replies to RCPT by which the mailbox itself is gone; a policy refusal (5.7.x) says nothing about the mailbox.
_NO_MAILBOX = frozenset({550, 551, 553, 556})


class EmailSender:
    """`smtp_url` is smtp://[user:password@]host[:port] (STARTTLS when offered) or smtps://."""

    personal = True

    def __init__(self, smtp_url: str) -> None:
        parts = urlsplit(smtp_url)
        self._host = parts.hostname or ""
        self._tls = parts.scheme == "smtps"
        self._port = parts.port or (465 if self._tls else 25)
        self._user = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None
        self._idle: list[aiosmtplib.SMTP] = []

    def compile(self, source: Template) -> CompiledTemplate:
        """See Sender."""
        if source.sender and parse_sender(source.sender) is None:
            raise bad_template("from", 0, 'is no sender like "Shop <shop@example.com>"')
        return compile_email(source)

    def address(self, profile: profile_pb2.Profile, settings: ChannelSettings) -> str | None:
        """The email attribute if it identifies the person, else the first email identifier."""
        known = [identifier.value for identifier in profile.identifiers if identifier.kind == "email"]
        for attribute in profile.attributes:
            if attribute.name == "email" and (not known or attribute.value.text in known):
                return attribute.value.text or None
        return known[0] if known else None

    def prepare(self, envelope: Envelope) -> Prepared:
        """See Sender. Raises INVALID: NO_SENDER, BAD_ADDRESS, HEADER_INJECTION, and those of rendering."""
        sender = parse_sender(envelope.template.source.sender or envelope.settings.sender)
        if sender is None:
            raise invalid("NO_SENDER", "neither the template nor the settings say whom mail is from")
        recipient = mailbox(envelope.address)
        content = render_email(envelope.template, envelope.values, envelope.links)
        digest = sha256(f"{envelope.workspace}\0{envelope.message_id}".encode()).hexdigest()[:32]
        mail = Mail(
            f"<{digest}@{domain_of(sender.addr_spec)}>",
            sender,
            recipient,
            content.subject,
            content.html,
            content.text,
            "" if envelope.transactional else envelope.links.unsubscribe_url,
            envelope.now_us,
            envelope.links.open_url.rpartition("/")[2],
        )
        return Prepared(
            envelope.message_id,
            sender.addr_spec,
            recipient,
            encode(mail),
            content.links,
            envelope.settings,
            envelope.now_us,
        )

    async def send(self, prepared: Prepared) -> Outcome:
        """One SMTP transaction. Up to DATA a lost connection is a deferral; from then on the fate is unknown."""
        try:
            smtp = await self._addressed(prepared)
        except aiosmtplib.SMTPRecipientRefused as error:
            bounced = error.code in _NO_MAILBOX and not error.message.startswith("5.7.")
            return _refusal(error, "RECIPIENT_REFUSED", bounced)
        except aiosmtplib.SMTPResponseException as error:
            return _refusal(error, "PROVIDER_REFUSED", False)
        except (aiosmtplib.SMTPException, OSError) as error:
            return Deferred("PROVIDER_UNREACHABLE", str(error)[:500])
        try:
            reply = await smtp.data(prepared.body)
        except aiosmtplib.SMTPResponseException as error:
            await self._put_back(smtp)
            return _refusal(error, "CONTENT_REFUSED", False)
        except (aiosmtplib.SMTPException, OSError) as error:
            smtp.close()
            return Unknown(f"CONNECTION_LOST: {type(error).__name__}")
        except BaseException:
            smtp.close()
            raise
        await self._put_back(smtp)
        return Accepted(f"{reply.code} {reply.message}"[:500])

    async def close(self) -> None:
        """See Sender."""
        idle, self._idle = self._idle, []
        for smtp in idle:
            smtp.close()

    async def _addressed(self, prepared: Prepared) -> aiosmtplib.SMTP:
        """A connection that has taken sender and recipient; a kept one that has gone stale is replaced once."""
        while self._idle:
            smtp = self._idle.pop()
            if not smtp.is_connected:
                continue
            try:
                return await self._address(smtp, prepared)
            except (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError):
                smtp.close()
        smtp = aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            username=self._user,
            password=self._password,
            use_tls=self._tls,
            timeout=_TIMEOUT_S,
        )
        try:
            await smtp.connect()
        except BaseException:
            smtp.close()
            raise
        return await self._address(smtp, prepared)

    async def _address(self, smtp: aiosmtplib.SMTP, prepared: Prepared) -> aiosmtplib.SMTP:
        try:
            await smtp.mail(prepared.sender)
            await smtp.rcpt(prepared.address)
        except aiosmtplib.SMTPResponseException:
            await self._put_back(smtp)
            raise
        except BaseException:
            smtp.close()
            raise
        return smtp

    async def _put_back(self, smtp: aiosmtplib.SMTP) -> None:
        if not smtp.is_connected or len(self._idle) >= _IDLE_CONNECTIONS:
            smtp.close()
            return
        try:
            await smtp.rset()
        except (aiosmtplib.SMTPException, OSError):
            smtp.close()
            return
        self._idle.append(smtp)


def _refusal(error: aiosmtplib.SMTPResponseException, reason: str, bounced: bool) -> Outcome:
    reply = f"{error.code} {error.message}"[:500]
    if 400 <= error.code < 500:
        return Deferred("PROVIDER_BUSY", reply)
    return Rejected(reason, reply, bounced)
