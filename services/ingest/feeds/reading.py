"""What callers read of the feeds' files: products, and the report of refused items. Blocking: call it in a thread."""

from __future__ import annotations

import csv
import io
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Generator, Mapping
from contextlib import closing

from cdp.catalog.v1 import catalog_pb2 as pb
from cdp.facts.v1 import facts_pb2
from core.errors import not_found
from services.ingest.feeds.files import FeedFiles
from services.ingest.feeds.store import FeedStore, Rejected, Told
from services.runtime.pages import bad_page_token, number_of, page_entries

_PART_ROWS = 2_000
_HEADER = ("number", "line", "product_id", "reason", "description")
#: A cell that begins with one of these is a formula to spreadsheets; what a feed wrote must not become one.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def product(files: Mapping[str, FeedFiles], product_id: str) -> tuple[str, facts_pb2.Product]:
    """The feed that told a product last, and the product as it did. Raises NOT_FOUND / NO_SUCH_PRODUCT."""
    newest: tuple[str, Told] | None = None
    for feed in sorted(files):
        with closing(FeedStore(files[feed].store)) as store:
            found = store.told((product_id,)).get(product_id)
        if found is not None and (newest is None or found.at_us > newest[1].at_us):
            newest = feed, found
    if newest is None:
        raise not_found("NO_SUCH_PRODUCT", f"no feed tells a product {product_id[:100]!r}")
    return newest[0], facts_pb2.Product.FromString(newest[1].product)


def products_page(
    files: Mapping[str, FeedFiles], page_size: int, page_token: str
) -> tuple[list[facts_pb2.Product], str]:
    """A page of products by (feed, id), and the token of the next. Raises INVALID / BAD_PAGE_TOKEN."""
    limit = page_entries(page_size)
    after_feed, after_id = _place(page_token) if page_token else ("", "")
    found: list[tuple[str, str, bytes]] = []
    for feed in sorted(files):
        if feed < after_feed or len(found) > limit:
            continue
        with closing(FeedStore(files[feed].store)) as store:
            rows = store.products_after(after_id if feed == after_feed else "", limit + 1 - len(found))
        found += [(feed, product_id, payload) for product_id, payload in rows]
    token = _token(*found[limit - 1][:2]) if len(found) > limit else ""
    return [facts_pb2.Product.FromString(payload) for _, _, payload in found[:limit]], token


def rejected_page(files: FeedFiles, page_size: int, page_token: str) -> tuple[list[pb.RejectedItem], str]:
    """A page of the newest run's refused items, and the token of the next. Raises INVALID / BAD_PAGE_TOKEN."""
    after, limit = number_of(page_token) if page_token else 0, page_entries(page_size)
    if not files.store.exists():
        return [], ""
    with closing(FeedStore(files.store)) as store:
        rows = store.rejected_after(after, limit + 1)
    token = str(rows[limit - 1][0]) if len(rows) > limit else ""
    return [_item(one) for _, one in rows[:limit]], token


def rejected_csv(files: FeedFiles) -> Generator[bytes, None, None]:
    """The whole report as CSV in UTF-8, in parts; the header alone when nothing was refused."""
    yield _csv([_HEADER])
    if files.store.exists():
        with closing(FeedStore(files.store)) as store:
            for rows in store.all_rejected(_PART_ROWS):
                yield _csv([tuple(_cell(value) for value in one) for _, one in rows])


def _csv(rows: list[tuple[object, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _item(one: Rejected) -> pb.RejectedItem:
    return pb.RejectedItem(
        number=one.number, line=one.line, product_id=one.product_id, reason=one.reason, description=one.description
    )


def _token(feed: str, product_id: str) -> str:
    return urlsafe_b64encode(json.dumps([feed, product_id]).encode()).decode()


def _place(token: str) -> tuple[str, str]:
    try:
        feed, product_id = json.loads(urlsafe_b64decode(token.encode("ascii")))
    except (ValueError, TypeError) as error:
        raise bad_page_token() from error
    if not isinstance(feed, str) or not isinstance(product_id, str):
        raise bad_page_token()
    return feed, product_id
