"""Firebase Cloud Messaging, HTTP v1: pushes to apps, by a service account's token.

Made from the documents: projects.messages.send and ErrorCode of FCM, and OAuth 2.0 for service accounts.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import quote, urlencode

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from core.clock import SECOND_US
from core.delivery.outbox import Deferred, Outcome, Rejected
from core.errors import invalid
from core.identity.push_tokens import bare
from services.channel.channel_settings import is_webhook_url
from services.channel.senders.jwt import signed
from services.channel.senders.pinned_post import Answer, PinnedPost, outcome_of, retry_after_us
from services.channel.senders.push_content import PushContent, expiry_us, lifetime_s
from services.channel.senders.sender import Envelope, KindRules, Prepared, ProviderSettings

KIND = "fcm"
ENDPOINT = "https://fcm.googleapis.com"
#: What FCM takes of notification and data together.
LIMIT_PAYLOAD_BYTES = 4_096

_SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_CLAIM_S = 3_600
_LONGEST_TOKEN_S = 3_600
#: A token that holds for less than this is asked for anew.
_SPARE_US = 300 * SECOND_US
_KEPT_ACCOUNTS = 256
#: What FCM asks for where it is busy and says nothing of when to come back.
_PAUSE_US = 60 * SECOND_US


@dataclass(frozen=True, slots=True)
class _Account:
    project: str
    email: str
    token_url: str
    key_id: str
    key: rsa.RSAPrivateKey = field(repr=False)


@dataclass(slots=True)
class _Access:
    """An account's token; one caller at a time asks for a new one."""

    account: _Account
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    token: str = field(default="", repr=False)
    until_us: int = 0


class Fcm:
    """Provider kind `fcm`: secret `service_account` (the JSON file of a Google service account), setting `endpoint` for
    another address than Google's."""

    def __init__(self) -> None:
        self._post = PinnedPost()
        self._accesses: dict[bytes, _Access] = {}

    def rules(self) -> KindRules:
        """What a workspace says of it."""
        needed_secrets = frozenset({"service_account"})
        return KindRules(frozenset(), frozenset({"endpoint"}), needed_secrets, frozenset(), _problem)

    def body(self, envelope: Envelope, content: PushContent) -> bytes:
        """The request. Raises INVALID / PAYLOAD_TOO_LARGE."""
        shown = {"title": content.title, "body": content.text, "image": content.image_url}
        notification = {name: text for name, text in shown.items() if text}
        payload = len(_json(notification)) + len(_json(content.data()))
        if payload > LIMIT_PAYLOAD_BYTES:
            raise invalid("PAYLOAD_TOO_LARGE", f"a push has at most {LIMIT_PAYLOAD_BYTES} bytes, this one {payload}")
        android: dict[str, object] = {
            "priority": "HIGH",
            "ttl": f"{lifetime_s(envelope.now_us, envelope.expires_at_us)}s",
            "notification": {"tag": content.tag},
        }
        if content.replaces:
            # FCM keeps four different keys for a device that is off: one for every message would lose the others.
            android["collapse_key"] = content.collapse_id
        expires_at_s = expiry_us(envelope.now_us, envelope.expires_at_us) // SECOND_US
        message = {
            "token": bare(envelope.address),
            "notification": notification,
            "data": content.data(),
            "android": android,
            "apns": {"headers": {"apns-collapse-id": content.collapse_id, "apns-expiration": str(expires_at_s)}},
        }
        return _json({"message": message})

    async def send(self, prepared: Prepared) -> Outcome:
        """One POST, with another one before it where the token is over; that one sends nothing, so whatever becomes of
        it is a deferral."""
        provider = prepared.provider
        hosts = prepared.settings.allowed_private_hosts
        access = await self._access(provider)
        token = await self._token(access, prepared)
        if not isinstance(token, str):
            return token
        endpoint = provider.settings.get("endpoint") or ENDPOINT
        url = f"{endpoint.rstrip('/')}/v1/projects/{quote(access.account.project, safe='')}/messages:send"
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        answer = await self._post(url, headers, prepared.body, hosts)
        if not isinstance(answer, Answer):
            return answer
        if answer.status == 401 and access.token == token:
            access.token = ""
        return _outcome(answer)

    async def close(self) -> None:
        """Let connections go. Idempotent."""
        await self._post.close()

    async def _access(self, provider: ProviderSettings) -> _Access:
        secret = provider.secrets["service_account"]
        name = sha256(secret.encode()).digest()
        known = self._accesses.get(name)
        if known is None:
            account = await asyncio.to_thread(_account, secret)  # reading an RSA key takes milliseconds
            if len(self._accesses) >= _KEPT_ACCOUNTS:
                self._accesses.clear()
            known = self._accesses.setdefault(name, _Access(account))
        return known

    async def _token(self, access: _Access, prepared: Prepared) -> str | Deferred | Rejected:
        async with access.asking:
            if access.token and prepared.now_us < access.until_us - _SPARE_US:
                return access.token
            account, now_s = access.account, prepared.now_us // SECOND_US
            claims: dict[str, object] = {
                "iss": account.email,
                "scope": _SCOPE,
                "aud": account.token_url,
                "iat": now_s,
                "exp": now_s + _CLAIM_S,
            }
            assertion = await asyncio.to_thread(lambda: signed(account.key, claims, typ="JWT", kid=account.key_id))
            body = urlencode({"grant_type": _GRANT, "assertion": assertion}).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            hosts = prepared.settings.allowed_private_hosts
            answer = await self._post(account.token_url, headers, body, hosts)
            if isinstance(answer, Rejected):
                return answer
            if not isinstance(answer, Answer):
                return Deferred("PROVIDER_AUTH", answer.reason)
            told = _fields(answer.body)
            token, holds_s = told.get("access_token"), told.get("expires_in")
            if answer.status != 200 or not isinstance(token, str) or not token.isascii():
                # The body may hold a token in a form that is not ours: the status has to do.
                return Deferred("PROVIDER_AUTH", f"{answer.status} {told.get('error', '')}"[:200])
            lifetime = holds_s if isinstance(holds_s, int) else _LONGEST_TOKEN_S
            access.token = token
            access.until_us = prepared.now_us + min(lifetime, _LONGEST_TOKEN_S) * SECOND_US
            return token


def _outcome(answer: Answer) -> Outcome:
    error = _fields(answer.body).get("error")
    told = error if isinstance(error, dict) else {}
    details = _objects(told.get("details"))
    code = next((str(one["errorCode"]) for one in details if "errorCode" in one), str(told.get("status", "")))
    fields = [field.get("field") for one in details for field in _objects(one.get("fieldViolations"))]
    if code == "UNREGISTERED":
        return Rejected("TOKEN_GONE", answer.said, bounced=True)
    if answer.status == 400 and ("message.token" in fields or "registration token" in str(told.get("message", ""))):
        return Rejected("BAD_TOKEN", answer.said, bounced=True)
    if answer.status == 401:
        return Deferred("PROVIDER_AUTH", answer.said)
    if answer.status in (429, 503):
        return Deferred("PROVIDER_BUSY", answer.said, retry_after_us(answer) or _PAUSE_US)
    return outcome_of(answer)


def _fields(body: bytes) -> dict[str, object]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _objects(told: object) -> list[dict[str, object]]:
    return [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []


def _account(secret: str) -> _Account:
    """The account of its JSON file. Raises ValueError, with the reason and nothing of the secret."""
    told = _fields(secret.encode())
    fields = {}
    for name in ("project_id", "client_email", "private_key", "token_uri"):
        value = told.get(name)
        if not isinstance(value, str) or not value:
            raise ValueError(f"has no {name}")
        fields[name] = value
    if not is_webhook_url(fields["token_uri"]):
        raise ValueError("has a token_uri that is no address")
    try:
        key = load_pem_private_key(fields["private_key"].encode(), None)
    except (ValueError, TypeError) as error:
        raise ValueError("has a private_key that cannot be read") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("has a private_key that is none of RSA")
    key_id = told.get("private_key_id")
    names = fields["project_id"], fields["client_email"], fields["token_uri"]
    return _Account(*names, key_id if isinstance(key_id, str) else "", key)


def _problem(settings: Mapping[str, str], secrets: Mapping[str, str]) -> str:
    if not is_webhook_url(settings.get("endpoint", ENDPOINT)):
        return "endpoint is no http or https URL"
    try:
        _account(secrets.get("service_account", ""))
    except ValueError as error:
        return f"service_account {error}"
    return ""


def _json(told: object) -> bytes:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
