"""The demo from beginning to end, against a platform that runs."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from pyarrow import default_memory_pool
from rich.progress import TaskID

from cdp.channel.v1 import channel_pb2
from cdp.workspace.v1 import workspace_pb2
from services.demo.arrivals import Peers
from services.demo.catalogue import show_feed
from services.demo.client import CALL_S, Client, DemoError, again
from services.demo.held import Held, held
from services.demo.journey import END_US, ZONE, Journey, read
from services.demo.load import load
from services.demo.plays import SCENARIOS, Plays
from services.demo.screen import INVENTED, Screen, number
from services.demo.segments import SEGMENTS, show_parametric, show_segments
from services.demo.shop import DemoShop, show_visits
from services.demo.shopper import Thing, things_of
from services.demo.time_scale import TimeScale
from services.demo.timeline import show_contact, storied

_READY_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Options:
    """Where the platform is and how the demo goes. `smtp_port`: where the platform's mail server is expected."""

    address: str
    http_url: str
    secret: str
    smtp_port: int
    share: float
    hour_s: float
    with_plays: bool
    stay: bool


async def run_demo(options: Options, screen: Screen) -> None:
    """Load unless loaded, show segments and a contact, play the scenarios; with `stay`, show what arrives until
    cancelled.

    Raises DemoError when it cannot go on, AioRpcError for what the platform refuses.
    """
    async with AsyncExitStack() as stack:
        peers = await stack.enter_async_context(Peers(options.smtp_port)) if options.with_plays else None
        client = Client(options.address, options.secret)
        stack.push_async_callback(client.close)
        await _prepare_workspace(client, screen)
        things = await _show_data(client, screen, options.share)
        if peers is not None:
            scale = TimeScale(options.hour_s)
            screen.heading(f"{len(SCENARIOS)} ready scenarios, on a time scale: 1 hour = {options.hour_s:g} s")
            await Plays(client, options.http_url, options.secret, screen, peers, scale).play(things)
        shop = await DemoShop.start(client, options.http_url) if options.stay else None
        if shop is not None:
            stack.push_async_callback(shop.close)
        _say_where(options, screen, shop)
        if options.stay:
            await _show_what_arrives(client, peers, screen)


async def _prepare_workspace(client: Client, screen: Screen) -> None:
    """Refuse to play with real people; keep local time as the data do."""
    get = channel_pb2.GetSettingsRequest()
    settings = await again(
        lambda: client.messages.GetSettings(get, metadata=client.metadata, timeout=CALL_S), _READY_WITHIN_S
    )
    if settings.settings.live:
        raise DemoError("this workspace is marked live: the demo plays only where nobody real can get a message")
    answer = await client.workspace.GetWorkspace(
        workspace_pb2.GetWorkspaceRequest(), metadata=client.metadata, timeout=CALL_S
    )
    workspace = answer.workspace
    if workspace.zone == ZONE:
        return
    workspace.zone = ZONE
    update = workspace_pb2.UpdateWorkspaceRequest(workspace=workspace)
    await client.workspace.UpdateWorkspace(update, metadata=client.metadata, timeout=CALL_S)
    screen.say(f"workspace {workspace.id!r} keeps the time of {ZONE} from now on, as the data do")


async def _show_data(client: Client, screen: Screen, share: float) -> tuple[Thing, ...]:
    """Everything that needs the data at hand; gives back what the cart needs, so that the rest can be let go."""
    screen.heading("Complete Journey: a year of a grocery chain (84.51°, CC0)")
    started_s = time.perf_counter()
    journey = await asyncio.to_thread(read, share)
    _say_what(journey, screen, time.perf_counter() - started_s)
    await _load_unless_held(client, journey, screen)
    screen.heading("Segments, exact, as of the end of the data (2018-01-01 00:00 in New York)")
    await show_segments(client, screen, len(journey.households))
    screen.heading("One parametric segment, every department")
    departments = sorted({product.department for product in journey.products})
    await show_parametric(client, screen, departments)
    screen.heading("One contact")
    await show_contact(client, screen, storied(journey))
    screen.heading("The product feed, from a file")
    await show_feed(client, journey, screen)
    things = things_of(journey)
    del journey
    gc.collect()
    default_memory_pool().release_unused()  # Arrow keeps what the tables took: 150 MB that nobody needs while we stay
    return things


def _say_what(journey: Journey, screen: Screen, read_s: float) -> None:
    orders, lines, dirt = number(len(journey.orders)), number(len(journey.lines.product)), journey.dirt
    screen.say(
        f"{number(len(journey.households))} households, {orders} baskets with {lines} lines, "
        f"{number(len(journey.products))} products, {number(len(journey.mailings))} campaign mailings, "
        f"{number(len(journey.redemptions))} coupons redeemed; read in {read_s:.1f} s"
    )
    screen.say(
        f"dirt, loaded as it is: {number(dirt.lines_without_quantity)} lines without quantity (they get no price), "
        f"{number(dirt.lines_without_sales)} without sales, {number(dirt.lines_of_unknown_products)} of products that "
        f"the catalogue lacks, {number(dirt.orders_of_zero)} baskets of 0.00; "
        f"{number(dirt.lines_of_uneven_price)} unit prices rounded to 4 decimals (order totals are exact)"
    )
    screen.say(
        f"{INVENTED}: an email at example.invalid for each household and the consent to it. Mailings were on paper; "
        "they and coupons have a day without a time, and stand at its start in New York. Loading sends nothing."
    )


async def _load_unless_held(client: Client, journey: Journey, screen: Screen) -> None:
    found = await held(client, journey)
    if found.is_all_of(journey):
        screen.say(
            f"[green]already loaded[/green]: {number(found.contacts)} contacts, {number(found.orders)} orders counted"
        )
        return
    if found.contacts > len(journey.households):
        raise _disagrees(found, journey)  # more facts cannot make it agree
    bars = screen.bars()
    totals = {
        "contacts": len(journey.households),
        "products": len(journey.products),
        "messages and coupons": len(journey.mailings) + len(journey.redemptions),
        "orders": len(journey.orders),
    }
    tasks: dict[str, TaskID] = {what: bars.add_task(what, total=total) for what, total in totals.items()}
    with bars:
        loaded = await load(client, journey, lambda what, items: bars.update(tasks[what], advance=items))
    screen.say(
        f"{number(loaded.items)} items acknowledged as durable in {loaded.acknowledged_s:.1f} s, "
        f"queryable after {loaded.queryable_s:.1f} s"
    )
    found = await held(client, journey)
    if not found.is_all_of(journey):
        raise _disagrees(found, journey)
    screen.say(
        f"[green]agrees[/green]: {number(found.contacts)} contacts and {number(found.orders)} orders counted by the "
        "platform, each household with exactly its own number"
    )


def _disagrees(found: Held, journey: Journey) -> DemoError:
    return DemoError(
        f"the platform counts {number(found.contacts)} contacts and {number(found.orders)} orders where the data hold "
        f"{number(len(journey.households))} and {number(len(journey.orders))}. A workspace that holds other data, or "
        "another share of these, cannot agree: start again with an empty data folder"
    )


def _say_where(options: Options, screen: Screen, shop: DemoShop | None) -> None:
    screen.heading("It keeps serving")
    if shop is not None:
        screen.plain(f"demo shop {shop.url}   (open it: what you do there appears here)")
    screen.plain(f"gRPC      {options.address}   (reflection is on)")
    screen.plain(f"HTTP      {options.http_url}   (/v1/track, /v1/identify, /v1/batch, /metrics)")
    screen.plain(f"API key   {options.secret}")
    screen.plain(f"\n{_buf()} curl --protocol grpc --http2-prior-knowledge \\")
    screen.plain(f"  -H 'authorization: Bearer {options.secret}' \\")
    screen.plain(f"""  -d '{{"name": "{SEGMENTS[0].name}", "as_of_us": {END_US}}}' \\""")
    screen.plain(f"  http://{options.address}/cdp.segment.v1.SegmentService/Evaluate")


def _buf() -> str:
    """The buf of this environment as a person would type it here."""
    program = Path(sys.executable).with_name("buf")
    here = Path.cwd()
    return str(program.relative_to(here)) if program.is_relative_to(here) else "buf"


async def _show_what_arrives(client: Client, peers: Peers | None, screen: Screen) -> None:
    """One line for every message that arrives, and every event of the shop's pages, for ever."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(show_visits(client, screen))
        while peers is not None:
            arrival = await peers.next()
            screen.plain(f"{arrival.channel} to {arrival.to}: {' '.join(arrival.text.split())}")
