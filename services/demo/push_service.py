"""A local push service with the browsers that it knows: what is sent to the demo's people arrives here, opened."""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from core.identity.push_tokens import web_token

_LIMIT_BYTES = 8 << 10
_HEAD_END = b"\r\n\r\n"
#: Salt, size of a record, length of the key that follows.
_SALT_BYTES, _SIZE_BYTES = 16, 4
_LAST_RECORD = 2


@dataclass(frozen=True, slots=True)
class Notice:
    """A push as the browser of `person` shows it."""

    person: str
    title: str
    body: str
    url: str


class _Browser:
    """The secret half of a subscription."""

    def __init__(self, person: str) -> None:
        self.person = person
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._secret = secrets.token_bytes(16)

    def token(self, endpoint: str) -> str:
        """The push token by which the shop's page tells of this browser."""
        return web_token(endpoint, self._point(), self._secret)

    def opened(self, body: bytes) -> bytes:
        """The payload of a push (RFC 8291 over RFC 8188, one record). Raises ValueError for any other."""
        key_at = _SALT_BYTES + _SIZE_BYTES + 1
        if len(body) <= key_at:
            raise ValueError("no encrypted push")
        salt, told_by = body[:_SALT_BYTES], body[key_at : key_at + body[key_at - 1]]
        sender = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), told_by)
        shared = self._key.exchange(ec.ECDH(), sender)
        of_both = _derived(self._secret, shared, b"WebPush: info\0" + self._point() + told_by, 32)
        key = _derived(salt, of_both, b"Content-Encoding: aes128gcm\0", 16)
        nonce = _derived(salt, of_both, b"Content-Encoding: nonce\0", 12)
        try:
            record = AESGCM(key).decrypt(nonce, body[key_at + len(told_by) :], None)
        except InvalidTag as error:
            raise ValueError("encrypted for another browser") from error
        content = record.rstrip(b"\0")
        if not content or content[-1] != _LAST_RECORD:
            raise ValueError("more records than one")
        return content[:-1]

    def _point(self) -> bytes:
        return self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


class PushService:
    """Takes pushes on 127.0.0.1 for the browsers that it subscribed; `next` gives them in the order of arrival."""

    def __init__(self) -> None:
        self.port = 0
        self._browsers: dict[str, _Browser] = {}
        self._notices: asyncio.Queue[Notice] = asyncio.Queue()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def subscribe(self, person: str) -> str:
        """A new browser of `person`: its push token."""
        path = f"/push/{secrets.token_hex(8)}"
        self._browsers[path] = browser = _Browser(person)
        return browser.token(f"http://127.0.0.1:{self.port}{path}")

    async def next(self) -> Notice:
        """The next push; waits for it."""
        return await self._notices.get()

    async def close(self) -> None:
        """Stop listening. Idempotent."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            await server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One push; the connection is closed after it."""
        try:
            request, *lines = (await reader.readuntil(_HEAD_END)).decode("latin-1").split("\r\n")
            heads = (line.partition(":") for line in lines)
            headers = {name.strip().lower(): value.strip() for name, colon, value in heads if colon}
            body = await reader.readexactly(min(int(headers.get("content-length", "0")), _LIMIT_BYTES))
            status = self._taken(request.split(" ")[1], headers, body)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, IndexError):
            status = "400 Bad Request"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        writer.close()

    def _taken(self, path: str, headers: Mapping[str, str], body: bytes) -> str:
        """The status for a push; those of earlier runs of the demo are gone."""
        browser = self._browsers.get(path)
        if browser is None:
            return "410 Gone"
        if not headers.get("authorization", "").startswith("vapid ") or "ttl" not in headers:
            return "401 Unauthorized"
        told = json.loads(browser.opened(body))
        self._notices.put_nowait(
            Notice(browser.person, told.get("title", ""), told.get("body", ""), told.get("url", ""))
        )
        return "201 Created"


def _derived(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    """HKDF with SHA-256 (RFC 5869) of at most 32 bytes: one round."""
    key = hmac.new(salt, secret, sha256).digest()
    return hmac.new(key, info + b"\1", sha256).digest()[:length]
