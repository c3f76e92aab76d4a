"""A running ingest, the demo shop that sends to it, and a real browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cdp.facts.v1 import facts_pb2
from core.events.columns import Event
from services.runtime.clock import SystemClock
from tests.browser.chromium import Browser, Page, browsing
from tests.shop.server import Shop, serve
from tests.unit.ingest.house import House, running

_PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Stage:
    """What a test of the tracker needs. `shop.url` is another site than ingest's."""

    house: House
    shop: Shop
    browser: Browser

    def at(self, page: str = "index.html") -> str:
        """The address of a page of the shop."""
        return self.shop.url + page

    async def events(self) -> list[Event]:
        """What arrived, each message id once, in the order of what happened."""
        once = {event.id: event for event in await self.house.events()}
        return sorted(once.values(), key=lambda event: event.occurred_at_us)

    async def types(self) -> list[str]:
        """The types of `events`, those of one page only when nothing else was done."""
        return [event.type for event in await self.events()]

    async def event(self, type_: str) -> Event:
        """The newest event of a type, waited for."""
        await self.until(lambda events: any(event.type == type_ for event in events), type_)
        return next(event for event in reversed(await self.events()) if event.type == type_)

    async def facts(self) -> list[facts_pb2.AcceptedFact]:
        """Persons that were told, each message id once."""
        return list({fact.id: fact for fact in await self.house.facts()}.values())

    async def until(self, holds: Callable[[Sequence[Event]], bool], what: str) -> None:
        """Wait until what arrived is as wanted; fail with `what` and what arrived instead."""
        deadline_s = asyncio.get_running_loop().time() + _PATIENCE_S
        while not holds(events := await self.events()):
            told = [event.type for event in events]
            assert asyncio.get_running_loop().time() < deadline_s, f"not within {_PATIENCE_S} s: {what}; {told}"
            await asyncio.sleep(0.05)

    async def page(self, url: str = "", context: str = "") -> Page:
        """A new tab on the shop's main page, or on `url`."""
        page = await self.browser.page(context)
        await page.goto(url or self.at())
        return page


@asynccontextmanager
async def staged(
    chromium: str, folder: Path, *, consent: str = "implied", as_person: bool = True
) -> AsyncIterator[Stage]:
    """A stage; what the tracker's `data-consent` is, and whether the browser hides that a program drives it."""
    async with running(folder / "house", clock=SystemClock()) as house:
        shop = serve(0, f"http://127.0.0.1:{house.host.http_port}", house.key, consent=consent)
        try:
            async with browsing(chromium, folder / "profile", as_person=as_person) as browser:
                yield Stage(house, shop, browser)
        finally:
            await asyncio.to_thread(shop.stop)
