"""Web pushes: an encrypted notice by POST to the push service that a browser named, signed by our VAPID key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import urlsplit

from cdp.profile.v1 import profile_pb2
from core.clock import HOUR_US, SECOND_US
from core.delivery.outbox import Outcome, Rejected
from core.errors import invalid
from core.identity.push_tokens import WEB_PUSH, PushService, service_of, subscription_of
from services.channel.channel_settings import ChannelSettings, is_webhook_url, parse_sender
from services.channel.notice import compile_notice
from services.channel.render import CompiledTemplate
from services.channel.senders.devices import devices_of
from services.channel.senders.jwt import signed
from services.channel.senders.pinned_post import Answer, PinnedPost, outcome_of
from services.channel.senders.push_content import Push, content_of, lifetime_s, push_of
from services.channel.senders.sender import Envelope, KindRules, Prepared, ProviderSettings
from services.channel.senders.web_push_cipher import closed, private_key, public_text
from services.channel.templates import Template

KIND = "vapid"
#: A token may hold for a day; it is made anew when half of what we give it is over.
_TOKEN_US = 12 * HOUR_US
_KEPT_TOKENS = 1_000


class WebPushSender:
    """Providers of kind `vapid`: secret `private_key` (32 bytes as base64url), setting `subject` (mailto: or https:, by
    which the push service reaches whoever runs this; without it the workspace's sender). `own_key`, of the same form,
    and `own_subject` are the process's own."""

    personal = True
    own_surface = False

    def __init__(self, own_key: str, own_subject: str = "") -> None:
        settings = {"subject": own_subject} if own_subject else {}
        self._default = ProviderSettings("own", KIND, settings, {"private_key": own_key})
        self._post = PinnedPost()
        self._tokens: dict[tuple[str, str, str], tuple[int, str]] = {}

    def kinds(self) -> Mapping[str, KindRules]:
        """See Sender."""
        return {KIND: KindRules(frozenset(), frozenset({"subject"}), frozenset({"private_key"}), frozenset(), _problem)}

    def default_provider(self) -> ProviderSettings:
        """See Sender."""
        return self._default

    def carries(self, kind: str, address: str) -> bool:
        """Browsers' subscriptions."""
        return kind == KIND and service_of(address) is PushService.WEB

    def compile(self, source: Template) -> CompiledTemplate:
        """See Sender."""
        return compile_notice(source)

    def address(self, profile: profile_pb2.Profile, settings: ChannelSettings) -> str | None:
        """The browser that was subscribed last."""
        return next(iter(devices_of(profile, WEB_PUSH)), None)

    def prepare(self, envelope: Envelope) -> Prepared:
        """See Sender. Raises INVALID: BAD_ADDRESS, PAYLOAD_TOO_LARGE, UNSAFE_URL, TEMPLATE_FAILED."""
        subscription = subscription_of(envelope.address)
        if subscription is None or not is_webhook_url(subscription.endpoint):
            raise invalid("BAD_ADDRESS", "the push token is no browser's subscription")
        content = content_of(envelope)
        told = {
            "title": content.title,
            "body": content.text,
            "icon": content.icon_url,
            "image": content.image_url,
            "url": content.url,
            "tag": content.tag,
            "id": content.message_id,
            "shown": content.shown_url,
            "opened": content.opened_url,
        }
        payload = json.dumps({name: text for name, text in told.items() if text}, ensure_ascii=False)
        return push_of(envelope, content, closed(payload.encode(), subscription))

    async def send(self, prepared: Prepared) -> Outcome:
        """One POST. A subscription that is over (404, 410) bounces; the rest is as `outcome_of` says."""
        subscription = subscription_of(prepared.address)
        if not isinstance(prepared, Push) or subscription is None:
            raise TypeError("a web push is made by prepare of this sender")
        headers = {
            "TTL": str(lifetime_s(prepared.now_us, prepared.expires_at_us)),
            "Urgency": "high" if prepared.urgent else "normal",
            "Topic": prepared.collapse_id,
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "Authorization": self._authorization(prepared, subscription.endpoint),
        }
        hosts = prepared.settings.allowed_private_hosts
        answer = await self._post(subscription.endpoint, headers, prepared.body, hosts)
        if not isinstance(answer, Answer):
            return answer
        if answer.status in (404, 410):
            return Rejected("SUBSCRIPTION_GONE", answer.said, bounced=True)
        if answer.status == 413:
            return Rejected("PAYLOAD_TOO_LARGE", answer.said)
        return outcome_of(answer)

    async def close(self) -> None:
        """See Sender."""
        await self._post.close()

    def _authorization(self, prepared: Prepared, endpoint: str) -> str:
        """The header by which the push service knows us; one token per service and key, kept for some hours."""
        provider = prepared.provider
        parts = urlsplit(endpoint)
        key, audience = provider.secrets["private_key"], f"{parts.scheme}://{parts.netloc}"
        subject = provider.settings.get("subject", "") or _mailbox(prepared.settings)
        made_us, header = self._tokens.get((key, audience, subject), (0, ""))
        if header and 0 <= prepared.now_us - made_us < _TOKEN_US // 2:
            return header
        signing = private_key(key)
        claims: dict[str, object] = {"aud": audience, "exp": (prepared.now_us + _TOKEN_US) // SECOND_US}
        if subject:
            claims["sub"] = subject
        header = f"vapid t={signed(signing, claims, typ='JWT')},k={public_text(signing)}"
        if len(self._tokens) >= _KEPT_TOKENS:
            self._tokens.clear()
        self._tokens[key, audience, subject] = prepared.now_us, header
        return header


def public_key_of(provider: ProviderSettings) -> str:
    """What pages subscribe with when `provider` sends: its public key as base64url."""
    return public_text(private_key(provider.secrets["private_key"]))


def _mailbox(settings: ChannelSettings) -> str:
    sender = parse_sender(settings.sender) if settings.sender else None
    return f"mailto:{sender.addr_spec}" if sender else ""


def _problem(settings: Mapping[str, str], secrets: Mapping[str, str]) -> str:
    try:
        private_key(secrets.get("private_key", ""))
    except ValueError:
        return "private_key is no P-256 key: 32 bytes as base64url"
    subject = settings.get("subject", "mailto:")
    if not subject.startswith(("mailto:", "https://")) or not subject.isascii() or any(one <= " " for one in subject):
        return "subject is neither a mailto: nor an https: address"
    return ""
