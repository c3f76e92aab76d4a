"""Which opens and clicks were made by machines, told from what the request says about itself: one table.

Image proxies fetch the pixel on behalf of the person (Gmail, Yahoo) or before anybody looks (Apple Mail Privacy
Protection); security scanners follow every link. Such hits are marked, and count nowhere unless asked for. What a
single request cannot show (every link followed within seconds) is found by core.delivery.bursts and marked afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: Apple's privacy proxy sends this and nothing more: no Safari, no version of anything.
_APPLE_PREFETCH = "mozilla/5.0"


@dataclass(frozen=True, slots=True)
class MachineRule:
    """Parts of User-Agent, lower case, that give a machine away; `opens` and `clicks`: hits of which kind."""

    name: str
    about: str
    agents: tuple[str, ...]
    opens: bool = True
    clicks: bool = True


RULES: tuple[MachineRule, ...] = (
    # A person who clicks in Gmail comes with their own browser; only the picture goes through the proxy. It is fetched
    # when the letter is shown, yet also beforehand, and it hides who and where: so it is not taken for a reader.
    MachineRule("gmail_proxy", "Gmail's image proxy", ("googleimageproxy", "ggpht.com"), clicks=False),
    MachineRule("yahoo_proxy", "Yahoo's image proxy", ("yahoomailproxy", "ymailproxy"), clicks=False),
    MachineRule("outlook_proxy", "Outlook.com's image proxy", ("outlook-image-proxy",), clicks=False),
    MachineRule(
        "safe_links",
        "Microsoft Safe Links and link previews of Office",
        ("safelinks", "skypeuripreview", "microsoft office", "ms-office", "bingpreview"),
    ),
    MachineRule(
        "gateways",
        "mail gateways that follow links",
        (
            *(
                "barracuda",
                "proofpoint",
                "mimecast",
                "mailmarshal",
                "symantec",
                "messagelabs",
                "forcepoint",
                "trendmicro",
            ),
            *("fireeye", "zscaler", "sophos", "cisco-ironport", "cloudmark", "urldefense", "virustotal"),
        ),
    ),
    MachineRule(
        "messengers",
        "previews of links in messengers and networks",
        ("facebookexternalhit", "whatsapp", "telegrambot", "slackbot", "twitterbot", "linkedinbot", "discordbot"),
    ),
    MachineRule("crawlers", "what calls itself one", ("bot", "crawler", "spider", "scanner", "preview")),
    MachineRule(
        "programs",
        "libraries and browsers without a person",
        (
            *("curl/", "wget/", "python-", "go-http-client", "okhttp", "java/", "headlesschrome", "phantomjs"),
            *("libwww-perl", "apache-httpclient", "node-fetch", "axios/", "ruby", "scrapy"),
        ),
    ),
)


def open_rule(method: str, headers: Mapping[str, str]) -> str:
    """The rule by which an image proxy, a prefetch or a scanner asked for the pixel; empty for a person. `headers` have
    lower-case names."""
    agent = _agent(headers)
    return _common(method, headers, agent) or (
        "apple_privacy" if agent == _APPLE_PREFETCH else _by_agent(agent, "opens")
    )


def click_rule(method: str, headers: Mapping[str, str]) -> str:
    """The rule by which a scanner or a prefetch followed the link; empty for a person."""
    agent = _agent(headers)
    return _common(method, headers, agent) or _by_agent(agent, "clicks")


def is_machine_open(method: str, headers: Mapping[str, str]) -> bool:
    """Whether `open_rule` finds one."""
    return bool(open_rule(method, headers))


def is_machine_click(method: str, headers: Mapping[str, str]) -> bool:
    """Whether `click_rule` finds one."""
    return bool(click_rule(method, headers))


def _agent(headers: Mapping[str, str]) -> str:
    return headers.get("user-agent", "").strip().lower()


def _common(method: str, headers: Mapping[str, str], agent: str) -> str:
    if method != "GET":
        return "not_get"  # scanners look with HEAD first
    if _is_prefetch(headers):
        return "prefetch"
    return "" if agent else "no_agent"


def _by_agent(agent: str, kind: str) -> str:
    fitting = (rule.name for rule in RULES if getattr(rule, kind) and any(part in agent for part in rule.agents))
    return next(fitting, "")


def _is_prefetch(headers: Mapping[str, str]) -> bool:
    purpose = f"{headers.get('purpose', '')} {headers.get('sec-purpose', '')} {headers.get('x-moz', '')}".lower()
    return "prefetch" in purpose or "preview" in purpose
