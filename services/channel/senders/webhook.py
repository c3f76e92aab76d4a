"""Webhooks: a signed JSON document by POST, to an address that was resolved once, checked and pinned."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from decimal import Decimal
from hashlib import sha256

from cdp.profile.v1 import profile_pb2
from core.clock import SECOND_US
from core.delivery.outbox import Accepted, Outcome
from core.errors import invalid
from core.schema import MAX_DECIMAL_UNITS, MAX_INTEGER, MIN_INTEGER, DecimalUnits, Value
from services.channel.channel_settings import ChannelSettings, is_webhook_url
from services.channel.render import CompiledTemplate, compile_json, render_json
from services.channel.senders.pinned_post import Answer, PinnedPost, outcome_of
from services.channel.senders.sender import Envelope, KindRules, Prepared, ProviderSettings
from services.channel.templates import Template

_LONGEST_ANSWER = 65_536
_MOST_FIELDS = 20
_LONGEST_TEXT = 500
_MOST_DIGITS = 30
_FIELD = re.compile(r"[A-Za-z0-9_]{1,60}")


def signature(secret: str, timestamp_s: int, body: bytes) -> str:
    """The value of `Cdp-Signature`: `t=<seconds>,v1=<hex>` with HMAC-SHA256 over `<seconds>.<body>`."""
    mac = hmac.new(secret.encode(), b"%d." % timestamp_s + body, sha256).hexdigest()
    return f"t={timestamp_s},v1={mac}"


def answered(answer: Answer) -> dict[str, Value]:
    """`status`, and the scalar top-level fields of an answer that is a JSON object as `answer_<name>`: the first 20
    whose names are letters, digits and "_"; texts up to 500 characters, numbers that are exact with four decimals. What
    cannot be read is left out."""
    found: dict[str, Value] = {"status": answer.status}
    try:
        document = json.loads(answer.body, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return found
    for name, told in document.items() if isinstance(document, dict) else ():
        value = _scalar(told)
        if value is not None and _FIELD.fullmatch(name):
            found[f"answer_{name}"] = value
        if len(found) > _MOST_FIELDS:
            break
    return found


def _scalar(told: object) -> Value | None:
    match told:
        case str():
            return told[:_LONGEST_TEXT].replace("\0", "").encode(errors="replace").decode()
        case bool():
            return told
        case int():
            return told if MIN_INTEGER <= told <= MAX_INTEGER else None
        case Decimal():
            if not told.is_finite() or abs(told.adjusted()) > _MOST_DIGITS:
                return None
            units = told.scaleb(4)
            exact = units == units.to_integral_value() and abs(units) <= MAX_DECIMAL_UNITS
            return DecimalUnits(int(units)) if exact else None
        case _:
            return None


def _no_number(name: str) -> None:
    return None


class WebhookSender:
    """POST to the workspace's webhook URL. `Idempotency-Key` is the message id, so that receivers can drop repeats.
    What a receiver answers is told on: see `answered`."""

    personal = False
    own_surface = False

    def __init__(self) -> None:
        self._post = PinnedPost(reply_bytes=_LONGEST_ANSWER)

    def kinds(self) -> Mapping[str, KindRules]:
        """None to choose from: a webhook goes straight to its receiver."""
        return {}

    def default_provider(self) -> ProviderSettings:
        """See Sender."""
        return ProviderSettings("webhook", "http")

    def carries(self, kind: str, address: str) -> bool:
        """Any address."""
        return True

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
            envelope.provider,
            envelope.expires_at_us,
        )

    async def send(self, prepared: Prepared) -> Outcome:
        """One POST; what the answer means is said by `outcome_of`."""
        timestamp_s = prepared.now_us // SECOND_US
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "cdp-webhook/1",
            "Idempotency-Key": prepared.message_id,
            "Cdp-Timestamp": str(timestamp_s),
            "Cdp-Signature": signature(prepared.settings.webhook_secret, timestamp_s, prepared.body),
        }
        hosts = prepared.settings.allowed_private_hosts
        answer = await self._post(prepared.address, headers, prepared.body, hosts)
        if not isinstance(answer, Answer):
            return answer
        outcome = outcome_of(answer)
        return Accepted(outcome.reply, answered(answer)) if isinstance(outcome, Accepted) else outcome

    async def close(self) -> None:
        """See Sender."""
        await self._post.close()
