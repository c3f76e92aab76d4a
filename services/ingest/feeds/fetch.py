"""A feed's file from its URL: allowed hosts alone, every address checked and pinned, within size and time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx2

from core.errors import CdpError, Code, invalid, unavailable
from services.ingest.feeds.source import FILE_TOO_LARGE
from services.runtime.addresses import pin

HOST_NOT_ALLOWED = "FEED_HOST_NOT_ALLOWED"
UNREACHABLE = "FEED_UNREACHABLE"
BAD_ANSWER = "FEED_ANSWER"
BAD_URL = "BAD_FEED_URL"

_STEP_S = 30.0
_TOTAL_S = 1_800.0
_MOST_REDIRECTS = 3
_PART_BYTES = 1 << 18
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be fetched. A host must match one of `hosts` of the workspace and one of those of the process;
    `private_hosts` may lead to private addresses."""

    hosts: tuple[str, ...]
    process_hosts: tuple[str, ...]
    private_hosts: Collection[str]
    limit_bytes: int

    def allows(self, host: str) -> bool:
        """Whether a host, in any case, may be called."""
        return matches(host, self.hosts) and matches(host, self.process_hosts)


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the server answered. `modified` False: the file is as it was when it told `etag` and `last_modified`, and
    nothing was written."""

    modified: bool
    etag: str
    last_modified: str


def matches(host: str, patterns: Collection[str]) -> bool:
    """Whether `host` is one of the hosts: "shop.example", "*.shop.example" (any below it), "*"."""
    name = host.lower().rstrip(".")
    return any(
        pattern == "*" or name == pattern or (pattern.startswith("*.") and name.endswith(pattern[1:]))
        for pattern in (one.lower() for one in patterns)
    )


def checked_url(url: str, limits: Limits) -> str:
    """The host of `url`. Raises INVALID: BAD_FEED_URL, FEED_HOST_NOT_ALLOWED."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise invalid(BAD_URL, f"the URL cannot be read: {error}") from error
    if parts.scheme not in _PORTS or not host or parts.username is not None or not url.isprintable():
        raise invalid(BAD_URL, "a feed's URL is http or https, with a host and without a user")
    if not limits.allows(host):
        raise invalid(HOST_NOT_ALLOWED, f"feeds may not be fetched from {host}: list it in the catalogue's settings")
    return host


async def fetch(
    url: str, etag: str, last_modified: str, limits: Limits, target: Path, progress: Callable[[int], None]
) -> Fetched:
    """Write the file behind `url` to `target`; `etag` and `last_modified` are those of the last import, or empty.
    `progress` is told of the bytes written. Raises INVALID or UNAVAILABLE with the reason; a part of a file stays
    under another name only."""
    part = target.with_suffix(".part")
    conditions = {"If-None-Match": etag, "If-Modified-Since": last_modified}
    try:
        async with asyncio.timeout(_TOTAL_S):
            for _ in range(_MOST_REDIRECTS + 1):
                found = await _once(
                    url, {key: text for key, text in conditions.items() if text}, limits, part, progress
                )
                if isinstance(found, Fetched):
                    if found.modified:
                        await asyncio.to_thread(part.replace, target)
                    return found
                url = found
    except TimeoutError as error:
        raise unavailable(UNREACHABLE, f"the file did not come within {_TOTAL_S:.0f} s", 60.0) from error
    except httpx2.HTTPError as error:
        raise unavailable(UNREACHABLE, f"the server cannot be reached: {type(error).__name__} {error}", 60.0) from error
    raise invalid(BAD_ANSWER, f"the server redirects more than {_MOST_REDIRECTS} times")


async def _once(
    url: str, conditions: dict[str, str], limits: Limits, part: Path, progress: Callable[[int], None]
) -> Fetched | str:
    """One request: what came, or the URL that the server sends us to."""
    host = checked_url(url, limits)
    parts = urlsplit(url)
    port = parts.port or _PORTS[parts.scheme]
    pinned = await pin(host, port, limits.private_hosts, "CDP_FEED_PRIVATE_HOSTS")
    authority = f"[{pinned}]" if ":" in pinned else pinned
    target = f"{parts.scheme}://{authority}:{port}{parts.path or '/'}" + (f"?{parts.query}" if parts.query else "")
    headers = {
        "Host": parts.netloc,
        "User-Agent": "cdp-feed/1",
        "Accept": "application/xml, text/xml, text/csv, text/plain, */*",
        "Accept-Encoding": "gzip",
        **conditions,
    }
    extensions = {"sni_hostname": host} if parts.scheme == "https" else {}
    async with httpx2.AsyncClient(timeout=_STEP_S, follow_redirects=False, trust_env=False, http2=False) as client:
        request = client.build_request("GET", target, headers=headers, extensions=extensions)
        response = await client.send(request, stream=True)
        try:
            if response.status_code == 304 and conditions:
                return Fetched(False, conditions.get("If-None-Match", ""), conditions.get("If-Modified-Since", ""))
            if response.status_code in _REDIRECTS:
                return urljoin(url, response.headers.get("location", ""))
            if response.status_code != 200:
                raise _bad_status(response.status_code)
            await _write(response, part, limits.limit_bytes, progress)
            return Fetched(True, response.headers.get("etag", ""), response.headers.get("last-modified", ""))
        finally:
            await response.aclose()


async def _write(response: httpx2.Response, part: Path, limit_bytes: int, progress: Callable[[int], None]) -> None:
    # The bytes as they came: a packed answer is a packed file, which the reader knows how to unpack within its limit.
    size = 0
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open("wb") as file:
        async for piece in response.aiter_raw(_PART_BYTES):
            size += len(piece)
            if size > limit_bytes:
                raise invalid(FILE_TOO_LARGE, f"the feed has more than {limit_bytes} bytes")
            await asyncio.to_thread(file.write, piece)
            progress(size)


def _bad_status(status: int) -> CdpError:
    if status == 429 or status >= 500:
        return unavailable(BAD_ANSWER, f"the server answered {status}", 300.0)
    return CdpError(Code.INVALID, BAD_ANSWER, f"the server answered {status} instead of the file")
