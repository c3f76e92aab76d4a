"""Webhooks: a signed JSON document by POST, to an address that was resolved once, checked and pinned."""

from __future__ import annotations

import asyncio
import hmac
from hashlib import sha256
from urllib.parse import urlsplit

import httpx2

from cdp.profile.v1 import profile_pb2
from core.clock import SECOND_US
from core.delivery.outbox import Accepted, Deferred, Outcome, Rejected, Unknown
from core.errors import CdpError, invalid
from services.channel.channel_settings import ChannelSettings, is_webhook_url
from services.channel.render import CompiledTemplate, compile_json, render_json
from services.channel.senders.sender import Envelope, Prepared
from services.channel.templates import Template
from services.runtime.addresses import pin

_TIMEOUT_S = 10.0
_LIMIT_REPLY_BYTES = 4_096
#: The receiver says that it did nothing and may do it later.
_LATER = frozenset({408, 425, 429, 503})


def signature(secret: str, timestamp_s: int, body: bytes) -> str:
    """The value of `Cdp-Signature`: `t=<seconds>,v1=<hex>` with HMAC-SHA256 over `<seconds>.<body>`."""
    mac = hmac.new(secret.encode(), b"%d." % timestamp_s + body, sha256).hexdigest()
    return f"t={timestamp_s},v1={mac}"


class WebhookSender:
    """POST to the workspace's webhook URL. `Idempotency-Key` is the message id, so that receivers can drop repeats."""

    personal = False

    def __init__(self) -> None:
        self._client = httpx2.AsyncClient(
            timeout=httpx2.Timeout(_TIMEOUT_S), follow_redirects=False, trust_env=False, http2=False
        )

    def compile(self, source: Template) -> CompiledTemplate:
        """See Sender."""
        return compile_json(source)

    def address(self, profile: profile_pb2.Profile, settings: ChannelSettings) -> str | None:
        """The one URL of the workspace, whoever the person is."""
        return settings.webhook_url or None

    def prepare(self, envelope: Envelope) -> Prepared:
        """See Sender. Raises INVALID: NO_WEBHOOK_SECRET, BAD_ADDRESS, BODY_NOT_JSON, TEMPLATE_FAILED."""
        if not envelope.settings.webhook_secret:
            raise invalid("NO_WEBHOOK_SECRET", "webhooks are signed; set webhook_secret")
        if not is_webhook_url(envelope.address):
            raise invalid("BAD_ADDRESS", "the webhook URL is no http or https URL")
        content = render_json(envelope.template, envelope.values)
        return Prepared(
            envelope.message_id,
            "",
            envelope.address,
            content.text.encode(),
            (),
            envelope.settings,
            envelope.now_us,
        )

    async def send(self, prepared: Prepared) -> Outcome:
        """One POST. Without a connection it is a deferral; without an answer, or with a failure inside the receiver
        (500, 502, 504), the fate is unknown; a redirect is refused."""
        parts = urlsplit(prepared.address)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            pinned = await pin(host, port, prepared.settings.allowed_private_hosts, "allowed_private_hosts")
        except CdpError as error:
            if error.retry_after_s is not None:
                return Deferred(error.reason, error.message)
            return Rejected(error.reason, error.message, by_provider=False)
        authority = f"[{pinned}]" if ":" in pinned else pinned
        url = f"{parts.scheme}://{authority}:{port}{parts.path or '/'}" + (f"?{parts.query}" if parts.query else "")
        timestamp_s = prepared.now_us // SECOND_US
        headers = {
            "Host": parts.netloc,
            "Content-Type": "application/json",
            "User-Agent": "cdp-webhook/1",
            "Idempotency-Key": prepared.message_id,
            "Cdp-Timestamp": str(timestamp_s),
            "Cdp-Signature": signature(prepared.settings.webhook_secret, timestamp_s, prepared.body),
        }
        extensions = {"sni_hostname": host} if parts.scheme == "https" else {}
        request = self._client.build_request("POST", url, content=prepared.body, headers=headers, extensions=extensions)
        try:
            async with asyncio.timeout(2 * _TIMEOUT_S):
                response = await self._client.send(request, stream=True)
                try:
                    reply = await _first_bytes(response)
                finally:
                    await response.aclose()
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            return Deferred("PROVIDER_UNREACHABLE", str(error)[:500])
        except (httpx2.HTTPError, TimeoutError) as error:
            return Unknown(f"NO_ANSWER: {type(error).__name__}")
        return _outcome(response.status_code, reply)

    async def close(self) -> None:
        """See Sender."""
        await self._client.aclose()


async def _first_bytes(response: httpx2.Response) -> str:
    """The beginning of the answer; the rest is not read."""
    found = b""
    async for part in response.aiter_raw():
        found += part
        if len(found) >= _LIMIT_REPLY_BYTES:
            break
    return found[:200].decode(errors="replace")


def _outcome(status: int, reply: str) -> Outcome:
    said = f"{status} {reply}"
    if 200 <= status < 300:
        return Accepted(said)
    if status in _LATER:
        return Deferred("PROVIDER_BUSY", said)
    if status >= 500:
        return Unknown(f"PROVIDER_FAILED: {status}")
    return Rejected("REDIRECTED" if 300 <= status < 400 else "PROVIDER_REFUSED", said)
