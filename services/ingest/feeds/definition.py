"""What a feed is, and the settings of a workspace's catalogue: checked at the door, kept as protobuf."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence

from cdp.catalog.v1 import catalog_pb2 as pb
from core.errors import CdpError, Violation, invalid
from services.ingest.feeds.fetch import Limits, checked_url
from services.runtime.definitions import Stored

BAD_FEED = "BAD_FEED"
BAD_SETTINGS = "BAD_CATALOG_SETTINGS"

LOW_STOCK = 5
SHRINK_LIMIT_PERCENT = 20
MAXIMUM_ITEMS = 2_000_000
_MOST_ITEMS = 20_000_000
_LEAST_INTERVAL_S = 300
_MOST_INTERVAL_S = 31 * 86_400
_MOST_LOW_STOCK = 1_000_000
_MOST_HOSTS = 100
_MOST_COLUMNS = 200

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_HOST = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


def is_feed_name(name: str) -> bool:
    """Whether a feed may be called so."""
    return _NAME.fullmatch(name) is not None


def checked_feed(feed: pb.Feed, limits: Limits) -> pb.Feed:
    """The feed as it is kept, defaults left as they came. Raises INVALID / BAD_FEED with every wrong field, and what
    `checked_url` raises."""
    wrong: list[Violation] = []

    def need(holds: bool, field: str, what: str) -> None:
        if not holds:
            wrong.append(Violation(f"feed.{field}", what))

    need(is_feed_name(feed.name), "name", "1 to 63 small letters, digits, dashes and underlines")
    need(feed.format in pb.FeedFormat.values(), "format", "is none that this version knows")
    need(not feed.encoding or _is_encoding(feed.encoding), "encoding", "is no encoding such as windows-1251")
    need(len(feed.delimiter) <= 1 and feed.delimiter not in ('"', "\r", "\n"), "delimiter", "one character, no quote")
    need(
        feed.interval_s == 0 or _LEAST_INTERVAL_S <= feed.interval_s <= _MOST_INTERVAL_S,
        "interval_s",
        f"0, or from {_LEAST_INTERVAL_S} to {_MOST_INTERVAL_S} seconds",
    )
    need(not feed.interval_s or bool(feed.url), "interval_s", "only a feed with a URL is imported by itself")
    need(not feed.currency or bool(_CURRENCY.fullmatch(feed.currency)), "currency", "three capital letters")
    need(feed.shrink_limit_percent <= 100, "shrink_limit_percent", "0 to 100")
    need(feed.maximum_items <= _MOST_ITEMS, "maximum_items", f"at most {_MOST_ITEMS}")
    need(len(feed.columns) <= _MOST_COLUMNS, "columns", f"at most {_MOST_COLUMNS}")
    need(all(0 < len(name) <= 200 for pair in feed.columns.items() for name in pair), "columns", "1 to 200 characters")
    if wrong:
        raise _refusal(BAD_FEED, wrong)
    if feed.url:
        checked_url(feed.url, limits)
    kept = pb.Feed()
    kept.CopyFrom(feed)
    kept.ClearField("revision")
    return kept


def checked_settings(settings: pb.CatalogSettings) -> pb.CatalogSettings:
    """The settings as they are kept. Raises INVALID / BAD_CATALOG_SETTINGS with every wrong field."""
    wrong: list[Violation] = []
    if settings.low_stock > _MOST_LOW_STOCK:
        wrong.append(Violation("settings.low_stock", f"at most {_MOST_LOW_STOCK}"))
    if len(settings.feed_hosts) > _MOST_HOSTS:
        wrong.append(Violation("settings.feed_hosts", f"at most {_MOST_HOSTS}"))
    for number, host in enumerate(settings.feed_hosts):
        if not _HOST.fullmatch(host) or len(host) > 253:
            what = "a host such as shop.example or *.shop.example, in small letters"
            wrong.append(Violation(f"settings.feed_hosts[{number}]", what))
    if wrong:
        raise _refusal(BAD_SETTINGS, wrong)
    kept = pb.CatalogSettings()
    kept.CopyFrom(settings)
    kept.ClearField("revision")
    return kept


def stored_feed(stored: Stored) -> pb.Feed:
    """A kept feed with its revision."""
    feed = pb.Feed.FromString(stored.payload)
    feed.revision.CopyFrom(stored.revision.to_proto())
    return feed


def shrink_limit_percent(feed: pb.Feed) -> int:
    """The limit as it counts."""
    return feed.shrink_limit_percent if feed.HasField("shrink_limit_percent") else SHRINK_LIMIT_PERCENT


def shrank_too_much(known_before: int, missing: int, limit_percent: int) -> bool:
    """Whether a full feed lacks more than the share of what it told before."""
    return missing * 100 > limit_percent * known_before


def low_stock_of(settings: pb.CatalogSettings) -> int:
    """The limit as it counts."""
    return settings.low_stock if settings.HasField("low_stock") else LOW_STOCK


def _is_encoding(name: str) -> bool:
    try:
        return codecs.lookup(name)._is_text_encoding
    except (LookupError, ValueError):
        return False


def _refusal(reason: str, wrong: Sequence[Violation]) -> CdpError:
    first = wrong[0]
    return invalid(reason, f"{first.path}: {first.description}", *wrong)
