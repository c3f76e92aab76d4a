"""A platform with a shop whose feeds can be uploaded, or fetched from a server of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from google.longrunning import operations_pb2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cdp.catalog.v1 import catalog_pb2 as pb
from cdp.catalog.v1 import catalog_pb2_grpc
from cdp.facts.v1 import facts_pb2
from core.clock import ManualClock
from services.runtime.partitions import partition
from services.runtime.roles import Role
from services.runtime.server_process import free_port
from services.runtime.settings import ADDRESS_KEYS
from tests.flow.platform import Platform, eventually

NOW_US = 1_790_000_000_000_000
ENDED = (
    pb.FEED_RUN_STATE_HELD,
    pb.FEED_RUN_STATE_DONE,
    pb.FEED_RUN_STATE_NOT_MODIFIED,
    pb.FEED_RUN_STATE_FAILED,
    pb.FEED_RUN_STATE_REJECTED,
)
HEAD = '<?xml version="1.0"?><rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel><title>s</title>'
TAIL = "</channel></rss>"


def item(product_id: str, price: str = "10.00 USD", stock: int | None = 10, **more: str) -> str:
    """One item of Google Merchant."""
    fields = {"id": product_id, "title": f"Product {product_id}", "price": price}
    if stock is not None:
        fields |= {"availability": "in_stock" if stock else "out_of_stock", "quantity": str(stock)}
    texts = "".join(f"<g:{name}>{text}</g:{name}>" for name, text in {**fields, **more}.items())
    return f"<item>{texts}</item>"


def feed_of(items: Iterable[str]) -> bytes:
    """A whole file."""
    return (HEAD + "".join(items) + TAIL).encode()


@dataclass(slots=True)
class FeedHouse:
    """The shop's side of CatalogService."""

    platform: Platform
    catalog: catalog_pb2_grpc.CatalogServiceStub

    async def save(self, name: str = "shop", **fields: object) -> pb.Feed:
        """Make or change a feed."""
        request = pb.SaveFeedRequest(feed=pb.Feed(name=name, **fields))  # type: ignore[arg-type]
        return (await self.catalog.SaveFeed(request, metadata=self.platform.metadata)).feed

    async def upload(self, content: bytes, name: str = "shop") -> str:
        """Send a file in parts; its name."""

        async def parts() -> AsyncIterator[pb.UploadFeedRequest]:
            yield pb.UploadFeedRequest(name=name)
            for first in range(0, len(content), 50_000):
                yield pb.UploadFeedRequest(content=content[first : first + 50_000])

        return (await self.catalog.UploadFeed(parts(), metadata=self.platform.metadata)).upload

    async def begin(self, upload: str = "", name: str = "shop", request_id: str = "") -> operations_pb2.Operation:
        """Begin an import."""
        request = pb.ImportFeedRequest(name=name, upload=upload, request_id=request_id)
        return await self.catalog.ImportFeed(request, metadata=self.platform.metadata)

    async def run(self, number: int = 0, name: str = "shop") -> pb.FeedRun:
        """A run as it is now."""
        request = pb.GetFeedRunRequest(feed=name, number=number)
        return (await self.catalog.GetFeedRun(request, metadata=self.platform.metadata)).run

    async def ended(self, number: int = 0, name: str = "shop") -> pb.FeedRun:
        """A run once it has ended, or is held."""

        async def over() -> bool:
            return (await self.run(number, name)).state in ENDED

        await eventually(over, f"run {number} of feed {name} ends", 60.0)
        return await self.run(number, name)

    async def imported(self, content: bytes, name: str = "shop") -> pb.FeedRun:
        """Upload and import; the run at its end. A second passes first, so that feeds are told one after another."""
        self.platform.clock.advance(1_000_000)
        await self.begin(await self.upload(content, name), name)
        return await self.ended(name=name)

    async def rejected(self, name: str = "shop") -> list[pb.RejectedItem]:
        """All refused items of the newest run, page by page."""
        found: list[pb.RejectedItem] = []
        token = ""
        while True:
            request = pb.ListRejectedItemsRequest(feed=name, page_size=2, page_token=token)
            answer = await self.catalog.ListRejectedItems(request, metadata=self.platform.metadata)
            found += answer.items
            token = answer.next_page_token
            if not token:
                return found

    async def facts(self) -> list[facts_pb2.Product]:
        """The products in ingest's log, in its order; a fact whose id was there before is left out."""
        workspace = self.platform.host(Role.INGEST).runtime.workspaces.all()[0]
        entries = await self.platform.log.read(partition(Role.INGEST, workspace), 0, 10_000, 1 << 30)
        facts = [fact for entry in entries for fact in facts_pb2.AcceptedBatch.FromString(entry.payload).facts]
        return [fact.product for fact in {fact.id: fact for fact in facts}.values() if fact.HasField("product")]


class _Front(Platform):
    """A platform whose HTTP is that of ingest; no letters are sent whose links would lead to another."""

    def _http_port(self, role: Role) -> int:
        return super()._http_port(Role.INGEST)


@asynccontextmanager
async def feed_house(
    folder: Path, arrangement: tuple[tuple[Role, ...], ...] = ((Role.INGEST,),), **extra: str
) -> AsyncIterator[FeedHouse]:
    """Ingest alone, or more of the platform, with further settings."""
    played = {role for roles in arrangement for role in roles}
    nowhere = {key: "127.0.0.1:1" for role, key in ADDRESS_KEYS.items() if role not in played}
    async with (
        _Front(folder, ManualClock(NOW_US), arrangement, {**nowhere, **extra}) as platform,
        platform.channel(Role.INGEST) as channel,
    ):
        house = FeedHouse(platform, catalog_pb2_grpc.CatalogServiceStub(channel))

        async def owned() -> bool:
            request = pb.ListFeedsRequest()
            await house.catalog.ListFeeds(request, metadata=platform.metadata, wait_for_ready=True)
            return True

        await _once_owned(owned)
        yield house


async def _once_owned(call: Callable[[], object]) -> None:
    import grpc

    async def holds() -> bool:
        try:
            await call()  # type: ignore[misc]
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            return False
        return True

    await eventually(holds, "ingest owns the workspace")


@dataclass(slots=True)
class FeedServer:
    """A shop's web server: what it answers is set by the test, what it was asked is kept."""

    content: bytes = b""
    etag: str = ""
    status: int = 200
    location: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        """Of the feed."""
        return f"http://127.0.0.1:{self.port}/feed.xml"

    async def answer(self, request: Request) -> Response:
        """One answer."""
        self.asked.append(dict(request.headers))
        if self.location and request.url.path == "/feed.xml":
            return Response(status_code=302, headers={"Location": self.location})
        if self.etag and request.headers.get("if-none-match") == self.etag:
            return Response(status_code=304, headers={"ETag": self.etag})
        return Response(self.content, self.status, {"ETag": self.etag} if self.etag else {})


@asynccontextmanager
async def feed_server() -> AsyncIterator[FeedServer]:
    """A server on a free port."""
    shop = FeedServer(port=free_port())
    app = Starlette(routes=[Route("/{path:path}", shop.answer)])
    server = uvicorn.Server(uvicorn.Config(app, port=shop.port, log_config=None, lifespan="off"))
    task = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    await eventually(started, "the shop's server starts")
    try:
        yield shop
    finally:
        server.should_exit = True
        await task
