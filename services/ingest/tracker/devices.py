"""What a browser is, told from its User-Agent and its client hints by the rules of uap-core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from ua_parser import parse

_LONGEST_AGENT = 1_000
_LONGEST_HINT = 100
_TABLETS = ("ipad", "tablet", "kindle", "silk", "playbook")
#: The family that rules without a model give.
_NAMELESS = frozenset({"Generic Smartphone", "Generic Feature Phone", "Generic Tablet", "K", "Spider", "Other"})


@dataclass(frozen=True, slots=True)
class Device:
    """`kind` is desktop, phone, tablet or tv; everything else is empty where nothing tells it."""

    kind: str
    brand: str
    model: str
    browser: str
    browser_version: str
    os: str
    os_version: str

    def always(self) -> dict[str, object]:
        """The parameters of every event."""
        return _filled({"device": self.kind, "browser": self.browser, "os": self.os})

    def once(self) -> dict[str, object]:
        """The further parameters of a visit's first event."""
        return _filled(
            {
                "device_brand": self.brand,
                "device_model": self.model,
                "browser_version": self.browser_version,
                "os_version": self.os_version,
            }
        )


def device_of(headers: Mapping[str, str], told: object) -> Device:
    """The device behind a request. `headers` are looked up in lower case; `told` is `context.userAgentData` of the
    script: Chromium's User-Agent names no model and no true version of the system any more, its hints do."""
    hints = told if isinstance(told, Mapping) else {}
    return _device(
        headers.get("user-agent", "")[:_LONGEST_AGENT],
        _hint(headers.get("sec-ch-ua-platform") or hints.get("platform")),
        _hint(hints.get("platformVersion")),
        _hint(headers.get("sec-ch-ua-model") or hints.get("model")),
        headers.get("sec-ch-ua-mobile", "").strip() == "?1",
    )


@lru_cache(16_384)
def _device(agent: str, platform: str, platform_version: str, model: str, mobile: bool) -> Device:
    found = parse(agent)
    browser, system, device = found.user_agent, found.os, found.device
    family = device.family if device is not None else ""
    os = (system.family if system is not None else "") or platform
    os_version = _version(system.major, system.minor) if system is not None else ""
    if platform and platform_version:
        os_version = _windows(platform_version) if platform == "Windows" else platform_version
    named = model or ("" if device is None or family in _NAMELESS else device.model or family)
    return Device(
        kind=_kind(agent.lower(), mobile),
        brand="" if device is None or family in _NAMELESS else device.brand or "",
        model="" if named in _NAMELESS else named,
        browser=browser.family if browser is not None else "",
        browser_version=_version(browser.major, browser.minor) if browser is not None else "",
        os=os,
        os_version=os_version,
    )


def _kind(agent: str, mobile: bool) -> str:
    if "smart-tv" in agent or "smarttv" in agent or "googletv" in agent or "appletv" in agent:
        return "tv"
    if any(word in agent for word in _TABLETS) or ("android" in agent and "mobile" not in agent and not mobile):
        return "tablet"
    return "phone" if mobile or "mobi" in agent or "iphone" in agent else "desktop"


def _windows(platform_version: str) -> str:
    """Windows 11 calls itself 10.0 in the User-Agent, and 13 or more in the hint."""
    major = platform_version.partition(".")[0]
    if not (major.isascii() and major.isdigit() and len(major) < 4):
        return ""
    return "11" if int(major) >= 13 else "10" if int(major) > 0 else ""


def _version(major: str | None, minor: str | None) -> str:
    return ".".join(part for part in (major, minor) if part)


def _hint(value: object) -> str:
    """A hint without the quotes of its header form; empty for what is no short, printable text."""
    if not isinstance(value, str) or len(value) > _LONGEST_HINT or not value.isprintable():
        return ""
    return value.strip().strip('"')


def _filled(fields: Mapping[str, str]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value}
