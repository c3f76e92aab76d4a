"""Which opens and clicks were made by machines, told from what the request says about itself.

Image proxies fetch the pixel on behalf of the person (Gmail, Yahoo) or before anybody looks (Apple Mail Privacy
Protection); security scanners follow every link. Such hits are marked, and count nowhere unless asked for.
"""

from __future__ import annotations

from collections.abc import Mapping

#: Parts of User-Agent, lower case. Gmail's and Yahoo's proxies fetch when the message is shown, yet hide who and where.
_IMAGE_PROXIES = ("googleimageproxy", "yahoomailproxy", "ymailproxy", "mailmarshal", "barracuda")
_SCANNERS = (
    *("bot", "crawler", "spider", "scanner", "preview", "proofpoint", "mimecast", "safelinks", "barracuda"),
    *("curl/", "wget/", "python-", "go-http-client", "okhttp", "java/", "headlesschrome", "phantomjs"),
    *("facebookexternalhit", "whatsapp", "telegrambot", "slackbot", "skypeuripreview", "microsoft office"),
)
#: Apple's privacy proxy sends this and nothing more: no Safari, no version of anything.
_APPLE_PREFETCH = "mozilla/5.0"


def is_machine_open(method: str, headers: Mapping[str, str]) -> bool:
    """Whether an image proxy, a prefetch or a scanner asked for the pixel. `headers` have lower-case names."""
    agent = headers.get("user-agent", "").strip().lower()
    if method != "GET" or _is_prefetch(headers) or not agent or agent == _APPLE_PREFETCH:
        return True
    return any(part in agent for part in (*_IMAGE_PROXIES, *_SCANNERS))


def is_machine_click(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a scanner or a prefetch followed the link. `headers` have lower-case names."""
    agent = headers.get("user-agent", "").strip().lower()
    if method != "GET" or _is_prefetch(headers) or not agent:
        return True
    return any(part in agent for part in _SCANNERS)


def _is_prefetch(headers: Mapping[str, str]) -> bool:
    purpose = f"{headers.get('purpose', '')} {headers.get('sec-purpose', '')} {headers.get('x-moz', '')}".lower()
    return "prefetch" in purpose or "preview" in purpose
