"""Which visits no person made: known crawlers by the list of crawler-user-agents, and browsers that say so."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

import re2
from crawleruseragents import CRAWLER_USER_AGENTS_DATA

_LONGEST_AGENT = 1_000


def is_bot(headers: Mapping[str, str], told: object) -> bool:
    """Whether a machine sent the request. `headers` are looked up in lower case; `told` is `context.webdriver` of the
    script: browsers set it when a program drives them. No User-Agent at all is a program as well."""
    if told is True or "headless" in headers.get("sec-ch-ua", "").lower():
        return True
    return _is_bot(headers.get("user-agent", "").strip()[:_LONGEST_AGENT])


@lru_cache(16_384)
def _is_bot(agent: str) -> bool:
    return not agent or "headless" in agent.lower() or _crawlers().search(agent) is not None


@cache
def _crawlers() -> Any:
    """The list as one expression of RE2, so that no User-Agent takes long, however it is made."""
    return re2.compile("|".join(f"(?:{one['pattern']})" for one in CRAWLER_USER_AGENTS_DATA))
