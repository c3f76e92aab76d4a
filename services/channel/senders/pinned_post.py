"""One POST to an address that was told to us: resolved once, checked, and called at just the address that was checked.

Every sender that calls a URL or a host out of somebody's settings, or out of a browser's subscription, goes this way.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx2

from core.clock import SECOND_US
from core.delivery.outbox import Accepted, Deferred, Outcome, Rejected, Unknown
from core.errors import CdpError
from services.runtime.addresses import pin

TIMEOUT_S = 10.0
#: The receiver says that it did nothing and may do it later.
_LATER = frozenset({408, 425, 429, 503})
_LONGEST_SECONDS = 7
_KEPT_HOSTS = 64
#: Answers are read as they come, so they must not come packed.
_OURS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "cdp/1"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: names of `headers` in lower case, and the beginning of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def said(self) -> str:
        """The status and the beginning of the body, for people."""
        return f"{self.status} {self.body[:200].decode(errors='replace')}"


@dataclass(slots=True)
class _Kept:
    """The connections to one host, and how many calls use them now."""

    transport: httpx2.AsyncHTTPTransport
    users: int = 0


class PinnedPost:
    """Keeps connections. `http2`: for servers that speak nothing else. Redirects are not followed, no proxy of the
    environment is asked, no cookie is kept, and of an answer's body the first `reply_bytes` are read, by whole packets.

    Every host has connections of its own: two hosts may live at one address, and a connection whose certificate was
    checked for one of them is none to the other.
    """

    def __init__(self, *, http2: bool = False, timeout_s: float = TIMEOUT_S, reply_bytes: int = 4_096) -> None:
        self._http2 = http2
        self._timeout_s = timeout_s
        self._reply_bytes = reply_bytes
        self._certificates: ssl.SSLContext | None = None
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def __call__(
        self, url: str, headers: Mapping[str, str], body: bytes, private_hosts: Collection[str]
    ) -> Answer | Deferred | Rejected | Unknown:
        """The answer to one POST of `body` to an http or https `url` (services.channel.channel_settings.is_webhook_url
        says which are sound). Hosts in private address space are called only if they are among `private_hosts`.

        Without a connection it is a deferral; without an answer the fate is unknown; an address that may not be called
        is rejected by us.
        """
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            pinned = await pin(host, port, private_hosts, "allowed_private_hosts")
        except CdpError as error:
            if error.retry_after_s is not None:
                return Deferred(error.reason, error.message)
            return Rejected(error.reason, error.message, by_provider=False)
        authority = f"[{pinned}]" if ":" in pinned else pinned
        target = f"{parts.scheme}://{authority}:{port}{parts.path or '/'}" + (f"?{parts.query}" if parts.query else "")
        extensions: dict[str, object] = {"timeout": httpx2.Timeout(self._timeout_s).as_dict()}
        if parts.scheme == "https":
            extensions["sni_hostname"] = host
        named = {**_OURS, "Host": parts.netloc, **headers}
        request = httpx2.Request("POST", target, content=body, headers=named, extensions=extensions)
        kept = await self._used(f"{parts.scheme}://{host}:{port}")
        try:
            async with asyncio.timeout(2 * self._timeout_s):
                response = await kept.transport.handle_async_request(request)
                try:
                    reply = await _beginning(response, self._reply_bytes)
                finally:
                    await response.aclose()
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            return Deferred("PROVIDER_UNREACHABLE", str(error)[:500])
        except (httpx2.HTTPError, TimeoutError) as error:
            return Unknown(f"NO_ANSWER: {type(error).__name__}")
        finally:
            kept.users -= 1
        return Answer(response.status_code, {name.lower(): value for name, value in response.headers.items()}, reply)

    async def close(self) -> None:
        """Let connections go. Idempotent."""
        kept, self._kept = self._kept, OrderedDict()
        for one in kept.values():
            await one.transport.aclose()

    async def _used(self, origin: str) -> _Kept:
        """The connections to `origin`, with one user more; what was used the longest ago is let go where there are too
        many."""
        if self._certificates is None:
            # Reading the trusted certificates takes tens of milliseconds.
            self._certificates = await asyncio.to_thread(httpx2.create_ssl_context, trust_env=False)
        found = self._kept.get(origin)
        if found is None:
            transport = httpx2.AsyncHTTPTransport(
                verify=self._certificates, trust_env=False, http1=not self._http2, http2=self._http2
            )
            found = self._kept[origin] = _Kept(transport)
        found.users += 1
        self._kept.move_to_end(origin)
        idle = [name for name, one in self._kept.items() if one.users == 0]
        gone = [self._kept.pop(name) for name in idle[: max(0, len(self._kept) - _KEPT_HOSTS)]]
        for one in gone:
            await one.transport.aclose()
        return found


async def _beginning(response: httpx2.Response, limit_bytes: int) -> bytes:
    """The first bytes of the answer; the rest is not read."""
    found = b""
    async for part in response.aiter_raw():
        found += part
        if len(found) >= limit_bytes:
            break
    return found[:limit_bytes]


def outcome_of(answer: Answer) -> Outcome:
    """What a status means where nothing else is known: 2xx accepted; 408, 425, 429 and 503 are a deferral, for as long
    as Retry-After says; any other failure inside the receiver leaves the fate unknown; a redirect, and all the rest, is
    refused."""
    status, said = answer.status, answer.said
    if 200 <= status < 300:
        return Accepted(said)
    if status in _LATER:
        return Deferred("PROVIDER_BUSY", said, retry_after_us(answer))
    if status >= 500:
        return Unknown(f"PROVIDER_FAILED: {status}")
    return Rejected("REDIRECTED" if 300 <= status < 400 else "PROVIDER_REFUSED", said)


def retry_after_us(answer: Answer) -> int:
    """What the header Retry-After asks for, as seconds or as a date; 0: nothing that can be read."""
    told = answer.headers.get("retry-after", "").strip()
    if told.isascii() and told.isdigit() and len(told) <= _LONGEST_SECONDS:
        return int(told) * SECOND_US
    try:
        until, now = parsedate_to_datetime(told), parsedate_to_datetime(answer.headers.get("date", ""))
        return max(0, int((until - now).total_seconds()) * SECOND_US)
    except (ValueError, TypeError, OverflowError):
        return 0
