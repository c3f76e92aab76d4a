"""N18 through all services: visitors who are not in the base choose in a pop-up, and hold a coupon before the first
letter."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdp.channel.v1 import popup_pb2, popup_pb2_grpc
from core.clock import DAY_US, MINUTE_US, WEEK_US
from services.runtime.roles import Role
from tests.flow.platform import eventually
from tests.flow.ready_house import House, ready_house
from tests.flow.ready_watch import BROWSER, html_of

pytestmark = pytest.mark.slow


def popup() -> popup_pb2.Popup:
    """What is your interest? With a coupon of the pool that N18 needs."""
    made = popup_pb2.Popup(title="What do you like?", text="And 10 % off.", button="Get it", coupon_pool="pop-up")
    made.lists.append("chose in a pop-up")
    made.fields.add(
        name="interest",
        label="I like",
        kind=popup_pb2.POPUP_FIELD_KIND_CHOICE,
        required=True,
        attribute="chosen_interest",
    ).options.extend([popup_pb2.PopupOption(value="tea", list="tea lovers"), popup_pb2.PopupOption(value="cups")])
    made.fields.add(name="email", label="Email", kind=popup_pb2.POPUP_FIELD_KIND_EMAIL)
    made.consents.add(channel="email", text="Yes, write to me")
    return made


async def test_a_visitor_chooses_before_the_first_letter(tmp_path: Path) -> None:
    """Ann leaves her address and agrees; Bea agrees in a later pop-up; Cat leaves none within the week; Dan leaves his
    and does not agree."""
    async with ready_house(tmp_path) as house:
        name = await house.take(18)
        stub = popup_pb2_grpc.PopupServiceStub(house.client.channel)
        await house.ask(stub.SavePopup, popup_pb2.SavePopupRequest(name="n18_interests", popup=popup()))
        await house.ask(stub.SavePopup, popup_pb2.SavePopupRequest(name="later", popup=popup()))
        shown = await answer(house, "ann", interest="tea", email="ann@mail.example")
        await answer(house, "bea", interest="tea")
        await answer(house, "cat", interest="cups")
        await answer(house, "dan", agreed=False, interest="tea", email="dan@mail.example")
        for user in ("ann", "bea", "cat", "dan"):
            await house.known(user, "anonymous_id", f"cookie-of-{user}")
        await house.ends(name, "ann", "done")
        await house.got("ann", "n18_letter")
        letter = html_of(house.letters("ann")[-1])
        assert shown.startswith("POPUP-") and shown in letter and "you chose tea" in letter
        await house.holds("bea", 'chosen_interest = "tea" and in list "tea lovers" and in list "chose in a pop-up"')
        await house.let_pass(5 * MINUTE_US)
        for user in ("bea", "cat", "dan"):
            await house.stands(name, user, "address")
            await house.got(user)
        await house.let_pass(DAY_US)
        assert await answer(house, "bea", "later", interest="tea", email="bea@mail.example") == "", "one a person"
        await house.ends(name, "bea", "done")
        await house.got("bea", "n18_letter")
        await house.let_pass(WEEK_US)
        for user in ("cat", "dan"):
            await house.ends(name, user, "no address")
            await house.got(user)


async def answer(house: House, user: str, name: str = "n18_interests", agreed: bool = True, **fields: str) -> str:
    """A visitor's browser answers a pop-up; the coupon that it shows."""
    document = {
        "writeKey": house.platform.key,
        "anonymousId": f"cookie-of-{user}",
        "popup": name,
        "version": 1,
        "id": f"{user}-{name}",
        "fields": fields,
        "consents": [0] if agreed else [],
        "url": "https://shop.example/",
    }
    told: list[str] = []

    async def taken() -> bool:
        got = await house.http.post(
            f"{house.platform.http_url(Role.CHANNEL)}/popups/answer", json=document, headers={"User-Agent": BROWSER}
        )
        if got.status_code in (429, 503):
            return False
        assert got.status_code == 200, got.text
        told.append(got.json().get("coupon", ""))
        return True

    await eventually(taken, f"the answer of {user} is taken")
    return told[-1]
