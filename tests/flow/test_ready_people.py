"""N5, N8, N9, N10 and N11 through all services: what people buy, change and answer, with fallbacks and exits."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdp.channel.v1 import channel_pb2
from core.clock import DAY_US, HOUR_US, MINUTE_US, WEEK_US
from core.schema import DecimalUnits
from tests.flow.ready_house import EVERY_CHANNEL, House, Params, ready_house
from tests.flow.ready_watch import html_of

pytestmark = pytest.mark.slow

COFFEE: Params = {"product_id": "k1", "category": "coffee"}
TEA: Params = {"product_id": "t1", "category": "tea"}
NO_MAIL = tuple(channel for channel in EVERY_CHANNEL if channel != "email")


async def test_people(tmp_path: Path) -> None:
    async with ready_house(tmp_path) as house:
        for user in ("ann", "bea", "cat", "eve"):
            await house.person(user)
        await house.person("dan", NO_MAIL)
        await replenishment(house)
        await field_change(house)
        await size_button(house)
        await list_move(house)
        await average_check(house)


async def replenishment(house: House) -> None:
    """N5. All buy coffee: Ann does not open the reminder, Bea does, Cat bought again after 10 days, Dan did not agree
    to email. Eve buys tea."""
    name = await house.take(5)
    for user in ("ann", "bea", "cat", "dan"):
        await house.buy(user, COFFEE)
    await house.buy("eve", TEA)
    for user in ("ann", "bea", "cat", "dan"):
        await house.stands(name, user, "used_up", 30 * DAY_US)
    await house.let_pass(10 * DAY_US)
    await house.buy("cat", COFFEE)
    await house.stands(name, "cat", "used_up", 30 * DAY_US, runs=2)

    async def exits() -> list[str]:
        return sorted(run.end_reason for run in await house.runs(name, "cat"))

    await house.until(exits, ["", "exit_when"])
    await house.let_pass(20 * DAY_US)
    for user in ("ann", "bea", "dan"):
        await house.stands(name, user, "two_days", 32 * DAY_US)
    await house.open(await house.letter("bea", 1))
    await house.got("bea", "n05_reminder")
    await house.holds("bea", "opened message in last 1 days")
    await house.got("cat")
    await house.let_pass(2 * DAY_US)
    for user in ("ann", "dan"):
        assert (await house.ends(name, user, "done"))[-2:] == ["another_channel", "done"]
    assert (await house.ends(name, "bea", "done"))[-2:] == ["opened", "done"]
    await house.got("ann", "n05_reminder", "n05_push")
    await house.got("bea", "n05_reminder")
    await house.got("dan", "n05_push")
    await house.let_pass(8 * DAY_US)
    await house.stands(name, "cat", "two_days", 32 * DAY_US)
    await house.got("cat", "n05_reminder")
    assert await house.runs(name, "eve") == []
    await house.put_away(name)


async def field_change(house: House) -> None:
    """N8. Ann begins a course, Bea changes hers and changes it back, Dan did not agree to email, Cat has no course."""
    name = await house.take(8, before={"bea": {"course": "Go"}, "dan": {"course": "Go"}})
    before = await house.so_far()
    await house.change("ann", course="Python")
    for user in ("bea", "dan"):
        await house.change(user, course="Rust")
    await house.let_pass(30 * MINUTE_US)
    await house.change("bea", course="Go")
    await house.holds("bea", 'course = "Go"')
    await house.got("ann", since=before)
    await house.let_pass(30 * MINUTE_US)
    for user in ("ann", "dan"):
        assert await house.ends(name, user, "done") == ["went_back", "congratulation", "done"]
    await house.got("ann", "n08_letter", since=before)
    await house.got("dan", "n08_push", since=before)
    assert "Python" in html_of(house.letters("ann")[-1])
    (run,) = await house.runs(name, "dan")
    assert (run.values["old"].text, run.values["new"].text) == ("Go", "Rust")
    await house.let_pass(30 * MINUTE_US)
    assert await house.ends(name, "bea", "taken back") == ["went_back", "taken_back"]
    for user in ("bea", "cat"):
        await house.got(user, since=before)
    assert await house.runs(name, "cat") == []
    await house.put_away(name)


async def size_button(house: House) -> None:
    """N9. Ann presses M in a letter; Bea S, and L an hour later; Cat gets the letter and presses nothing."""
    name = await house.take(9)
    before = await house.so_far()
    for user in ("ann", "bea", "cat"):
        message = channel_pb2.OutgoingMessage(
            id=f"question-{user}", contact=house.contacts[user], channel="email", template="n09_question", kind="promo"
        )
        await house.ask(house.client.messages.Send, channel_pb2.SendRequest(messages=[message]))
    for user in ("ann", "bea", "cat"):
        await house.got(user, "n09_question", since=before)
    await house.press(house.letters("ann")[-1], "M")
    await house.press(house.letters("bea")[-1], "S")
    for user, size in (("ann", "M"), ("bea", "S")):
        await house.stands(name, user, "a_day", DAY_US)
        await house.holds(user, f'in list "size {size}" and clothing_size = "{size}"')
    await house.let_pass(HOUR_US)
    await house.press(house.letters("bea")[-1], "L")
    await house.stands(name, "bea", "a_day", DAY_US, runs=2)
    await house.holds("bea", 'clothing_size = "L"')
    await house.let_pass(DAY_US)
    await house.ends(name, "ann", "done")
    await house.ends(name, "bea", "done", 2)
    assert sorted(run.end_reason for run in await house.runs(name, "bea")) == ["done", "exit_when"]
    for user, size in (("ann", "M"), ("bea", "L")):
        await house.got(user, "n09_question", "n09_letter", since=before)
        assert f"your size, {size}" in html_of(house.letters(user)[-1])
    assert await house.runs(name, "cat") == []
    await house.put_away(name)


async def list_move(house: House) -> None:
    """N10. Ann is satisfied, Bea is not, Cat answers after the push, Eve never, Dan did not agree to email."""
    name = await house.take(10)
    before = await house.so_far()
    people = ("ann", "bea", "cat", "dan", "eve")
    for user in people:
        await house.buy(user, TEA)
    for user in people:
        await house.stands(name, user, "a_week", WEEK_US)
    await house.let_pass(WEEK_US)
    for user in people:
        await house.stands(name, user, "answer", 10 * DAY_US)
        await house.holds(user, 'in list "asked for an opinion"')
    for user in ("ann", "bea", "cat", "eve"):
        await house.got(user, "n10_survey", since=before)
    await house.press(house.letters("ann")[-1], "Yes")
    await house.press(house.letters("bea")[-1], "No")
    assert (await house.ends(name, "ann", "done"))[-3:] == ["happy", "thanks", "done"]
    assert (await house.ends(name, "bea", "done"))[-4:] == ["happy", "coupon", "sorry", "done"]
    await house.holds("ann", 'in list "satisfied" and not in list "asked for an opinion"')
    await house.holds("bea", 'in list "not satisfied" and not in list "asked for an opinion"')
    await house.got("ann", "n10_survey", "n10_thanks", since=before)
    await house.got("bea", "n10_survey", "n10_sorry", since=before)
    assert "APOLOGY-" in html_of(house.letters("bea")[-1])
    await house.let_pass(3 * DAY_US)
    for user in ("cat", "dan", "eve"):
        await house.stands(name, user, "late_answer", 14 * DAY_US)
    await house.got("cat", "n10_survey", "n10_push", since=before)
    await house.got("dan", "n10_push", since=before)
    survey = next(letter for letter in house.letters("cat") if letter["Subject"] == "Was everything right?")
    await house.press(survey, "Yes")
    await house.ends(name, "cat", "done")
    await house.let_pass(4 * DAY_US)
    for user in ("dan", "eve"):
        assert (await house.ends(name, user, "done"))[-2:] == ["silent", "done"]
        await house.holds(user, 'not in list "asked for an opinion"')
    await house.got("cat", "n10_survey", "n10_push", "n10_thanks", since=before)
    # Not asked again within 90 days.
    await house.buy("ann", TEA)
    await house.holds("ann", "did order_completed in last 1 days")
    assert len(await house.runs(name, "ann")) == 1
    await house.put_away(name)


async def average_check(house: House) -> None:
    """N11. Ann's average check is above the shop's, Bea's below it, Cat is a VIP already, Eve is one no more within the
    week, Dan did not agree to email."""
    await house.let_pass(100 * DAY_US)
    name = await house.take(11)
    before = await house.so_far()
    await house.change("cat", loyalty_status="VIP")
    await house.buy("bea", TEA, total=DecimalUnits(100_000))
    assert await house.ends(name, "bea", "not above the average, or VIP before") == ["above_average", "not_now"]
    for user in ("ann", "cat", "dan", "eve"):
        await house.buy(user, TEA, total=DecimalUnits(1_000_000))
    for user in ("ann", "dan", "eve"):
        await house.stands(name, user, "a_week", WEEK_US)
        await house.holds(user, 'loyalty_status = "VIP"')
    await house.ends(name, "cat", "not above the average, or VIP before")
    await house.let_pass(DAY_US)
    await house.change("eve", loyalty_status="regular")
    await house.holds("eve", 'loyalty_status = "regular"')
    await house.let_pass(6 * DAY_US)
    for user in ("ann", "dan"):
        await house.ends(name, user, "done")
    await house.ends(name, "eve", "VIP no more")
    await house.got("ann", "n11_welcome", "n11_privileges", since=before)
    await house.got("eve", "n11_welcome", since=before)
    for user in ("bea", "cat", "dan"):
        await house.got(user, since=before)
    await house.put_away(name)
