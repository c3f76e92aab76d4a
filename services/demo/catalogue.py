"""The product feed: a file as a shop would give it, imported twice, and what the difference is worth to a segment."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from cdp.catalog.v1 import catalog_pb2, catalog_pb2_grpc
from cdp.segment.v1 import segment_pb2
from services.demo.client import CALL_S, Client, DemoError, again
from services.demo.feed import write_feed
from services.demo.journey import Journey
from services.demo.screen import INVENTED, Screen, number

FEED = "journey"
#: How many of the products that were bought most are taken off the shelf by the second file.
_SOLD_OUT = 3
_WITHIN_S = 300.0
_LOOK_S = 0.1
_PART_BYTES = 1 << 20
_RULE = "did order_completed on a product now out of stock"
_UNDER_WAY = (
    catalog_pb2.FEED_RUN_STATE_QUEUED,
    catalog_pb2.FEED_RUN_STATE_FETCHING,
    catalog_pb2.FEED_RUN_STATE_READING,
    catalog_pb2.FEED_RUN_STATE_APPLYING,
)


async def show_feed(client: Client, journey: Journey, screen: Screen) -> None:
    """Import the catalogue from a file, then a file in which a few products are sold out. Raises DemoError when an
    import fails."""
    await save_feed(client, FEED)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "feed.xml"
        products = await asyncio.to_thread(write_feed, journey, file)
        screen.say(
            f"{file.stat().st_size >> 20} MB of Google Merchant XML with {number(products)} products; that all are in "
            f"stock is {INVENTED}"
        )
        run, seconds = await import_file(client, FEED, file)
        screen.say(_told("first import", run, seconds))
        before = await _count(client)
        await asyncio.to_thread(_sell_out, file, _most_sold(journey))
        run, seconds = await import_file(client, FEED, file)
        screen.say(_told(f"second import, {_SOLD_OUT} products sold out ({INVENTED})", run, seconds))
        after = await _count(client)
    screen.say(f"[cyan]{_RULE}[/cyan]: {number(before)} contacts before it, [bold]{number(after)}[/bold] now")
    if after <= before:
        raise DemoError("the products that the second file says are sold out should have brought somebody in")


async def save_feed(client: Client, name: str) -> None:
    """A feed whose files are uploaded; there may be one already."""
    catalog = catalog_pb2_grpc.CatalogServiceStub(client.channel)
    save = catalog_pb2.SaveFeedRequest(feed=catalog_pb2.Feed(name=name), request_id=f"demo-feed-{name}")
    await again(lambda: catalog.SaveFeed(save, metadata=client.metadata, timeout=CALL_S))


async def import_file(client: Client, name: str, file: Path) -> tuple[catalog_pb2.FeedRun, float]:
    """Upload and import a file of feed `name`: the run, and the seconds it took. Raises DemoError when it fails."""
    catalog = catalog_pb2_grpc.CatalogServiceStub(client.channel)
    started_s = time.perf_counter()
    upload = await catalog.UploadFeed(_parts(name, file), metadata=client.metadata, timeout=_WITHIN_S)
    asked = catalog_pb2.ImportFeedRequest(name=name, upload=upload.upload)
    await catalog.ImportFeed(asked, metadata=client.metadata, timeout=CALL_S)
    get = catalog_pb2.GetFeedRunRequest(feed=name)
    while time.perf_counter() - started_s < _WITHIN_S:
        run = (await again(lambda: catalog.GetFeedRun(get, metadata=client.metadata, timeout=CALL_S))).run
        if run.state == catalog_pb2.FEED_RUN_STATE_DONE:
            return run, time.perf_counter() - started_s
        if run.state not in _UNDER_WAY:
            state = catalog_pb2.FeedRunState.Name(run.state).removeprefix("FEED_RUN_STATE_").lower()
            raise DemoError(f"the import of the feed ended as {state}: {run.description}")
        await asyncio.sleep(_LOOK_S)  # a server's run: nothing here to be woken by
    raise DemoError(f"the import of the feed took more than {_WITHIN_S:.0f} s")


async def _parts(name: str, file: Path) -> AsyncIterator[catalog_pb2.UploadFeedRequest]:
    yield catalog_pb2.UploadFeedRequest(name=name)
    content = await asyncio.to_thread(file.read_bytes)
    for first in range(0, len(content), _PART_BYTES):
        yield catalog_pb2.UploadFeedRequest(content=content[first : first + _PART_BYTES])


def _told(what: str, run: catalog_pb2.FeedRun, seconds: float) -> str:
    return (
        f"{what}: {number(run.items_read)} items read, {number(run.items_rejected)} refused, "
        f"{number(run.items_changed)} changed, durable in {seconds:.1f} s"
    )


def _most_sold(journey: Journey) -> frozenset[int]:
    counts: dict[int, int] = {}
    for product in journey.lines.product[journey.lines.price_units > 0].tolist():
        counts[product] = counts.get(product, 0) + 1
    return frozenset(sorted(counts, key=lambda product: (-counts[product], product))[:_SOLD_OUT])


def _sell_out(file: Path, products: frozenset[int]) -> None:
    marks = tuple(f"<item><g:id>{product}</g:id>" for product in products)
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text(
        "".join(
            line.replace("in_stock", "out_of_stock") if line.startswith(marks) else line for line in lines
        ),
        encoding="utf-8",
    )  # fmt: skip


async def _count(client: Client) -> int:
    """How many are in the rule, once the engine has folded what was imported."""
    deadline_s = time.perf_counter() + CALL_S
    request = segment_pb2.EvaluateRequest(rule=segment_pb2.RuleSource(text=_RULE))
    found = -1
    while time.perf_counter() < deadline_s:
        answer = await again(lambda: client.segment.Evaluate(request, metadata=client.metadata, timeout=CALL_S))
        if answer.count.total == found:
            return found  # the same twice, half a second apart: nothing more is on its way
        found = answer.count.total
        await asyncio.sleep(0.5)
    return found
