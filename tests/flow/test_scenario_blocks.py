"""Blocks that need other services, through the shard and the wire: every command is done once, restarts included."""

from __future__ import annotations

from dataclasses import replace

from core.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US, ManualClock
from core.events.columns import Event
from core.events.facts import AttributeWrite, Merge, ProductState
from core.scenario.definition import (
    ApiTrigger,
    Block,
    Branch,
    CallWebhook,
    ChangeLists,
    Condition,
    DateAttribute,
    Definition,
    EventTrigger,
    Exit,
    IssueCoupon,
    LocalTime,
    Send,
    SetAttribute,
    Split,
    StartScenario,
    Wait,
    WaitFor,
)
from core.scenario.draw import bucket_of
from core.scenario.run import State
from core.schema import DecimalUnits, Scalar
from tests.unit.scenario.plays import T0, cart, outcomes
from tests.unit.scenario.world import World, a_world, until

CART = EventTrigger("cart_updated")
END = Block("end", Exit("done"))


def happened(type_: str, event_id: str, at_us: int, **params: str) -> Event:
    return Event(event_id, type_, at_us, at_us, (), dict(params))


async def outcome_of(world: World, contact: int) -> list[str]:
    (run,) = [run for run in await world.runs(contact) if run.scenario == "s"]
    return list(outcomes(run))


async def test_what_a_run_changes_is_there_for_its_next_step() -> None:
    """Attribute, lists and coupon, and a condition that sees them; nothing twice over a restart with ingest away."""
    blocks = (
        Block("city", SetAttribute("city", "Wien")),
        Block("lists", ChangeLists(("warm",), ("cold",))),
        Block("coupon", IssueCoupon("spring", "code")),
        Block("is", Condition('city = "Wien"', when_true="mail", when_false="end")),
        Block("mail", Send("email", "t", content="coupon :code")),
        END,
    )
    async with a_world() as world:
        await world.save("s", Definition(CART, blocks))
        world.ingest.away = True
        await world.append((1, cart()), (2, cart("e2")))
        await until(lambda: len(world.ingest.calls) >= 2)
        assert world.ingest.taken == {}
        await world.restart()
        world.ingest.away = False
        await until(lambda: len(world.channel.taken) == 2)
        await world.idle()
        assert await outcome_of(world, 1) == ["set", "lists_changed", "issued", "true", "sent", "exit:done"]
        assert len(world.ingest.taken) == 4
        assert sorted(world.coupons.issued.values()) == ["spring-1", "spring-2"]
        assert {message.content for message in world.channel.taken.values()} == {"coupon spring-1", "coupon spring-2"}
        assert all(one.expires_at_us == T0 + 3 * DAY_US for one in world.channel.taken.values())
        assert {one.campaign for one in world.coupons.calls} == {"s"}


async def test_refusals_go_their_way() -> None:
    blocks = (
        Block("city", SetAttribute("city", "Wien")),
        Block("coupon", IssueCoupon("spring", "code", next="mail", when_empty="end")),
        Block("mail", Send("email", "t")),
        END,
    )
    async with a_world() as world:
        await world.save("s", Definition(CART, blocks))
        world.ingest.refusal, world.coupons.left = "BAD_VALUE", 1
        await world.append((1, cart()))
        await world.append((2, cart("e2")))
        assert await outcome_of(world, 1) == ["refused:BAD_VALUE", "issued", "sent", "exit:done"]
        assert await outcome_of(world, 2) == ["refused:BAD_VALUE", "refused:POOL_EMPTY", "exit:done"]


async def test_waits_of_the_contact() -> None:
    """Until nine o'clock and until the birthday, each in the contact's own zone; a restart in between."""
    blocks = (
        Block("nine", Wait(0, until=LocalTime(9 * 60))),
        Block("birthday", Wait(0, "mail", DateAttribute("birth_date", 0, 600, True, "end"))),
        Block("mail", Send("email", "t", next="end")),
        END,
    )
    async with a_world() as world:
        written = [
            AttributeWrite(1, "time_zone", "Asia/Tokyo", T0, False, 0),
            AttributeWrite(2, "time_zone", "Nowhere/Land", T0, False, 0),
        ]
        await world.append(facts=written)
        await world.save("s", Definition(CART, blocks))
        await world.append((1, cart()), (2, cart("e2")))
        due = {run.contact: run.due_local for run in await world.runs()}
        # T0 is 17:00 in Tokyo and 03:00 in New York, the zone of the workspace.
        assert due == {1: "2027-01-16T09:00:00 Asia/Tokyo", 2: "2027-01-15T09:00:00 America/New_York"}
        await world.restart()
        await world.append()
        await world.advance(6 * HOUR_US - 1)
        assert await outcome_of(world, 2) == []
        await world.advance(1)
        assert await outcome_of(world, 2) == ["waited", "no_date", "exit:done"]
        assert await outcome_of(world, 1) == []


async def test_a_split_is_the_random_bucket() -> None:
    """Those on the first way are those whom the segment language names."""
    blocks = (
        Block("split", Split((Branch(5_000, "a", "first"), Branch(5_000, "b", "second")))),
        Block("a", Send("email", "a", next="end")),
        Block("b", Send("email", "b", next="end")),
        END,
    )
    async with a_world() as world:
        await world.save("s", Definition(CART, blocks))
        await world.append(*((one, cart(f"e{one}")) for one in range(1, 6)))
        await until(lambda: len(world.channel.taken) == 5)
        found = {message.contact: message.template for message in world.channel.taken.values()}
        first = [one for one in range(1, 6) if bucket_of("w1", "s/split", f"key-{one}") < 5_000]
        assert sorted(one for one, template in found.items() if template == "a") == first


async def test_a_wait_for_a_click_and_its_time_out() -> None:
    click = WaitFor(DAY_US, EventTrigger("message_clicked", "run_id = :run_id"), "", "click", "b", "end")
    blocks = (Block("mail", Send("email", "t")), Block("click", click), Block("b", Send("email", "b", next="end")), END)
    async with a_world() as world:
        await world.save("s", Definition(CART, blocks))
        await world.append((1, cart()), (2, cart("e2")))
        (run,) = await world.runs(1)
        assert (run.state, run.due_at_us) == (State.WAITING, T0 + DAY_US)
        await world.restart()
        await world.append((2, happened("message_clicked", "c0", T0, run_id=run.run_id)))
        await world.append((1, happened("message_clicked", "c1", T0, run_id=run.run_id, link="https://x")))
        await world.advance(DAY_US)
        assert await outcome_of(world, 1) == ["sent", "met", "sent", "exit:done"]
        assert await outcome_of(world, 2) == ["sent", "timeout", "exit:done"]
        sent = [message for message in world.channel.taken.values() if message.template == "b"]
        assert [message.values["click_link"].text for message in sent] == ["https://x"]


async def test_a_webhooks_answer_is_used() -> None:
    blocks = (
        Block("ask", CallWebhook("score", "reply", HOUR_US, "high", "end")),
        Block("high", Condition("age > :reply_limit", when_true="mail", when_false="end")),
        Block("mail", Send("email", "t", next="end")),
        END,
    )
    async with a_world() as world:
        await world.save("s", Definition(CART, blocks))
        await world.append(facts=[AttributeWrite(1, "age", 40, T0, False, 0)])
        await world.append((1, cart()), (2, cart("e2")), (3, cart("e3")))
        asked = {message.contact: message for message in world.channel.taken.values()}
        assert {(one.channel, one.expires_at_us) for one in asked.values()} == {("webhook", T0 + HOUR_US)}
        answer = happened("webhook_answered", "a1", T0, message_id=asked[1].id)
        failed = happened("webhook_failed", "a2", T0, message_id=asked[2].id, reason="HTTP_500")
        await world.append((1, replace(answer, params={**answer.params, "answer_limit": 30})), (2, failed))
        await world.advance(HOUR_US)
        assert await outcome_of(world, 1) == ["answered", "true", "sent", "exit:done"]
        assert await outcome_of(world, 2) == ["failed:HTTP_500", "exit:done"]
        assert await outcome_of(world, 3) == ["timeout", "exit:done"]


async def test_a_scenario_starts_another() -> None:
    other = Definition(ApiTrigger(("cart_id",)), (Block("mail", Send("email", "other", next="")),))
    blocks = (Block("start", StartScenario("other")), Block("none", StartScenario("nobody")), END)
    async with a_world() as world:
        await world.save("other", other)
        await world.save("s", Definition(CART, blocks))
        await world.append((1, cart()))
        first, second, last = await outcome_of(world, 1)
        (started,) = [run for run in await world.runs(1) if run.scenario == "other"]
        assert (first, second, last) == (f"started:{started.run_id}", "refused:not_started_so", "exit:done")
        assert started.values["cart_id"] == "c1"
        assert world.channel.templates() == ["other"]


async def test_two_scenarios_that_start_each_other_come_to_an_end() -> None:
    async with a_world() as world:
        for name, other in (("a", "b"), ("b", "a")):
            blocks = (Block("mail", Send("email", name)), Block("start", StartScenario(other)), END)
            await world.save(name, Definition(ApiTrigger(), blocks))
        await world.save("s", Definition(CART, (Block("start", StartScenario("a")), END)))
        await world.append((1, cart()))
        await world.idle()
        assert 0 < len(world.channel.taken) <= 20
        assert all(run.state is State.ENDED for run in await world.runs())


async def test_messages_a_minute() -> None:
    """Runs wait their turn in their order, over a restart, and take turns anew after a downtime."""
    definition = Definition(CART, (Block("mail", Send("email", "t")), END), sends_per_minute=60)
    async with a_world() as world:
        await world.contacts(*range(6, 31))
        await world.save("s", definition)
        for one in range(1, 31):
            await world.append((one, cart(f"e{one}")), seen=False)
        await until(lambda: world.shard.position >= 32)
        await world.idle()
        assert len(world.channel.taken) == 1
        for _ in range(10):
            await world.advance(SECOND_US)
        assert len(world.channel.taken) == 10
        await world.restart()
        await world.append()
        for _ in range(2):
            await world.advance(SECOND_US)
        assert len(world.channel.taken) == 12
        await world.stop()
        world.clock.advance(HOUR_US)  # a downtime, in which all turns pass
        await world.start()
        await world.append()
        await world.idle()
        assert len(world.channel.taken) == 13, "they are not all sent at once"
        for _ in range(20):
            await world.advance(SECOND_US)
        assert len(world.channel.taken) == 30
        assert [message.contact for message in world.channel.taken.values()] == list(range(1, 31))


async def test_many_at_the_same_instant() -> None:
    """2,000 runs whose timers are due at once: few calls, each run stepped once."""
    asks = Block("ask", Condition("did order_completed", when_true="end", when_false="mail"))
    definition = Definition(CART, (Block("wait", Wait(HOUR_US)), asks, Block("mail", Send("email", "t")), END))
    clock = ManualClock(T0)
    async with a_world(clock=clock) as world:
        contacts = range(100, 2_100)
        await world.contacts(*contacts)
        await world.save("s", definition)
        await world.append(*((one, cart(f"e{one}")) for one in contacts))
        asked, sent = len(world.engine.asked), len(world.channel.calls)
        await world.advance(HOUR_US)
        assert len(world.channel.taken) == len(contacts)
        assert len(world.channel.calls) - sent == len(contacts)
        assert len(world.engine.asked) - asked < 200, "one question for many contacts"


async def test_a_merge_asks_for_what_is_waited_for_again() -> None:
    """The other half bought before; the run that waits for a purchase sees it once they are one person."""
    bought = WaitFor(DAY_US, None, "did order_completed", "", "mail", "end")
    blocks = (Block("bought", bought), Block("mail", Send("email", "t", next="end")), END)
    async with a_world() as world:
        await world.save("s", Definition(CART, blocks))
        await world.append((2, happened("order_completed", "o1", T0)))
        await world.append((1, cart()))
        assert await outcome_of(world, 1) == []
        await world.append(facts=[Merge(2, 1, 0)])
        assert await outcome_of(world, 2) == ["met", "sent", "exit:done"]


async def test_waits_for_what_a_contact_is() -> None:
    """An attribute and a list are no events: they are asked for when they change, and end a run at once."""
    waits = WaitFor(DAY_US, None, 'city = "Wien"', "", "mail", "end")
    blocks = (Block("wait", waits), Block("mail", Send("email", "t", next="end")), END)
    async with a_world() as world:
        await world.save("s", Definition(CART, blocks, exit_when='loyalty_status = "gone"'))
        await world.append((1, cart()), (2, cart("e2")))
        asked = len(world.engine.asked)
        await world.append(facts=[AttributeWrite(3, "city", "Wien", T0, False, 0)])
        assert len(world.engine.asked) == asked, "nobody waits there"
        await world.append(facts=[AttributeWrite(1, "city", "Wien", T0, False, 0)])
        await world.append(facts=[AttributeWrite(2, "loyalty_status", "gone", T0, False, 0)])
        assert await outcome_of(world, 1) == ["met", "sent", "exit:done"]
        assert await outcome_of(world, 2) == ["exit:exit_when"]


async def test_waits_for_what_a_product_is() -> None:
    """The catalogue speaks of nobody: who waits for it is asked about when it changes, once a minute at most."""
    text = "did product_viewed (product_id = :product_id) on a product now the last item"
    blocks = (Block("wait", WaitFor(DAY_US, None, text, "", "mail", "end")), Block("mail", Send("email", "t")), END)
    viewed = replace(happened("product_viewed", "v1", T0), params={"product_id": "p1"})
    async with a_world() as world:
        await world.append(facts=[product("p1", 5)])
        await world.save("s", Definition(EventTrigger("product_viewed"), blocks))
        await world.append((1, viewed))
        asked = len(world.engine.asked)
        for stock in (4, 3, 2):
            await world.append(facts=[product("p1", stock)])
        assert len(world.engine.asked) == asked + 1
        await world.append(facts=[product("p1", 1)])
        assert await outcome_of(world, 1) == []
        await world.advance(MINUTE_US)
        assert await outcome_of(world, 1) == ["met", "sent", "exit:done"]


def product(product_id: str, stock: int) -> ProductState:
    fields: dict[str, Scalar] = {"name": "Jug", "price": DecimalUnits(50_000), "stock": stock}
    return ProductState(product_id, fields, T0, 0)
