"""Viber business messages by HTTP: a text, a text with a button, or a picture with text and button.

Made of the provider's document "Business Messages API": one POST for a message, answered 200 whatever became of it; a
number in the answer says what. Reports come to `services.channel.viber_callbacks`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from cdp.profile.v1 import profile_pb2
from core.clock import SECOND_US
from core.delivery.outbox import Deferred, Outcome, Rejected, Unknown
from core.errors import invalid
from services.channel.channel_settings import ChannelSettings, is_webhook_url
from services.channel.needs import needs_of
from services.channel.notice import Notice, render_notice
from services.channel.receipts import accepted_as
from services.channel.render import CompiledTemplate, compile_text_field
from services.channel.senders.phone_numbers import dialled, phone_of
from services.channel.senders.pinned_post import Answer, PinnedPost
from services.channel.senders.sender import Envelope, KindRules, Prepared, ProviderSettings
from services.channel.templates import Template, bad_template

VIBER = "viber"
SEND_URL = "https://services.viber.com/vibersrvc/1/send_message"
LIMIT_TEXT = 1_000
LIMIT_CAPTION = 30
LIMIT_URL = 1_000
LIMIT_TTL_S = 1_209_600
_LEAST_TTL_S = 30
_LEAST_KEY = 16

#: Types of messages that reach phones and desktops alike.
_TEXT_TRANSACTIONAL, _TEXT_PROMOTIONAL, _PICTURE_AND_BUTTON, _TEXT_AND_BUTTON = 206, 225, 108, 109

#: Statuses of an answer. The person is not reached by this channel, which another one may do:
_NOT_REACHED = {8: "RECIPIENT_BLOCKED_US", 9: "RECIPIENT_NOT_ON_CHANNEL", 10: "RECIPIENT_HAS_NO_DEVICE"}
_BAD_NUMBER = 27
#: They are away or have had enough for now.
_LATER = frozenset({17, 21})
#: About our account: unknown, blocked, not paid, from a wrong address.
_REFUSED_US = frozenset({2, 11, 13, 14, 43, 401})
#: A failure inside of the provider, or its own time-out.
_UNKNOWN = frozenset({1, 7})
_BUSY = frozenset({408, 425, 429, 503})


class MessengerSender:
    """Providers of kind `viber`. Settings: `service_id`, `url` (empty: Viber's own); secret `callback_key`, which the
    address of reports must bear."""

    personal = True
    own_surface = False

    def __init__(self) -> None:
        self._post = PinnedPost()

    def kinds(self) -> Mapping[str, KindRules]:
        """See Sender."""
        needed, secret = frozenset({"service_id"}), frozenset({"callback_key"})
        return {VIBER: KindRules(needed, frozenset({"url"}), secret, frozenset(), _problem)}

    def default_provider(self) -> ProviderSettings | None:
        """None: a Viber service belongs to one shop."""
        return None

    def carries(self, kind: str, address: str) -> bool:
        """Any number."""
        return True

    def compile(self, source: Template) -> CompiledTemplate:
        """See Sender. `url` is where the button leads, `subject` what stands on it; a picture needs a button."""
        if not source.body_text.strip():
            raise bad_template("body_text", 0, "is empty")
        if source.url.strip() and not source.subject.strip():
            raise bad_template("subject", 0, "is empty; it stands on the button that leads to url")
        if source.image_url.strip() and not source.url.strip():
            raise bad_template("url", 0, "is empty; a picture comes with a button")
        subject = compile_text_field("subject", source.subject)
        text = compile_text_field("body_text", source.body_text)
        url = compile_text_field("url", source.url)
        image_url = compile_text_field("image_url", source.image_url)
        return CompiledTemplate(source, subject, None, text, needs_of(subject, text, url, image_url), url, image_url)

    def address(self, profile: profile_pb2.Profile, settings: ChannelSettings) -> str | None:
        """See `phone_of`."""
        return phone_of(profile)

    def prepare(self, envelope: Envelope) -> Prepared:
        """See Sender. Raises INVALID: BAD_ADDRESS, EMPTY_TEXT, TEXT_TOO_LONG, and those of `render_notice`."""
        notice = render_notice(envelope.template, envelope.values, envelope.links)
        _check(notice)
        number = dialled(envelope.address)
        document: dict[str, Any] = {
            "service_id": int(envelope.provider.settings.get("service_id", "0")),
            "dest": number,
            "seq": int.from_bytes(sha256(envelope.message_id.encode()).digest()[:4], "big") >> 1,
            **_content(notice, envelope.message_id, envelope.transactional),
            "label": "transaction" if envelope.transactional else "promotion",
        }
        if envelope.expires_at_us:
            left_s = (envelope.expires_at_us - envelope.now_us) // SECOND_US
            document["ttl"] = max(_LEAST_TTL_S, min(left_s, LIMIT_TTL_S))
        return Prepared(
            envelope.message_id,
            envelope.provider.settings.get("service_id", "0"),
            number,
            json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(),
            notice.links,
            envelope.settings,
            envelope.now_us,
            envelope.provider,
            envelope.expires_at_us,
        )

    async def send(self, prepared: Prepared) -> Outcome:
        """One POST; the number in the answer decides."""
        url = prepared.provider.settings.get("url") or SEND_URL
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        answer = await self._post(url, headers, prepared.body, prepared.settings.allowed_private_hosts)
        return outcome_of(answer) if isinstance(answer, Answer) else answer

    async def close(self) -> None:
        """See Sender."""
        await self._post.close()


def outcome_of(answer: Answer) -> Outcome:
    """What an answer to send_message means."""
    if answer.status in _BUSY:
        return Deferred("PROVIDER_BUSY", answer.said)
    if answer.status >= 500:
        return Unknown(f"PROVIDER_FAILED: {answer.status}")
    if answer.status != 200:
        return Rejected("REDIRECTED" if 300 <= answer.status < 400 else "PROVIDER_REFUSED", answer.said)
    try:
        told = json.loads(answer.body)
        status = told["status"]
        token = str(told.get("message_token", ""))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Unknown("PROVIDER_FAILED: the answer is no status")
    if not isinstance(status, int) or isinstance(status, bool):
        return Unknown("PROVIDER_FAILED: the answer is no status")
    if status == 0:
        return accepted_as([token] if token.isascii() and token.isdigit() else [])
    said = f"status {status}"
    if status in _NOT_REACHED:
        return Rejected(_NOT_REACHED[status], f"{said} {_NOT_REACHED[status]}")
    if status == _BAD_NUMBER:
        return Rejected("RECIPIENT_REFUSED", said, bounced=True)
    if status in _LATER:
        return Deferred("PROVIDER_BUSY", said)
    if status in _REFUSED_US:
        return Deferred("PROVIDER_REFUSED_US", said)
    if status in _UNKNOWN:
        return Unknown(f"PROVIDER_FAILED: {said}")
    return Rejected("PROVIDER_REFUSED", said)


def _content(notice: Notice, message_id: str, transactional: bool) -> dict[str, object]:
    message = {"#txt": notice.text}
    if not notice.url:
        # Types that people can answer want something to name the message by.
        message["#tracking_data"] = message_id
        return {"type": _TEXT_TRANSACTIONAL if transactional else _TEXT_PROMOTIONAL, "message": message}
    message |= {"#caption": notice.title, "#action": notice.url}
    if not notice.image_url:
        return {"type": _TEXT_AND_BUTTON, "message": message}
    return {"type": _PICTURE_AND_BUTTON, "message": message | {"#img": notice.image_url}}


def _check(notice: Notice) -> None:
    if not notice.text:
        raise invalid("EMPTY_TEXT", "the text is empty")
    if notice.url and not notice.title:
        raise invalid("EMPTY_TEXT", "nothing stands on the button")
    limits = (
        ("body_text", notice.text, LIMIT_TEXT),
        ("subject", notice.title if notice.url else "", LIMIT_CAPTION),
        ("url", notice.url, LIMIT_URL),
        ("image_url", notice.image_url, LIMIT_URL),
    )
    for name, text, limit in limits:
        if len(text) > limit:
            raise invalid("TEXT_TOO_LONG", f"{name} has {len(text)} characters, more than {limit}")


def _problem(settings: Mapping[str, str], secrets: Mapping[str, str]) -> str:
    service_id = settings.get("service_id", "")
    if not (service_id.isascii() and service_id.isdigit() and len(service_id) <= 12):
        return "service_id is no number"
    if settings.get("url") and not is_webhook_url(settings["url"]):
        return "url is no http or https URL with a host and without a password"
    key = secrets.get("callback_key", "")
    if len(key) < _LEAST_KEY or not key.isascii() or not key.replace("-", "").replace("_", "").isalnum():
        return f"callback_key has at least {_LEAST_KEY} letters, digits, - and _"
    return ""
