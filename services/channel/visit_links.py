"""Which destinations of a message take a visit's token along, and where in the address it stands."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from core.delivery.visits import VISIT_PARAM


def is_at_home(url: str, hosts: tuple[str, ...]) -> bool:
    """Whether `url` leads to one of `hosts` or to a host below one of them."""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".").lower()
    except ValueError:  # half an IPv6 address
        return False
    return any(host == one or host.endswith("." + one) for one in hosts)


def with_visit(url: str, token: str) -> str:
    """`url` with the token in its query, before the fragment; one that stood there already is replaced."""
    parts = urlsplit(url)
    kept = [pair for pair in parts.query.split("&") if pair and pair.partition("=")[0] != VISIT_PARAM]
    return urlunsplit(parts._replace(query="&".join((*kept, f"{VISIT_PARAM}={token}"))))
