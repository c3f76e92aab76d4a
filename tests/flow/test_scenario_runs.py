"""The scenario service at work: real wire protocol, real evaluator, memory log, manual clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from random import Random

import pytest

from cdp.segment.v1 import segment_pb2
from core.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from core.errors import CdpError, Code
from core.events.columns import IMPORTED, MACHINE, Event
from core.events.facts import ContactState, Erasure, Merge
from core.scenario.definition import (
    Block,
    Condition,
    Definition,
    EventTrigger,
    Exit,
    Reentry,
    SegmentTrigger,
    Send,
    Wait,
)
from core.schema import Scalar
from tests.carts import abandoned_cart, category_promotion
from tests.unit.scenario.plays import LINES, T0, cart, outcomes
from tests.unit.scenario.world import World, a_world, until

MAIL = Definition(EventTrigger("signed_up"), (Block("mail", Send("email", "hello")),))

WAITS_IN_SEGMENT = Definition(
    SegmentTrigger("VIP"),
    (Block("wait", Wait(HOUR_US)), Block("send", Send("email", "hello"))),
    exit_when="did order_completed from :trigger_at",
)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with a_world() as made:
        yield made


def happened(event_type: str, at_us: int, event_id: str = "", **params: Scalar) -> Event:
    return Event(event_id or f"{event_type}-{at_us}", event_type, at_us, at_us, (), params)


def entered_vip(contact: int, profile_position: int) -> segment_pb2.WatchResponse:
    record = segment_pb2.Membership(
        contact=contact,
        segment="VIP",
        change=segment_pb2.CHANGE_ENTERED,
        cause=segment_pb2.CAUSE_EVENT,
        effective_at_us=T0,
        recorded_at_us=T0,
    )
    return segment_pb2.WatchResponse(profile_position=profile_position, memberships=[record])


async def start_cart(world: World, contact: int = 1, cart_id: str = "c1", event_id: str = "e1") -> None:
    event = cart(event_id, world.clock.now_us(), {"cart_id": cart_id})
    await world.append((contact, event))


async def buy(world: World, contact: int = 1, cart_id: str = "c1", seen: bool = True) -> None:
    now_us = world.clock.now_us()
    bought = happened("order_completed", now_us, cart_id=cart_id)
    await world.append((contact, bought), seen=seen)


class TestAbandonedCart:
    async def test_to_the_end(self, world: World) -> None:
        await world.save("cart", abandoned_cart())
        await start_cart(world)
        await world.advance(2 * HOUR_US - 1)
        assert world.channel.calls == []
        await world.advance(1)
        (mail,) = world.channel.calls
        assert (mail.channel, mail.template, mail.contact, mail.step) == ("email", "abandoned_cart", 1, "email")
        assert mail.items[0].fields["product_id"].text == "p1"
        assert mail.values["cart_id"].text == "c1"
        assert mail.min_upstream_position == 102
        await world.advance(DAY_US)
        await world.advance(46 * HOUR_US)
        assert world.channel.templates() == ["abandoned_cart", "abandoned_cart_push", "abandoned_cart_offer"]
        run = await world.run()
        done = ["waited", "sent", "waited", "false", "sent", "waited", "false", "sent", "exit:done"]
        assert (outcomes(run), run.end_reason) == (done, "done")
        assert [step.position for step in run.steps if step.outcome == "false"] == [2, 2]

    async def test_an_open_keeps_the_second_channel_silent(self, world: World) -> None:
        await world.save("cart", abandoned_cart())
        await start_cart(world)
        await world.advance(2 * HOUR_US)
        (mail,) = world.channel.calls
        opened = happened("message_opened", world.clock.now_us(), run_id=mail.run_id, message_id=mail.id)
        await world.append((1, opened))
        await world.advance(DAY_US)
        await world.advance(46 * HOUR_US)
        assert world.channel.templates() == ["abandoned_cart", "abandoned_cart_offer"]

    @pytest.mark.parametrize("after_us", [0, HOUR_US, 3 * HOUR_US, 27 * HOUR_US])
    async def test_a_purchase_ends_it_at_once_at_any_step(self, world: World, after_us: int) -> None:
        await world.save("cart", abandoned_cart())
        await start_cart(world)
        await world.advance(after_us)
        sent = len(world.channel.calls)
        await buy(world)
        run = await world.run()
        assert (run.end_reason, run.due_at_us) == ("exit_when", 0)
        await world.advance(30 * DAY_US)
        assert len(world.channel.calls) == sent

    async def test_another_cart_or_person_buys(self, world: World) -> None:
        await world.save("cart", abandoned_cart())
        await start_cart(world)
        await buy(world, cart_id="c2")
        await buy(world, contact=2)
        await world.advance(2 * HOUR_US)
        assert world.channel.templates() == ["abandoned_cart"]

    async def test_a_purchase_in_the_very_entry_of_the_cart(self, world: World) -> None:
        await world.save("cart", abandoned_cart())
        await world.append((1, cart()), (1, happened("order_completed", T0, cart_id="c1")))
        assert (await world.run()).end_reason == "exit_when"

    async def test_a_purchase_that_was_seen_is_never_missed(self, world: World) -> None:
        """The engine is behind what was folded here: it is asked again, until it knows the purchase."""
        await world.save("cart", abandoned_cart())
        await start_cart(world)
        world.engine.hold = True
        await buy(world)
        await world.advance(2 * HOUR_US)
        assert world.engine.asked[-1].min_position == 3
        assert world.channel.calls == []
        world.engine.hold = False
        await until(lambda: not world.shard.runs.active)
        assert ((await world.run()).end_reason, world.channel.calls) == ("exit_when", [])

    async def test_a_changed_cart_is_what_the_mail_shows(self, world: World) -> None:
        await world.save("cart", abandoned_cart())
        await start_cart(world)
        await world.advance(HOUR_US)
        await world.append((1, cart("e2", world.clock.now_us(), items=({"product_id": "p9"},))))
        await world.advance(HOUR_US)
        (mail,) = world.channel.calls
        assert mail.items[0].fields["product_id"].text == "p9"

    async def test_a_cart_of_a_fast_clock_is_bought_by_a_right_one(self, world: World) -> None:
        await world.save("cart", abandoned_cart())
        await world.append((1, cart("e1", T0 + 10 * MINUTE_US)))
        await world.advance(5 * MINUTE_US)
        await buy(world)
        await world.advance(2 * HOUR_US)
        assert ((await world.run()).end_reason, world.channel.calls) == ("exit_when", [])

    async def test_a_cart_of_a_fast_clock_is_emptied_by_a_right_one(self, world: World) -> None:
        await world.save("cart", abandoned_cart())
        await world.append((1, cart("e1", T0 + 10 * MINUTE_US)))
        await world.advance(MINUTE_US)
        await world.append((1, cart("e2", T0 + 11 * MINUTE_US)))
        await world.advance(MINUTE_US)
        await world.append((1, cart("e3", world.clock.now_us(), items=())))
        assert (await world.run()).end_reason == "emptied"

    async def test_an_emptied_cart_ends_it(self, world: World) -> None:
        await world.save("cart", abandoned_cart())
        await start_cart(world)
        await world.advance(HOUR_US)
        await world.append((1, cart("e2", world.clock.now_us(), items=())))
        assert (await world.run()).end_reason == "emptied"

    async def test_visitors_have_runs_too(self, world: World) -> None:
        await world.contacts(9, known=False)
        await world.save("cart", abandoned_cart())
        await start_cart(world, contact=9)
        await buy(world, contact=9)
        assert (await world.run()).end_reason == "exit_when"


class TestStarts:
    async def test_history_machines_and_old_events_start_nothing(self, world: World) -> None:
        await world.save("cart", abandoned_cart())
        old = cart("e3", T0 - HOUR_US - 1)
        await world.append((1, cart("e1", flags=IMPORTED)), (2, cart("e2", flags=MACHINE)), (3, old), (4, cart("e4")))
        assert [run.contact for run in await world.runs()] == [4]

    async def test_nothing_recorded_before_it_was_saved(self, world: World) -> None:
        await world.append((1, cart()), seen=False)
        world.clock.advance(SECOND_US)
        await world.save("cart", abandoned_cart())
        await world.append((2, cart("e2", world.clock.now_us())))
        assert [run.contact for run in await world.runs()] == [2]

    async def test_one_at_a_time_for_each_cart(self, world: World) -> None:
        await world.save("cart", abandoned_cart())
        await start_cart(world)
        await start_cart(world, event_id="e2")
        await start_cart(world, cart_id="c2", event_id="e3")
        assert sorted(run.key for run in await world.runs()) == ['[["cart_id","text:c1"]]', '[["cart_id","text:c2"]]']
        await buy(world)
        world.clock.advance(1)
        await start_cart(world, event_id="e4")
        assert len(world.shard.runs.active) == 2

    async def test_once_and_always(self, world: World) -> None:
        await world.save("once", replace(MAIL, reentry=Reentry.ONCE))
        await world.save("always", replace(MAIL, reentry=Reentry.ALWAYS))
        for number in range(3):
            await world.append((1, happened("signed_up", T0, f"s{number}")))
            await world.restart()
        assert sorted(run.scenario for run in await world.runs()) == ["always"] * 3 + ["once"]

    async def test_a_missing_value_is_seen_once(self, world: World) -> None:
        await world.save("cart", abandoned_cart())
        for number in range(3):
            await world.append((1, cart(f"e{number}", params={})))
        assert (await world.run()).end_reason == "missing_value:cart_id"

    async def test_memberships(self, world: World) -> None:
        world.engine.segments["VIP"] = "everyone"
        trigger = SegmentTrigger("VIP")
        await world.save("vip", replace(MAIL, trigger=trigger))

        def entered(contact: int, cause: segment_pb2.Cause.ValueType, at_us: int) -> segment_pb2.Membership:
            return segment_pb2.Membership(
                contact=contact,
                segment="VIP",
                change=segment_pb2.CHANGE_ENTERED,
                effective_at_us=at_us,
                recorded_at_us=T0,
                cause=cause,
            )

        records = [
            entered(1, segment_pb2.CAUSE_EVENT, T0),
            entered(2, segment_pb2.CAUSE_EDIT, T0),
            entered(3, segment_pb2.CAUSE_IMPORT, T0),
            entered(4, segment_pb2.CAUSE_EVENT, T0 - 2 * HOUR_US),
            entered(5, segment_pb2.CAUSE_TIME, T0),
            entered(2, segment_pb2.CAUSE_MERGE, T0),
        ]
        world.engine.memberships.append(segment_pb2.WatchResponse(memberships=records, profile_position=1))
        await until(lambda: len(world.channel.taken) == 2)
        await world.restart()
        late = entered(3, segment_pb2.CAUSE_CATALOGUE, T0)
        world.engine.memberships.append(segment_pb2.WatchResponse(memberships=[late], profile_position=1))
        await until(lambda: len(world.channel.taken) == 3)
        assert [message.contact for message in world.channel.taken.values()] == [1, 5, 3]
        assert len(await world.runs()) == 3

    async def test_category_promotion(self, world: World) -> None:
        world.engine.segments["Interested"] = (
            "did product_viewed (section = :section) in last 30 days "
            "and not did order_completed (any item (section = :section)) in last 30 days"
        )
        await world.save("promotion", category_promotion("Interested"))
        await world.append(
            (1, happened("product_viewed", T0, section="tea")),
            (2, happened("product_viewed", T0, section="toys")),
            (3, happened("product_viewed", T0, section="tea")),
            (3, Event("o", "order_completed", T0, T0, (), {}, ({"section": "tea"},))),
        )
        clicks = [(one, happened("promotion_clicked", T0, f"click-{one}", section="tea")) for one in (1, 2, 3)]
        await world.append(*clicks, (2, happened("promotion_clicked", T0, "click-toys", section="toys")))
        await world.advance(HOUR_US)
        sent = {(message.contact, message.values["section"].text) for message in world.channel.taken.values()}
        assert sent == {(1, "tea"), (2, "toys")}


class TestPeople:
    async def test_a_merge_moves_runs(self, world: World) -> None:
        await world.save("cart", abandoned_cart())
        await start_cart(world, contact=2)
        await world.append(facts=[Merge(1, 2, 0)])
        await world.restart()
        assert [run.contact for run in await world.runs(1)] == [1]
        await world.advance(2 * HOUR_US)
        assert [message.contact for message in world.channel.calls] == [1]
        await buy(world)
        assert (await world.run()).end_reason == "exit_when"
        await world.append(facts=[Merge(3, 1, 0)])
        assert [run.contact for run in await world.runs(3)] == [3], "ended runs move, too"

    async def test_a_merge_with_one_who_bought_ends_the_run(self, world: World) -> None:
        await world.save("cart", abandoned_cart())
        await start_cart(world, contact=2)
        await buy(world, contact=1)
        await world.append(facts=[Merge(1, 2, 0)])
        assert (await world.run()).end_reason == "exit_when"

    async def test_of_two_runs_about_the_same_the_earlier_goes_on(self, world: World) -> None:
        await world.save("cart", abandoned_cart())
        await start_cart(world, contact=2, event_id="early")
        await world.advance(MINUTE_US)
        await start_cart(world, contact=1, event_id="late")
        await world.append(facts=[Merge(1, 2, 0)])
        assert {run.trigger_id: run.end_reason for run in await world.runs(1)} == {"early": "", "late": "merged"}

    async def test_events_after_a_merge_in_one_entry(self, world: World) -> None:
        await world.save("cart", abandoned_cart())
        merge = Merge(1, 2, 1)
        await world.append((2, cart()), (1, happened("order_completed", T0, cart_id="c1")), facts=[merge])
        run = await world.run()
        assert (run.contact, run.end_reason) == (1, "exit_when")

    @pytest.mark.parametrize("restarted", [False, True])
    async def test_a_membership_that_comes_after_the_merge_is_the_survivors(
        self, world: World, restarted: bool
    ) -> None:
        await world.save("vip", WAITS_IN_SEGMENT)
        await world.append(facts=[Merge(2, 5, 0)])
        await world.append(facts=[Merge(1, 2, 0)])
        if restarted:
            await world.restart()
        world.engine.memberships.append(entered_vip(5, profile_position=1))
        await until(lambda: len(world.shard.runs.active) == 1)
        assert [run.contact for run in await world.runs()] == [1]
        await world.advance(MINUTE_US)
        await buy(world, contact=1)
        await world.advance(2 * HOUR_US)
        assert ((await world.run()).end_reason, world.channel.calls) == ("exit_when", [])

    async def test_a_membership_that_comes_after_the_erasure_starts_nothing(self, world: World) -> None:
        await world.save("vip", WAITS_IN_SEGMENT)
        await world.append(facts=[Merge(1, 5, 0)])
        await world.append(facts=[Erasure(1, 0)])
        await world.restart()
        world.engine.memberships += [entered_vip(5, profile_position=1), entered_vip(3, profile_position=1)]
        await until(lambda: len(world.shard.runs.active) == 1)
        assert [run.contact for run in await world.runs()] == [3]

    async def test_erased_people_leave_no_run(self, world: World) -> None:
        await world.save("cart", abandoned_cart())
        await start_cart(world)
        await buy(world)
        await start_cart(world, cart_id="c2", event_id="e2")
        await world.append(facts=[Erasure(1, 0)])
        assert await world.runs() == []
        for table in ("runs", "ended", "ended_index"):
            assert [key async for key, _ in world.log.scan(world.partition, table)] == []
        await world.advance(30 * DAY_US)
        assert world.channel.calls == []


class TestDefinitions:
    async def test_a_run_keeps_its_version(self, world: World) -> None:
        await world.save("mail", replace(MAIL, blocks=(Block("w", Wait(HOUR_US)), *MAIL.blocks)))
        await world.append((1, happened("signed_up", T0)))
        await world.save("mail", replace(MAIL, blocks=(Block("x", Send("email", "other")),)))
        await world.append((2, happened("signed_up", T0, "second")))
        await world.advance(HOUR_US)
        assert [(m.contact, m.template) for m in world.channel.taken.values()] == [(2, "other"), (1, "hello")]

    async def test_paused_runs_stand_still_and_go_on(self, world: World) -> None:
        waiting = replace(MAIL, blocks=(Block("w", Wait(HOUR_US)), *MAIL.blocks))
        await world.save("mail", waiting)
        await world.append((1, happened("signed_up", T0)))
        await world.save("mail", replace(waiting, paused=True))
        await world.advance(DAY_US)
        await world.append((2, happened("signed_up", world.clock.now_us(), "second")))
        assert (world.channel.calls, len(await world.runs())) == ([], 1)
        await world.restart()
        await world.idle()
        assert world.channel.calls == []
        await world.save("mail", waiting)
        await until(lambda: len(world.channel.taken) == 1)

    async def test_deleted_runs_end(self, world: World) -> None:
        await world.save("cart", abandoned_cart())
        await start_cart(world)
        await world.shard.delete("cart", "", "tester")
        await world.advance(2 * HOUR_US)
        assert ((await world.run()).end_reason, world.channel.calls) == ("scenario_deleted", [])
        await world.save("cart", abandoned_cart())
        assert world.shard.catalogue.definitions.get("cart").revision.version == 3

    @pytest.mark.parametrize(
        ("change", "path", "words"),
        [
            ({"exit_when": "did order_complete"}, "exit_when", "order_completed"),
            ({"exit_when": "did order_completed (\ncart_idd = :x)"}, "exit_when", "line 2, column 1"),
            ({"trigger": EventTrigger("signed_upp")}, "trigger.event.type", "signed_up"),
            ({"trigger": EventTrigger("cart_updated", 'totl > "x"')}, "trigger.event.filter", "line 1, column 1"),
            ({"blocks": (Block("c", Condition('in segment "none"')),)}, "blocks[0].condition.text", "none"),
        ],
    )
    async def test_names_are_checked_by_the_engine(
        self, world: World, change: dict[str, object], path: str, words: str
    ) -> None:
        with pytest.raises(CdpError) as caught:
            await world.save("mail", replace(MAIL, **change))  # type: ignore[arg-type]
        (violation,) = caught.value.violations
        assert (caught.value.code, violation.path) == (Code.INVALID, path)
        assert words in violation.description


class TestTrouble:
    async def test_an_engine_that_is_away_only_delays(self, world: World) -> None:
        await world.save("cart", abandoned_cart())
        await start_cart(world)
        world.engine.away = True
        await world.advance(2 * HOUR_US)
        assert world.channel.calls == []
        world.engine.away = False
        await until(lambda: len(world.channel.taken) == 1)

    async def test_a_channel_that_is_away_only_delays(self, world: World) -> None:
        await world.save("mail", MAIL)
        world.channel.away = True
        await world.append((1, happened("signed_up", T0)))
        await until(lambda: len(world.channel.calls) >= 2)
        world.channel.away = False
        await until(lambda: not world.shard.runs.active)
        assert len({message.id for message in world.channel.calls}) == 1
        assert outcomes(await world.run()) == ["sent"]

    async def test_a_refused_message_is_written_down(self, world: World) -> None:
        world.channel.refusal = "NO_SUCH_TEMPLATE"
        await world.save("mail", MAIL)
        await world.append((1, happened("signed_up", T0)))
        assert outcomes(await world.run()) == ["refused:NO_SUCH_TEMPLATE"]

    async def test_a_question_that_has_no_answer_ends_the_run(self, world: World) -> None:
        world.engine.segments["S"] = "everyone"
        asks = (Block("w", Wait(HOUR_US)), Block("c", Condition('in segment "S"')), Block("m", Send("email", "t")))
        await world.save("mail", replace(MAIL, blocks=asks))
        await world.append((1, happened("signed_up", T0)))
        del world.engine.segments["S"]
        await world.advance(HOUR_US)
        assert (await world.run()).end_reason.startswith("failed:RULE_")
        assert world.channel.calls == []

    async def test_a_poison_entry_is_set_aside(self, world: World) -> None:
        await world.save("mail", MAIL)
        bad = b"\x12\x04\x08\x01\x20\x00"  # a contact fact of no kind
        await world.log.append(world.profiles.partition, [bad], T0)
        await world.append((1, happened("signed_up", T0)))
        assert world.channel.templates() == ["hello"]
        letters = [key async for key, _ in world.log.scan(world.partition, "dead_letters")]
        assert letters == [b"profile_unification/2"]


@pytest.mark.slow
async def test_a_month_of_timers_with_restarts(world: World) -> None:
    """Every timer fires once, never early, in order; restarts in the middle lose and double none."""
    seed = 7
    print(f"seed {seed}")
    random = Random(seed)
    waits = [random.randrange(1, 30 * DAY_US) for _ in range(40)]
    for number, wait_us in enumerate(waits):
        blocks = (Block("w", Wait(wait_us)), Block("m", Send("email", f"t{number}")))
        await world.save(f"s{number}", Definition(EventTrigger("signed_up"), blocks))
    people = range(1, 26)
    await world.contacts(*people)
    await world.append(*((one, happened("signed_up", T0, f"s-{one}")) for one in people))
    assert len(world.shard.runs.active) == 1_000
    while world.clock.now_us() < T0 + 30 * DAY_US:
        await world.advance(random.randrange(2 * DAY_US))
        if random.random() < 0.3:
            await world.restart()
        elapsed_us = world.clock.now_us() - T0
        assert len(world.channel.taken) == 25 * sum(wait_us <= elapsed_us for wait_us in waits)
    assert len(world.channel.calls) == 1_000
    runs = await world.runs()
    assert all(run.steps[0].at_us >= T0 + waits[int(run.scenario[1:])] for run in runs)


async def test_a_contact_that_appears_later_is_asked_about(world: World) -> None:
    await world.save("cart", abandoned_cart())
    state = ContactState(40, "key-40", True, 1, T0, 0)
    await world.append((40, cart(items=LINES)), facts=[state])
    await world.advance(2 * HOUR_US)
    assert [message.contact for message in world.channel.calls] == [40]


async def test_exit_blocks_end_runs(world: World) -> None:
    await world.save("mail", replace(MAIL, blocks=(Block("x", Exit("nothing to do")),)))
    await world.append((1, happened("signed_up", T0)))
    assert (await world.run()).end_reason == "nothing to do"
