"""N12 to N15, N17, N19 and N20 through all services: segments, cells and schedules, with fallbacks and exits."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import pytest

from cdp.segment.v1 import analytics_pb2, analytics_pb2_grpc
from core.clock import DAY_US, HOUR_US, SECOND_US, WEEK_US
from core.schema import DecimalUnits
from tests.flow.ready_house import EVERY_CHANNEL, START_US, House, Params, ready_house
from tests.flow.ready_watch import html_of

pytestmark = pytest.mark.slow

TEA: Params = {"product_id": "t1", "category": "tea"}
NO_MAIL = tuple(channel for channel in EVERY_CHANNEL if channel != "email")


def instant(text: str) -> int:
    """UTC, in microseconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


async def test_segments(tmp_path: Path) -> None:
    async with ready_house(tmp_path) as house:
        await welcome_chain(house)
        await almost_ready(house)
        await digest(house)
        await segment_ab(house)
        await cells(house)
        await occasion(house)
        await reactivation(house)


async def welcome_chain(house: House) -> None:
    """N13. Ann signs up, Bea signs up and buys within the week, Cat begins with a purchase, Dan did not agree to
    email. Nobody is welcomed twice."""
    name = await house.take(13)
    for user in ("ann", "bea", "cat"):
        await house.person(user)
    await house.person("dan", NO_MAIL)
    for user in ("ann", "bea", "dan"):
        await house.track(user, "signed_up")
    await house.buy("cat", TEA)
    people = ("ann", "bea", "cat", "dan")
    for user in people:
        await house.stands(name, user, "two_days", 2 * DAY_US)
    await house.got("ann", "n13_welcome")
    await house.got("dan", "n13_welcome_push")
    await house.let_pass(2 * DAY_US)
    for user in people:
        await house.stands(name, user, "rest_of_the_week", WEEK_US)
    await house.buy("bea", TEA)
    await house.let_pass(5 * DAY_US)
    for user in people:
        await house.ends(name, user, "done")
    await house.got("ann", "n13_welcome", "n13_tips", "n13_first_order")
    assert "WELCOME-" in html_of(house.letters("ann")[-1])
    for user in ("bea", "cat"):
        await house.got(user, "n13_welcome", "n13_tips", "n13_thanks")
    await house.got("dan", "n13_welcome_push")
    await house.track("ann", "signed_up")
    await house.holds("ann", "did signed_up in last 1 days")
    await house.put_away(name)


async def almost_ready(house: House) -> None:
    """N15. Twelve people's score passes 0.7, one of them just bought, one's does not pass it, one did not agree to
    email: halves by a stable draw."""
    await house.person("low")
    name = await house.take(15, before={"low": {"purchase_probability": DecimalUnits(1_000)}})
    await house.let_pass(30 * DAY_US)
    many = [f"n15-{number}" for number in range(12)]
    for user in (*many, "bought"):
        await house.person(user)
    await house.person("unmailed", NO_MAIL)
    await house.buy("bought", TEA)
    await house.holds("bought", "did order_completed in last 7 days")
    for user in (*many, "bought", "unmailed"):
        await house.change(user, purchase_probability=DecimalUnits(8_000))
    await house.change("low", purchase_probability=DecimalUnits(6_999))
    ways = Counter[str]()
    for user in many:
        way = await house.ends(name, user, "done")
        ways[way[1]] += 1
        kind = "delivery" if way[1] == "delivery" else "promo_code"
        assert way == ["halves", kind, f"{kind}_letter", "done"]
        await house.got(user, f"n15_{kind}")
        (run,) = await house.runs(name, user)
        assert run.values["coupon"].text in html_of(house.letters(user)[-1])
    assert set(ways) == {"delivery", "promo_code"}, ways
    await house.ends(name, "unmailed", "done")
    (message,) = [one for one in await house.messages("unmailed") if one.state == 3]
    assert message.channel == "web_push"
    for user in ("bought", "low"):
        assert await house.runs(name, user) == []
    await came_again(house, name, many[0], many[1])
    await house.put_away(name)


async def came_again(house: House, name: str, one: str, early: str) -> None:
    """Somebody's score passes 0.7 again: within 30 days that starts nothing, later it does; but a pool gives a person
    one coupon."""
    for user, after_us in ((early, 10 * DAY_US), (one, 21 * DAY_US)):
        await house.change(user, purchase_probability=DecimalUnits(1_000))
        await house.holds(user, "purchase_probability < 0.7")
        await house.let_pass(after_us)
        await house.change(user, purchase_probability=DecimalUnits(9_000))
        await house.holds(user, "purchase_probability >= 0.7")
    await house.ends(name, one, "no coupon left", 2)
    assert len(await house.runs(name, early)) == 1


async def digest(house: House) -> None:
    """N17. Thursday at 10: whoever viewed or bought lately gets a digest of theirs, others what is popular; Dan, who
    did not agree to email, is not in the segment."""
    await house.person("reader")
    await house.person("quiet")
    name = await house.take(17)
    await house.track("reader", "product_viewed", TEA)
    await house.holds("reader", "did product_viewed in last 1 days")
    before = await house.so_far()
    thursday_us = START_US + 3 * DAY_US + 2 * HOUR_US
    while thursday_us <= house.clock.now_us():
        thursday_us += WEEK_US
    await house.let_pass(thursday_us - SECOND_US - house.clock.now_us())
    await house.got("reader", since=before)
    await house.let_pass(SECOND_US)
    await house.ends(name, "reader", "done")
    await house.ends(name, "quiet", "done")
    await house.got("reader", "n17_digest", since=before)
    await house.got("quiet", "n17_popular", since=before)
    assert house.letters("reader")[-1]["Subject"] == "New in tea"
    assert await house.runs(name, "dan") == []
    await house.put_away(name)


async def segment_ab(house: House) -> None:
    """N20. Who is in A, in B, and in both: the same template by steps of their own; nobody twice."""
    await house.let_pass(100 * DAY_US)
    both = [f"both-{number}" for number in range(10)]
    for user in ("only-a", "only-b", "neither", *both):
        await house.person(user)
    for user in ("only-a", *both):
        for _ in range(3):
            await house.track(user, "product_viewed", TEA)
    for user in ("only-b", *both):
        await house.buy(user, TEA)
    await house.holds(both[-1], "did order_completed in last 1 days")
    name = await house.take(20)
    before = await house.so_far()
    monday_us = START_US + 2 * HOUR_US
    while monday_us <= house.clock.now_us():
        monday_us += WEEK_US
    await house.let_pass(monday_us - house.clock.now_us())
    steps = {}
    for user in ("only-a", "only-b", *both):
        steps[user] = (await house.ends(name, user, "done"))[-2]
        await house.got(user, "n20_letter", since=before)
    assert (steps["only-a"], steps["only-b"]) == ("letter_a", "letter_b")
    assert {steps[user] for user in both} == {"letter_a", "letter_b"}
    assert (await house.messages("only-b"))[-1].message.step == "letter_b"
    await house.let_pass(WEEK_US)
    await house.track("neither", "signed_in")
    await house.holds("neither", "did signed_in")
    assert (len(await house.runs(name, "only-a")), await house.runs(name, "neither")) == (1, [])
    await house.put_away(name)


async def cells(house: House) -> None:
    """N12. By a grid with fixed bounds: a first purchase makes a newcomer, more of them a regular and then a VIP; time
    alone puts a regular at risk, and then among the lost, who are left alone."""
    analytics = analytics_pb2_grpc.AnalyticsServiceStub(house.client.channel)
    axis = analytics_pb2.RfmAxis
    listed = await house.ask(analytics.ListRfmModels, analytics_pb2.ListRfmModelsRequest())
    model = next(one for one in listed.models if one.name == "purchases")
    model.recency.CopyFrom(axis(bins=5, bounds=[10 * DAY_US, 20 * DAY_US, 60 * DAY_US, 120 * DAY_US]))
    model.frequency.CopyFrom(axis(bins=5, bounds=[2, 3, 4, 5]))
    model.monetary.CopyFrom(axis(bins=5, bounds=[1_000_000, 2_000_000, 3_000_000, 4_000_000]))
    await house.ask(analytics.SaveRfmModel, analytics_pb2.SaveRfmModelRequest(model=model))
    for user in ("new", "regular", "vip"):
        await house.person(user)
    name = await house.take(12)
    before = await house.so_far()
    await house.buy("new", TEA, total=DecimalUnits(100_000))
    await house.stands(name, "new", "three_days", 3 * DAY_US)
    await house.got("new", "n12_newcomer", since=before)
    for user, total in (("regular", 100_000), ("vip", 2_000_000)):
        for _ in range(2):
            await house.buy(user, TEA, total=DecimalUnits(total))
            await house.stands(name, user, "three_days")
        await house.buy(user, TEA, total=DecimalUnits(total))
        await house.until(partial(treatments, house, name, user), ["promotion"])
    await house.buy("vip", TEA, total=DecimalUnits(2_000_000))
    await house.until(partial(treatments, house, name, "vip"), ["early_access", "promotion"])
    await house.let_pass(3 * DAY_US)
    await house.ends(name, "new", "done")
    await house.until(partial(treatments, house, name, "regular"), ["moved_on", "promotion"])
    await house.got("vip", "n12_newcomer", "n12_regular", "n12_vip", since=before)
    await house.got("new", "n12_newcomer", "n12_newcomer_tips", since=before)
    await house.let_pass(100 * DAY_US)
    await house.until(partial(treatments, house, name, "regular"), ["limited", "moved_on", "promotion"])
    await house.let_pass(100 * DAY_US)
    await house.got("regular", "n12_newcomer", "n12_regular", "n12_at_risk", since=before)
    await house.put_away(name)


async def treatments(house: House, name: str, user: str) -> list[str]:
    """The last block before the end of each ended run."""
    runs = await house.runs(name, user)
    return sorted(
        run.steps[-1].block if run.end_reason == "moved on" else run.steps[-2].block for run in runs if run.end_reason
    )


async def occasion(house: House) -> None:
    """N19. 8 March at 9: by gender, and for those who did not say, by favourite shop or city."""
    await house.person("woman", gender="female")
    await house.person("unmailed-woman", NO_MAIL, gender="female")
    await house.person("man", gender="male")
    await house.person("from-kyiv", city="Kyiv")
    await house.person("silent")
    await house.person("of-podil", favourite_shop="Podil")
    name = await house.take(19, before={"man": {"favourite_shop": "Podil"}})
    before = await house.so_far()
    eighth_us = instant("2027-03-08T09:00:00")
    while eighth_us <= house.clock.now_us():
        eighth_us = instant("2028-03-08T09:00:00")
    await house.let_pass(eighth_us - house.clock.now_us())
    for user in ("woman", "unmailed-woman", "man", "from-kyiv", "of-podil"):
        await house.ends(name, user, "done")
    await house.ends(name, "silent", "nothing known")
    await house.got("woman", "n19_for_her", since=before)
    await house.got("unmailed-woman", "n19_for_her_push", since=before)
    await house.got("man", "n19_for_him", since=before)
    for user in ("from-kyiv", "of-podil"):
        await house.got(user, "n19_near_you", since=before)
    await house.got("silent", since=before)
    assert "your shop, Podil" in html_of(house.letters("of-podil")[-1])
    assert "our shop in Kyiv" in html_of(house.letters("from-kyiv")[-1])
    await house.put_away(name)


async def reactivation(house: House) -> None:
    """N14. Half a year after they came: young women who opened nothing; Vera opens this letter, Zoe buys before the
    second channel, Una did not agree to email, Xena is 40, Yan is a man, Wanda opened something lately."""
    name = await house.take(14)
    young, old = date(2003, 1, 1), date(1986, 1, 1)
    for user in ("tara", "vera", "zoe", "wanda"):
        await house.person(user, gender="female", birth_date=young)
    await house.person("una", NO_MAIL, gender="female", birth_date=young)
    await house.person("xena", gender="female", birth_date=old)
    await house.person("yan", gender="male", birth_date=young)
    before = await house.so_far()
    await house.let_pass(100 * DAY_US)
    await house.track("wanda", "message_opened", {"message_id": "m0", "kind": "promo", "channel": "email"})
    await house.holds("wanda", "opened message in last 1 days")
    await house.let_pass(80 * DAY_US)
    for user in ("tara", "vera", "zoe", "una"):
        await house.stands(name, user, "a_week", WEEK_US)
    await house.open(await house.letter("vera", 1))
    await house.holds("vera", "opened message in last 1 days")
    await house.buy("zoe", TEA)
    await house.ends(name, "zoe", "exit_when")
    await house.let_pass(WEEK_US)
    for user in ("tara", "vera", "una"):
        await house.ends(name, user, "done")
    await house.got("tara", "n14_letter", "n14_push", since=before)
    await house.got("vera", "n14_letter", since=before)
    await house.got("zoe", "n14_letter", since=before)
    await house.got("una", "n14_push", since=before)
    assert "COMEBACK-" in html_of(house.letters("tara")[-1])
    for user in ("wanda", "xena", "yan"):
        assert await house.runs(name, user) == []
    await house.put_away(name)
