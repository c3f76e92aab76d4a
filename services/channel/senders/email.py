"""Email over SMTP, signed with DKIM. What the server said, or did not say, decides the outcome."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from urllib.parse import unquote, urlsplit

import aiosmtplib

from cdp.profile.v1 import profile_pb2
from core.clock import SECOND_US
from core.delivery.decision import domain_of
from core.delivery.outbox import Accepted, Deferred, Outcome, Rejected, Unknown
from core.errors import CdpError, invalid
from services.channel.channel_settings import ChannelSettings, parse_sender
from services.channel.mjml import html_of
from services.channel.render import CompiledTemplate, compile_email, render_email
from services.channel.senders import dkim
from services.channel.senders.mime import Mail, encode, mailbox
from services.channel.senders.sender import Envelope, KindRules, Prepared, ProviderSettings
from services.channel.senders.smtp_pool import SmtpPool, server_of, smtp_problem
from services.channel.templates import Template, bad_template

#: Replies to RCPT by which the mailbox itself is gone; a policy refusal (5.7.x) says nothing about the mailbox.
_NO_MAILBOX = frozenset({550, 551, 553, 556})
_SERVER = frozenset({"port", "security", "user"})
_DKIM = frozenset({"dkim_domain", "dkim_selector"})
#: Who gets what comes back: the envelope's sender, and the address for complaints of RFC 9477.
_RETURNS = frozenset({"bounces_to", "complaints_to"})
#: Senders are few, and the same in many mails.
_parsed = lru_cache(maxsize=256)(parse_sender)
_LABELS = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


class EmailSender:
    """Providers of kind `smtp`. The process's own is `smtp_url`: smtp://[user:password@]host[:port] (STARTTLS when
    offered) or smtps://; it may stand in private address space, a workspace's only where its settings allow that."""

    personal = True
    own_surface = False

    def __init__(self, smtp_url: str) -> None:
        self._default = _provider_of(smtp_url)
        self._pool = SmtpPool()

    def kinds(self) -> Mapping[str, KindRules]:
        """See Sender. `security` is "tls", "starttls", or "auto" for STARTTLS when it is offered."""
        allowed = _SERVER | _DKIM | _RETURNS
        secrets = frozenset({"password", "dkim_key"})
        return {"smtp": KindRules(frozenset({"host"}), allowed, frozenset(), secrets, _problem)}

    def default_provider(self) -> ProviderSettings:
        """See Sender."""
        return self._default

    def carries(self, kind: str, address: str) -> bool:
        """Any mailbox."""
        return True

    def compile(self, source: Template) -> CompiledTemplate:
        """See Sender. MJML is laid out now, so that nothing of it can fail later."""
        if source.sender and parse_sender(source.sender) is None:
            raise bad_template("from", 0, 'is no sender like "Shop <shop@example.com>"')
        if not source.mjml.strip():
            return compile_email(source)
        if source.body_html.strip():
            raise bad_template("mjml", 0, "give body_html or mjml, not both")
        return replace(compile_email(replace(source, body_html=html_of(source.mjml))), source=source)

    def address(self, profile: profile_pb2.Profile, settings: ChannelSettings) -> str | None:
        """The email attribute if it identifies the person, else the first email identifier."""
        known = [identifier.value for identifier in profile.identifiers if identifier.kind == "email"]
        for attribute in profile.attributes:
            if attribute.name == "email" and (not known or attribute.value.text in known):
                return attribute.value.text or None
        return known[0] if known else None

    def prepare(self, envelope: Envelope) -> Prepared:
        """See Sender. Raises INVALID: NO_SENDER, BAD_ADDRESS, HEADER_INJECTION, and those of rendering."""
        sender = _parsed(envelope.template.source.sender or envelope.settings.sender)
        if sender is None:
            raise invalid("NO_SENDER", "neither the template nor the settings say whom mail is from")
        recipient = mailbox(envelope.address)
        content = render_email(envelope.template, envelope.values, envelope.links)
        digest = sha256(f"{envelope.workspace}\0{envelope.message_id}".encode()).hexdigest()[:32]
        told = envelope.provider.settings
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
            told.get("complaints_to", ""),
        )
        raw = encode(mail)
        key = envelope.provider.secrets.get("dkim_key", "")
        if key:
            signer = dkim.DkimSigner(told["dkim_domain"], told["dkim_selector"], key)
            raw = dkim.sign(raw, signer, envelope.now_us // SECOND_US)
        return Prepared(
            envelope.message_id,
            told.get("bounces_to") or sender.addr_spec,
            recipient,
            raw,
            content.links,
            envelope.settings,
            envelope.now_us,
            envelope.provider,
            envelope.expires_at_us,
        )

    async def send(self, prepared: Prepared) -> Outcome:
        """One SMTP transaction. Up to DATA a lost connection is a deferral; from then on the fate is unknown."""
        # What equals the process's own provider leads where the process's own leads.
        hosts = None if prepared.provider == self._default else prepared.settings.allowed_private_hosts
        server = server_of(prepared.provider, hosts)
        try:
            smtp = await self._pool.addressed(server, prepared.sender, prepared.address)
        except aiosmtplib.SMTPRecipientRefused as error:
            bounced = error.code in _NO_MAILBOX and not error.message.startswith("5.7.")
            return _refusal(error, "RECIPIENT_REFUSED", bounced)
        except aiosmtplib.SMTPAuthenticationError as error:
            # About us, not about the message: somebody has to mend it, and another provider may take over meanwhile.
            return Deferred("PROVIDER_REFUSED_US", _reply(error))
        except aiosmtplib.SMTPResponseException as error:
            return _refusal(error, "PROVIDER_REFUSED", False)
        except (aiosmtplib.SMTPException, OSError) as error:
            return Deferred("PROVIDER_UNREACHABLE", str(error)[:500])
        except CdpError as error:
            return Deferred(error.reason, error.message)
        try:
            reply = await smtp.data(prepared.body)
        except aiosmtplib.SMTPResponseException as error:
            await self._pool.reset(server, smtp)
            return _refusal(error, "CONTENT_REFUSED", False)
        except (aiosmtplib.SMTPException, OSError) as error:
            smtp.close()
            return Unknown(f"CONNECTION_LOST: {type(error).__name__}")
        except BaseException:
            smtp.close()
            raise
        self._pool.put_back(server, smtp)
        return Accepted(f"{reply.code} {reply.message}"[:500])

    async def close(self) -> None:
        """See Sender."""
        self._pool.close()


def _provider_of(smtp_url: str) -> ProviderSettings:
    parts = urlsplit(smtp_url)
    told = {
        "host": parts.hostname or "",
        "port": str(parts.port or ""),
        "security": "tls" if parts.scheme == "smtps" else "auto",
        "user": unquote(parts.username or ""),
    }
    secrets = {"password": unquote(parts.password)} if parts.password else {}
    return ProviderSettings("own", "smtp", {name: value for name, value in told.items() if value}, secrets)


def _problem(settings: Mapping[str, str], secrets: Mapping[str, str]) -> str:
    problem = smtp_problem(settings)
    if problem:
        return problem
    for name in _RETURNS & settings.keys():
        try:
            mailbox(settings[name])
        except CdpError:
            return f"{name} is no mailbox"
    given = [name for name in (*sorted(_DKIM), "dkim_key") if {**settings, **secrets}.get(name)]
    if not given:
        return ""
    if len(given) < 3:
        return "dkim_domain, dkim_selector and the secret dkim_key go together"
    for name in sorted(_DKIM):
        if not _LABELS.fullmatch(settings[name]) or ".." in settings[name]:
            return f"{name} is no name of the DNS"
    wrong = dkim.key_problem(secrets["dkim_key"])
    return f"dkim_key {wrong}" if wrong else ""


def _refusal(error: aiosmtplib.SMTPResponseException, reason: str, bounced: bool) -> Outcome:
    if 400 <= error.code < 500:
        return Deferred("PROVIDER_BUSY", _reply(error))
    return Rejected(reason, _reply(error), bounced)


def _reply(error: aiosmtplib.SMTPResponseException) -> str:
    return f"{error.code} {error.message}"[:500]
