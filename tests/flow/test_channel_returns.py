"""What comes back about a letter: bounces, complaints, and scanners that give themselves away late."""

from __future__ import annotations

from collections.abc import AsyncIterator
from email import message_from_bytes
from email.policy import SMTP

import httpx2
import pytest
from starlette.applications import Starlette

from core.clock import SECOND_US
from core.delivery.links import sign
from core.delivery.mail_reports import TOKEN_HEADER
from services.channel.http import LinkPages
from services.channel.worker import Tracking
from tests.unit.channel.world import KEY, PUBLIC, World, a_world, outgoing, soon
from tests.unit.delivery.test_mail_reports import COMPLAINT, DELAYED, EXIM, POSTFIX
from tests.unit.delivery.test_mail_reports import TOKEN as SAMPLE

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"
LINKS = "".join(f'<a href="https://shop.example/{i}">{i}</a>' for i in range(3))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with a_world() as made:
        await made.save_template(body_html=f'{LINKS}<a href="{{{{ unsubscribe_url }}}}">stop</a>')
        yield made


@pytest.fixture
async def outside(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    app = Starlette(routes=LinkPages(lambda _: world.shard, Tracking(KEY, PUBLIC), world.clock).routes())
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url=PUBLIC, headers={"User-Agent": CHROME}) as client:
        yield client


async def token_of_a_letter(world: World, message_id: str = "m1") -> str:
    """Send a letter; the token in its head."""
    await world.send(outgoing(message_id))
    await world.until(message_id, "accepted")
    return str(message_from_bytes(world.mailbox.mails[-1][1], policy=SMTP)[TOKEN_HEADER])


async def test_a_hard_bounce_ends_the_address(world: World, outside: httpx2.AsyncClient) -> None:
    token = await token_of_a_letter(world)
    for _ in range(2):  # mail servers repeat themselves
        answer = await outside.post("/mail-reports", content=POSTFIX.replace(SAMPLE, token).encode())
        assert (answer.status_code, answer.text) == (200, "bounced")
    await world.told(3)
    bounced = world.peers.events("message_bounced")
    assert {one.message_id for one in bounced} == {"m1:bounced"}
    assert bounced[0].params["bounce"].text == "hard"
    assert "User unknown" in bounced[0].params["reason"].text
    assert "bounced" in [one.state for item in world.peers.items for one in item.person.consents]
    await world.send(outgoing("m2"))
    await world.until("m2", "refused")


async def test_a_full_mailbox_and_a_delay_change_no_consent(world: World, outside: httpx2.AsyncClient) -> None:
    token = await token_of_a_letter(world)
    assert (await outside.post("/mail-reports", content=DELAYED.replace(SAMPLE, token).encode())).text == "delayed"
    assert (await outside.post("/mail-reports", content=EXIM.replace(SAMPLE, token).encode())).text == "bounced"
    await world.told(2)
    (bounced,) = world.peers.events("message_bounced")
    assert bounced.params["bounce"].text == "full"
    assert [one for item in world.peers.items for one in item.person.consents] == []


async def test_a_complaint_suppresses_the_person(world: World, outside: httpx2.AsyncClient) -> None:
    token = await token_of_a_letter(world)
    assert (await outside.post("/mail-reports", content=COMPLAINT.replace(SAMPLE, token).encode())).status_code == 200
    await world.told(3)
    assert [one.params["reason"].text for one in world.peers.events("message_complained")] == ["abuse"]
    assert [one.state for item in world.peers.items for one in item.person.consents] == ["suppressed"]
    await world.send(outgoing("m2"))
    await world.until("m2", "refused")


async def test_reports_about_nothing_of_ours_change_nothing(world: World, outside: httpx2.AsyncClient) -> None:
    token = await token_of_a_letter(world)
    forged = ("A" if token[0] != "A" else "B") + token[1:]
    for mail in (POSTFIX, POSTFIX.replace(SAMPLE, forged), "hello", ""):
        assert (await outside.post("/mail-reports", content=mail.encode())).status_code == 200
    assert world.peers.events("message_bounced") == []


async def test_a_scanner_is_marked_once_it_has_followed_every_link(world: World, outside: httpx2.AsyncClient) -> None:
    await token_of_a_letter(world)
    world.clock.advance(5 * SECOND_US)
    for index in range(3):
        assert (await outside.get(f"/c/{sign(KEY, 'w1', 'm1', 1, index)}")).status_code == 302
        world.clock.advance(SECOND_US)
    await soon(world.peers.changed, lambda: any(item.HasField("mark") for item in world.peers.items))
    clicks = world.peers.events("message_clicked")
    assert [one.machine for one in clicks] == [False] * 3
    [mark] = [item.mark for item in world.peers.items if item.HasField("mark")]
    assert {(one.id, one.occurred_at_us) for one in mark.events} == {(c.message_id, c.occurred_at_us) for c in clicks}
    assert (mark.reason, mark.identifiers[0].value) == ("every_link", "key-1")
