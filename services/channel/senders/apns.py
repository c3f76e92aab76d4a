"""Apple Push Notification service over HTTP/2: pushes to apps, by a signed token of a team's key.

Made from Apple's documents: "Sending notification requests to APNs", "Handling notification responses from APNs" and
"Establishing a token-based connection to APNs".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from core.clock import MINUTE_US, SECOND_US
from core.delivery.outbox import Deferred, Outcome, Rejected
from core.errors import invalid
from core.identity.push_tokens import bare
from services.channel.channel_settings import is_webhook_url
from services.channel.senders.jwt import signed
from services.channel.senders.pinned_post import Answer, PinnedPost, outcome_of
from services.channel.senders.push_content import Push, PushContent, expiry_us
from services.channel.senders.sender import Envelope, KindRules, Prepared

KIND = "apns"
PRODUCTION = "https://api.push.apple.com"
SANDBOX = "https://api.sandbox.push.apple.com"
#: What APNs takes of one notification.
LIMIT_PAYLOAD_BYTES = 4_096

#: Apple refuses tokens older than an hour, and new ones more often than every twenty minutes.
_TOKEN_US = 40 * MINUTE_US
_KEPT_TOKENS = 1_000
_NAME = re.compile(r"[A-Za-z0-9]{10}")
_TOPIC = re.compile(r"[A-Za-z0-9.-]{1,155}")
_HEX = re.compile(r"[0-9A-Fa-f]{64,200}")
#: Reasons by which the token of the device is no good any more.
_GONE = frozenset({"Unregistered", "ExpiredToken"})
_BAD_TOKEN = frozenset({"BadDeviceToken"})
_BAD_AUTH = frozenset({"ExpiredProviderToken", "InvalidProviderToken", "MissingProviderToken"})


class Apns:
    """Provider kind `apns`: settings `team_id`, `key_id`, `topic` (the app's bundle id), and secret `private_key` (the
    .p8 file); setting `environment` "sandbox" for builds of developers, or `endpoint` for another address."""

    def __init__(self) -> None:
        self._post = PinnedPost(http2=True)
        self._tokens: dict[tuple[str, str, str], tuple[int, str]] = {}

    def rules(self) -> KindRules:
        """What a workspace says of it."""
        needed, allowed = frozenset({"team_id", "key_id", "topic"}), frozenset({"environment", "endpoint"})
        return KindRules(needed, allowed, frozenset({"private_key"}), frozenset(), _problem)

    def body(self, envelope: Envelope, content: PushContent) -> bytes:
        """The payload. Raises INVALID: PAYLOAD_TOO_LARGE, BAD_ADDRESS."""
        if not _HEX.fullmatch(bare(envelope.address)):
            raise invalid("BAD_ADDRESS", "the token is none of Apple's: hex digits")
        aps: dict[str, object] = {"alert": {"title": content.title, "body": content.text}, "sound": "default"}
        if content.image_url:
            aps["mutable-content"] = 1  # the app's extension fetches the picture
        told = {"aps": aps, **content.data()}
        body = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
        if len(body) > LIMIT_PAYLOAD_BYTES:
            raise invalid("PAYLOAD_TOO_LARGE", f"a push has at most {LIMIT_PAYLOAD_BYTES} bytes, this one {len(body)}")
        return body

    async def send(self, prepared: Prepared) -> Outcome:
        """One POST."""
        if not isinstance(prepared, Push):
            raise TypeError("a push is made by prepare of its sender")
        settings = prepared.provider.settings
        headers = {
            "authorization": f"bearer {self._token(prepared)}",
            "apns-topic": settings["topic"],
            "apns-push-type": "alert",
            "apns-priority": "10",
            "apns-expiration": str(expiry_us(prepared.now_us, prepared.expires_at_us) // SECOND_US),
            "apns-collapse-id": prepared.collapse_id,
            "apns-id": str(UUID(bytes=sha256(prepared.message_id.encode()).digest()[:16])),
            "content-type": "application/json",
        }
        url = f"{_endpoint(settings)}/3/device/{bare(prepared.address).lower()}"
        answer = await self._post(url, headers, prepared.body, prepared.settings.allowed_private_hosts)
        if not isinstance(answer, Answer):
            return answer
        reason = _reason(answer.body)
        if reason in _BAD_AUTH:
            self._tokens.clear()
        return _outcome(answer, reason)

    async def close(self) -> None:
        """Let connections go. Idempotent."""
        await self._post.close()

    def _token(self, prepared: Prepared) -> str:
        settings, secret = prepared.provider.settings, prepared.provider.secrets["private_key"]
        name = (settings["team_id"], settings["key_id"], secret)
        made_us, token = self._tokens.get(name, (0, ""))
        if token and 0 <= prepared.now_us - made_us < _TOKEN_US:
            return token
        claims: dict[str, object] = {"iss": settings["team_id"], "iat": prepared.now_us // SECOND_US}
        token = signed(_key(secret), claims, kid=settings["key_id"])
        if len(self._tokens) >= _KEPT_TOKENS:
            self._tokens.clear()
        self._tokens[name] = prepared.now_us, token
        return token


def _outcome(answer: Answer, reason: str) -> Outcome:
    if reason in _GONE or answer.status == 410:
        return Rejected("TOKEN_GONE", answer.said, bounced=True)
    if reason in _BAD_TOKEN:
        return Rejected("BAD_TOKEN", answer.said, bounced=True)
    if reason in _BAD_AUTH:
        return Deferred("PROVIDER_AUTH", answer.said)
    if answer.status == 413:
        return Rejected("PAYLOAD_TOO_LARGE", answer.said)
    return outcome_of(answer)


def _reason(body: bytes) -> str:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    return str(told.get("reason", "")) if isinstance(told, dict) else ""


def _endpoint(settings: Mapping[str, str]) -> str:
    own = SANDBOX if settings.get("environment") == "sandbox" else PRODUCTION
    return (settings.get("endpoint") or own).rstrip("/")


def _key(secret: str) -> ec.EllipticCurvePrivateKey:
    """The key of a .p8 file. Raises ValueError for anything else."""
    try:
        key = load_pem_private_key(secret.encode(), None)
    except TypeError as error:
        raise ValueError("is closed by a password") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("is none of the curve P-256")
    return key


def _problem(settings: Mapping[str, str], secrets: Mapping[str, str]) -> str:
    for name in ("team_id", "key_id"):
        if not _NAME.fullmatch(settings.get(name, "")):
            return f"{name} has ten letters and digits"
    if not _TOPIC.fullmatch(settings.get("topic", "")):
        return "topic is no bundle id"
    if settings.get("environment", "production") not in ("production", "sandbox"):
        return "environment is neither production nor sandbox"
    if not is_webhook_url(settings.get("endpoint", PRODUCTION)):
        return "endpoint is no http or https URL"
    try:
        _key(secrets.get("private_key", ""))
    except ValueError:
        return "private_key is no .p8 file: a P-256 key in PEM"
    return ""
