"""Web pushes in a real Chromium: a page of the demo shop subscribes, the worker shows what a push brings and tells it,
and a click leads on. What a browser without a screen and without Google's services has not got is played by the test:
the person's answer, the browser's own push service, and the place where notifications are shown. Pushes come by
the debugging protocol."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import time

import httpx2

from core.clock import ManualClock
from core.identity.push_tokens import device_category
from services.runtime.roles import Role
from tests.browser.chromium import Browser, Page, browsing
from tests.contract.sender_peers.http_peer import serving
from tests.contract.sender_peers.web_push import Browser as PeerBrowser
from tests.flow.platform import Platform, eventually
from tests.flow.test_web_push import Shop
from tests.shop.server import Shop as Site
from tests.shop.server import serve

ENDPOINT = "https://push.example/send/laptop"


@dataclass(frozen=True, slots=True)
class Stage:
    """The platform, the shop's site on another host, and a browser."""

    platform: Platform
    shop: Shop
    site: Site
    browser: Browser


@asynccontextmanager
async def staged(chromium: str, folder: Path) -> AsyncIterator[Stage]:
    async with Platform(folder / "data", ManualClock(int(time()) * 1_000_000)) as platform:
        shop = Shop(platform)
        url = platform.http_url(Role.CHANNEL)
        site = serve(0, platform.http_url(Role.INGEST), platform.key, channel_url=url)
        try:
            async with serving(shop.answer) as shop.port, browsing(chromium, folder / "profile") as browser:
                await shop.set_up()
                yield Stage(platform, shop, site, browser)
        finally:
            site.stop()


def person(laptop: PeerBrowser) -> str:
    """A person who says yes when the page asks, and the laptop's subscription, for as long as the tab is open."""
    return f"""(() => {{
      const told = {json.dumps(laptop.told(ENDPOINT))}, made = () => JSON.parse(sessionStorage.made || "null");
      Object.defineProperty(Notification, "permission", {{ get: () => sessionStorage.said || "default" }});
      Notification.requestPermission = () => Promise.resolve(sessionStorage.said = "granted");
      const subscription = (options) => ({{ endpoint: told.endpoint, options, toJSON: () => told,
        unsubscribe: () => {{ delete sessionStorage.made; return Promise.resolve(true); }} }});
      PushManager.prototype.getSubscription = () => Promise.resolve(made() && subscription({{}}));
      PushManager.prototype.subscribe = (options) => {{
        sessionStorage.made = JSON.stringify(Array.from(options.applicationServerKey));
        return Promise.resolve(subscription(options));
      }};
    }})()"""


#: Where notifications are shown, and windows opened.
SCREEN = """(() => {
  self.shown = [];
  self.opened = [];
  ServiceWorkerRegistration.prototype.showNotification = (title, options) => {
    self.shown.push({ title, ...options });
    return Promise.resolve();
  };
  Clients.prototype.openWindow = (url) => { self.opened.push(url); return Promise.resolve(null); };
})()"""
#: A click on the last notification, as the browser tells it to the worker.
CLICK = """(() => {
  const event = new Event("notificationclick"), data = self.shown[self.shown.length - 1].data;
  let done;
  event.notification = { data, close: () => { self.closed = true; } };
  event.waitUntil = (promise) => { done = promise; };
  self.dispatchEvent(event);
  return done.then(() => "done");
})()"""


def change(old: dict[str, object], new: dict[str, object]) -> str:
    """The browser has replaced a subscription, as it tells the worker."""
    return f"""(() => {{
      const event = new Event("pushsubscriptionchange");
      let done;
      event.oldSubscription = {json.dumps(old)};
      event.newSubscription = {json.dumps(new)};
      event.waitUntil = (promise) => {{ done = promise; }};
      self.dispatchEvent(event);
      return done.then((answer) => answer.status);
    }})()"""


async def test_from_the_button_to_the_click(chromium: str, tmp_path: Path) -> None:
    async with staged(chromium, tmp_path) as stage:
        page, laptop = await stage.browser.page(), PeerBrowser()
        await page.call("Page.addScriptToEvaluateOnNewDocument", source=person(laptop))
        token = laptop.token(ENDPOINT)
        await subscribed(stage, page, token)
        await shown_and_clicked(stage, page)
        await taken_back(stage, page, token)
        await renewed(stage, laptop)


async def subscribed(stage: Stage, page: Page, token: str) -> None:
    """The person presses the button: the visitor can be reached, with the page as proof."""
    await page.goto(f"{stage.site.url}push.html?utm_source=x")
    await page.until("!document.querySelector('[data-cdp-push]').hidden")
    await page.click("[data-cdp-push]")
    await page.until("document.querySelector('[data-cdp-push]').hidden")
    assert await page.run("new Promise(told => cdpPush('state', { told }))") == "subscribed"
    assert await page.run("localStorage.cdp_push") == ENDPOINT
    async with httpx2.AsyncClient() as http:
        answer = await http.get(f"{stage.platform.http_url(Role.CHANNEL)}/push/key/dev")
    text = answer.json()["publicKey"]
    key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    assert bytes(json.loads(await page.run("sessionStorage.made"))) == key
    worker = await page.run("navigator.serviceWorker.ready.then(one => one.active.scriptURL)")
    assert worker.startswith(f"{stage.site.url}cdp-sw.js?at=")

    async def reachable() -> bool:
        return (await stage.shop.profile(token)).profile.reachable > 0

    await eventually(reachable, "a subscriber")
    consents = {one.category: one for one in (await stage.shop.profile(token)).profile.consents}
    assert {name: one.state for name, one in consents.items()} == {"": "granted", device_category(token): "granted"}
    assert consents[""].proof.startswith(f"{stage.site.url}push.html Mozilla/5.0")
    # The next page tells nothing again.
    await page.goto(f"{stage.site.url}push.html")
    await page.until("document.querySelector('[data-cdp-push]').hidden && window.cdpPush.on")
    assert (await stage.shop.profile(token)).profile.consents == list(consents.values())


async def shown_and_clicked(stage: Stage, page: Page) -> None:
    """What the platform sends is what the worker shows; what it tells becomes events."""
    await stage.shop.identify("ann", "laptop")
    sent = await stage.shop.push("ann")
    payload = stage.shop.browsers["laptop"].opened[-1]
    await page.call("ServiceWorker.enable")
    worker = await stage.browser.worker(f"{stage.site.url}cdp-sw.js")
    await worker.run(SCREEN)
    for data in ("no json", "7", "{}", json.dumps({"title": "of another make"}), json.dumps(payload)):
        await deliver(stage, page, data)
    await worker.until("self.shown.length > 0")
    [shown] = await worker.run("self.shown")
    assert (shown["title"], shown["body"], shown["tag"]) == ("Back in stock", "Assam is here again", sent.message.id)
    assert await worker.run(CLICK) == "done"
    assert await worker.run("[self.closed, self.opened]") == [True, [payload["url"]]]
    wanted = {"message_sent", "message_delivered", "message_opened"}

    async def told() -> bool:
        events = {event.type for event in (await stage.shop.profile("ann")).timeline if "message_id" in event.params}
        return events == wanted

    await eventually(told, "that it was shown and opened")


async def deliver(stage: Stage, page: Page, data: str) -> None:
    """A push of the browser's own push service."""

    async def registered() -> bool:
        return bool(registrations(stage))

    await eventually(registered, "a registered worker")
    await page.call(
        "ServiceWorker.deliverPushMessage",
        origin=stage.site.url.rstrip("/"),
        registrationId=registrations(stage)[-1],
        data=data,
    )


def registrations(stage: Stage) -> list[str]:
    """Of the shop's workers, as the browser told them."""
    told = [params for method, params in stage.browser.events if method == "ServiceWorker.workerRegistrationUpdated"]
    found = [one for params in told for one in params["registrations"]]
    return [one["registrationId"] for one in found if one["scopeURL"] == stage.site.url and not one["isDeleted"]]


async def taken_back(stage: Stage, page: Page, token: str) -> None:
    """The person takes the browser back: nobody is reached by it, and the button is there again."""
    assert await page.run("new Promise(told => cdpPush('unsubscribe', { told }))") == "open"
    await page.until("!document.querySelector('[data-cdp-push]').hidden")
    assert await page.run("[localStorage.cdp_push, sessionStorage.made]") == [None, None]

    async def unreachable() -> bool:
        return (await stage.shop.profile(token)).profile.reachable == 0

    await eventually(unreachable, "nobody")


async def renewed(stage: Stage, laptop: PeerBrowser) -> None:
    """The browser replaces its subscription while no page is open: the new one is the same person's."""
    endpoint = "https://push.example/send/renewed"
    worker = await stage.browser.worker(f"{stage.site.url}cdp-sw.js")
    assert await worker.run(change(laptop.told(ENDPOINT), laptop.told(endpoint))) == 200
    old, new = laptop.token(ENDPOINT), laptop.token(endpoint)

    async def told() -> bool:
        return (await stage.shop.profile(new)).profile.reachable > 0

    await eventually(told, "the new subscription")
    states = await stage.shop.states(new)
    assert states == {"": "granted", device_category(old): "bounced", device_category(new): "granted"}
