"""Opens, clicks and unsubscribes: what the recipient's browser gets, and what ingest is told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from email import message_from_bytes
from email.policy import SMTP

import httpx2
import pytest
from starlette.applications import Starlette

from core.clock import SECOND_US
from core.delivery.links import OPEN_INDEX, UNSUBSCRIBE_INDEX, sign
from core.delivery.visits import visitor_of
from core.errors import unavailable
from services.channel.http import LinkPages
from services.channel.shard import ChannelShard
from services.channel.worker import Tracking
from tests.unit.channel.world import KEY, PUBLIC, World, a_world, outgoing, soon

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"
SHOP = "https://shop.example/tea?a=1&b=2"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with a_world() as made:
        await made.save_template(body_html=f'<a href="{SHOP}">tea</a><a href="{{{{ unsubscribe_url }}}}">stop</a>')
        yield made


@pytest.fixture
async def browser(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    def shards(workspace: str) -> ChannelShard:
        if workspace != "w1":
            raise unavailable("NOT_READY", "not here")
        return world.shard

    app = Starlette(routes=LinkPages(shards, Tracking(KEY, PUBLIC), world.clock).routes())
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url=PUBLIC, headers={"User-Agent": CHROME}) as client:
        yield client


async def mailed(world: World, message_id: str = "m1") -> dict[str, str]:
    """Send a message; its links by path letter."""
    await world.send(outgoing(message_id))
    await world.until(message_id, "accepted")
    body = next(
        part.get_content()
        for part in message_from_bytes(world.mailbox.mails[-1][1], policy=SMTP).walk()
        if part.get_content_type() == "text/html"
    )
    return {letter: url for url, letter in re.findall(rf'"({PUBLIC}/(.)/[^"]+)"', body)}


async def test_open(world: World, browser: httpx2.AsyncClient) -> None:
    links = await mailed(world)
    answer = await browser.get(links["o"])
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
    assert answer.content.startswith(b"GIF89a")
    assert "no-store" in answer.headers["cache-control"]
    await browser.get(links["o"], headers={"User-Agent": "via ggpht.com GoogleImageProxy"})
    await world.told(3)
    opened = world.peers.events("message_opened")
    assert [(event.machine, event.identifiers[0].value) for event in opened] == [(False, "key-1"), (True, "key-1")]
    assert opened[0].params["message_id"].text == "m1"
    assert opened[0].message_id != opened[1].message_id


async def test_click_redirects_identifies_and_reports(world: World, browser: httpx2.AsyncClient) -> None:
    links = await mailed(world)
    answer = await browser.get(links["c"])
    assert (answer.status_code, answer.headers["location"]) == (302, SHOP)
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=lax", "Path=/", "Secure"} <= set(cookie.split("; "))
    anonymous_id = answer.cookies["cdp_aid"]
    await world.told(3)
    (clicked,) = world.peers.events("message_clicked")
    assert (clicked.params["link"].text, clicked.machine) == (SHOP, False)
    (person,) = [item.person for item in world.peers.items if item.HasField("person")]
    assert {(one.kind, one.value) for one in person.identifiers} == {
        ("contact_key", "key-1"),
        ("anonymous_id", anonymous_id),
    }
    world.clock.advance(2 * SECOND_US)
    again = await browser.get(links["c"])
    assert again.cookies["cdp_aid"] == anonymous_id
    other = await browser.get(links["c"], headers={"Cookie": "cdp_aid=x;"})
    assert len(other.cookies["cdp_aid"]) >= 20


async def test_a_click_to_the_shops_own_site_takes_a_token_along(world: World) -> None:
    tracking = Tracking(KEY, PUBLIC, ("shop.example",))
    app = Starlette(routes=LinkPages(lambda _: world.shard, tracking, world.clock).routes())
    await world.save_template(body_html=f'<a href="{SHOP}#top">tea</a><a href="https://shop.example.evil.test/">no</a>')
    await world.send(outgoing("m1"))
    await world.until("m1", "accepted")
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url=PUBLIC, headers={"User-Agent": CHROME}) as client:
        own, other = [f"/c/{sign(KEY, 'w1', 'm1', 1, index)}" for index in (0, 1)]
        led_to = (await client.get(own)).headers["location"]
        found = re.fullmatch(re.escape(SHOP) + r"&cdp_lt=([\w-]+)#top", led_to)
        assert found is not None
        assert visitor_of(KEY, "w1", found[1], world.clock.now_us()) == "key-1"
        assert (await client.get(other)).headers["location"] == "https://shop.example.evil.test/"
        scanned = await client.get(own, headers={"User-Agent": "Barracuda Link Scanner"})
        assert scanned.headers["location"] == f"{SHOP}#top"


async def test_machines_are_marked_and_identify_nobody(world: World, browser: httpx2.AsyncClient) -> None:
    links = await mailed(world)
    scanned = await browser.head(links["c"])
    bot = await browser.get(links["c"], headers={"User-Agent": "Barracuda Link Scanner"})
    assert [scanned.status_code, bot.status_code] == [302, 302]
    assert "set-cookie" not in scanned.headers
    assert "set-cookie" not in bot.headers
    await world.told(2)
    assert all(event.machine for event in world.peers.events("message_clicked"))
    assert not [item for item in world.peers.items if item.HasField("person")]


async def test_nothing_redirects_elsewhere(world: World, browser: httpx2.AsyncClient) -> None:
    links = await mailed(world)
    token = links["c"].rpartition("/")[2]
    forged = [
        f"/c/{token}A",
        f"/c/{token[:-2]}AA",
        "/c/https:%2F%2Fevil.example",
        "/c/x",
        f"/c/{sign(b'other key', 'w1', 'm1', 1, 0)}",
        f"/c/{sign(KEY, 'w1', 'm1', 1, 1)}",
        f"/c/{sign(KEY, 'w1', 'm2', 1, 0)}",
        f"/c/{sign(KEY, 'w1', 'm1', 1, OPEN_INDEX)}",
        f"/o/{token}",
        f"/u/{token}",
        f"/u/{sign(KEY, 'w1', 'm1', 1, OPEN_INDEX)}",
    ]
    for path in forged:
        answer = await browser.get(path)
        assert (path, answer.status_code) == (path, 404)
        assert "location" not in answer.headers
    answer = await browser.get(f"{links['c']}?url=https://evil.example&to=//evil.example")
    assert answer.headers["location"] == SHOP
    away = await browser.get(f"/c/{sign(KEY, 'w2', 'm1', 1, 0)}")
    assert (away.status_code, away.headers["retry-after"]) == (503, "2")


async def test_only_post_unsubscribes(world: World, browser: httpx2.AsyncClient) -> None:
    links = await mailed(world)
    page = await browser.get(links["u"])
    assert page.status_code == 200
    assert '<form method="post">' in page.text
    await browser.head(links["u"])
    await mailed(world, "m2")
    answer = await browser.post(links["u"], data={"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    await world.send(outgoing("m3"), outgoing("m4", kind="transactional"))
    assert (await world.until("m3", "refused")).reason == "UNSUBSCRIBED"
    await world.until("m4", "accepted")
    await soon(world.peers.changed, lambda: bool(world.peers.events("message_unsubscribed")))
    (person,) = [item.person for item in world.peers.items if item.HasField("person")]
    assert [(one.channel, one.state) for one in person.consents] == [("email", "denied")]
    assert person.identifiers[0].value == "key-1"


async def test_an_unsubscribe_outlives_a_restart_follows_the_address_and_yields_to_consent(
    world: World, browser: httpx2.AsyncClient
) -> None:
    links = await mailed(world)
    await browser.post(links["u"])
    await world.stop()
    await world.start()
    world.peers.add(2, "ANN@mail.example")
    await world.send(outgoing("same"), outgoing("merged", 2))
    assert (await world.until("same", "refused")).reason == "UNSUBSCRIBED"
    assert (await world.until("merged", "refused")).reason == "UNSUBSCRIBED"
    world.peers.add(1, "ann@mail.example", at_us=world.clock.now_us() + 1)
    await world.send(outgoing("later"))
    await world.until("later", "accepted")


async def test_an_unsubscribe_by_a_mail_to_a_merged_contact_holds_for_the_survivor(
    world: World, browser: httpx2.AsyncClient
) -> None:
    links = await mailed(world)
    world.peers.add(2, "ann@work.example")
    world.peers.profiles[1] = world.peers.profiles[2]
    assert (await browser.post(links["u"])).status_code == 200
    await world.send(outgoing("survivor", contact=2), outgoing("loser", contact=1))
    assert (await world.until("survivor", "refused", "accepted")).reason == "UNSUBSCRIBED"
    assert (await world.until("loser", "refused", "accepted")).reason == "UNSUBSCRIBED"
    world.peers.add(3, "ann@work.example")
    world.peers.profiles[1] = world.peers.profiles[3]
    await world.send(outgoing("twin", contact=3))
    assert (await world.until("twin", "refused", "accepted")).reason == "UNSUBSCRIBED"


async def test_an_unsubscribe_by_a_mail_to_a_merged_contact_waits_for_the_survivors_calls(
    world: World, browser: httpx2.AsyncClient
) -> None:
    links = await mailed(world)
    world.peers.add(2, "ann@work.example")
    world.mailbox.hold = asyncio.Event()
    world.mailbox.entered.clear()
    await world.send(outgoing("m2", contact=2))
    await world.mailbox.entered.wait()
    world.peers.profiles[1] = world.peers.profiles[2]
    asked = asyncio.create_task(browser.post(links["u"]))
    await world.committed(lambda: bool(world.shard.state.suppressions([b"contact/email/2"])))
    assert not asked.done()
    world.mailbox.hold.set()
    assert (await asked).status_code == 200
    await world.until("m2", "accepted")


async def test_an_unsubscribe_is_not_acknowledged_while_profiles_are_away(
    world: World, browser: httpx2.AsyncClient
) -> None:
    links = await mailed(world)
    world.peers.profiles_away = True
    assert (await browser.post(links["u"])).status_code == 503
    assert world.shard.state.suppressions([b"contact/email/1"])
    world.peers.profiles_away = False
    assert (await browser.post(links["u"])).status_code == 200


async def test_after_an_acknowledged_unsubscribe_nothing_is_sent(world: World, browser: httpx2.AsyncClient) -> None:
    links = await mailed(world)
    world.mailbox.hold = asyncio.Event()
    world.mailbox.entered.clear()
    await world.send(*[outgoing(f"q{number}") for number in range(1_000)])
    await world.mailbox.entered.wait()
    asked = asyncio.create_task(browser.post(links["u"]))
    await world.committed(lambda: bool(world.shard.state.suppressions([b"contact/email/1"])))
    assert not asked.done()
    world.mailbox.hold.set()
    assert (await asked).status_code == 200
    acknowledged = len(world.mailbox.mails)
    for number in range(1_000):
        await world.until(f"q{number}", "refused", "accepted")
    assert len(world.mailbox.mails) == acknowledged < 100


async def test_an_unsubscribe_that_cannot_be_kept_is_not_acknowledged(
    world: World, browser: httpx2.AsyncClient
) -> None:
    links = await mailed(world)
    await world.committed(lambda: not world.shard.state.reports)
    world.log.away = True
    assert (await browser.post(links["u"])).status_code == 503
    assert (await browser.get(links["c"])).headers["location"] == SHOP
    assert (await browser.get(links["o"])).status_code == 200
    world.log.away = False
    assert (await browser.post(links["u"])).status_code == 200


async def test_a_message_that_was_never_sent_has_no_links(world: World, browser: httpx2.AsyncClient) -> None:
    await world.send(outgoing("gone", 99))
    await world.until("gone", "refused")
    assert (await browser.get(f"/o/{sign(KEY, 'w1', 'gone', 99, OPEN_INDEX)}")).status_code == 404
    assert (await browser.post(f"/u/{sign(KEY, 'w1', 'gone', 99, UNSUBSCRIBE_INDEX)}")).status_code == 404
