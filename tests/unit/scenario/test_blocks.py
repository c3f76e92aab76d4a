"""Each block of the machine: the happy way, every fallback, refused answers, and a restart in the middle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date

import pytest

from core.clock import DAY_US, HOUR_US
from core.events.columns import IMPORTED, MACHINE
from core.scenario.arrive import MAX_CHAIN
from core.scenario.commands import AskCondition, AskContact, ChangeContact, SendMessage, StartRun, TakeCoupon, TakeTurn
from core.scenario.definition import (
    Action,
    Block,
    Branch,
    CallWebhook,
    ChangeLists,
    Condition,
    Control,
    DateAttribute,
    Definition,
    EventTrigger,
    Exit,
    IssueCoupon,
    LocalTime,
    Send,
    SendGroup,
    SetAttribute,
    Split,
    StartScenario,
    Wait,
    WaitFor,
)
from core.scenario.draw import CONTROL_SALT, bucket_of
from core.scenario.inputs import Answered, ContactTold, Done, Event, Started, Stopped, TimerDue, TurnTaken
from core.scenario.machine import Question, needed, replanned, step, wants
from core.scenario.run import State
from core.schema import DecimalUnits, Instant, Scalar
from services.scenario.codec import decode_run, encode_run
from tests.unit.scenario.plays import LINES, T0, Play, cart, outcomes

CART = EventTrigger("cart_updated")
END = Block("end", Exit("done"))
NO = Block("no", Exit("no"))


def play(
    *actions: Action, exit_when: str = "", values: Mapping[str, Scalar] | None = None, sends_per_minute: int = 0
) -> Play:
    """A run of these blocks, "b0" and so on, with "end" and "no" behind them where something leads there."""
    blocks = [Block(f"b{index}", action) for index, action in enumerate(actions)]
    wanted = "no" in str(actions)
    definition = Definition(
        CART,
        (*blocks, END, *((NO,) if wanted else ())),
        exit_when,
        values=values or {},
        sends_per_minute=sends_per_minute,
        category="news",
    )
    return Play.of(definition, cart(params={"cart_id": "c1", "total": DecimalUnits(125_000)}))


def restarted(one: Play) -> None:
    """The process ended and came back: what is stored needs the same as before."""
    again = decode_run(encode_run(one.run))
    assert again == one.run
    # The exit condition is asked anew after a restart, which changes nothing else.
    if one.plan.exit_text is None:
        assert needed(one.plan, again) == one.command
    one.run = again


#: What is done in turn, and what the run needs in the end; "" after each step: a restart.
Story = tuple[Play, tuple[Callable[[Play], object], ...], list[str], list[str]]


def told(**attributes: Scalar) -> Callable[[Play], object]:
    return lambda one: one.told_who(**attributes)  # type: ignore[arg-type]


def event(type_: str, **params: Scalar) -> Callable[[Play], object]:
    return lambda one: one.happens(type_, params=params)


def due(one: Play) -> object:
    return one.due()


def sent(one: Play) -> object:
    return one.sent()


def refused(one: Play) -> object:
    return one.sent("NO_CONSENT")


def yes(one: Play) -> object:
    return one.answer(True, 9)


def no(one: Play) -> object:
    return one.answer(False, 9)


def webhook(type_: str, **params: Scalar) -> Callable[[Play], object]:
    return lambda one: one.happens(type_, params={"message_id": one.run.message_id, **params})


def done(result: str = "", refusal: str = "", position: int = 0) -> Callable[[Play], object]:
    return lambda one: one.done(refusal, result, position)


def asked(one: Play) -> AskCondition:
    assert isinstance(one.command, AskCondition)
    return one.command


def message_of(one: Play) -> SendMessage:
    assert isinstance(one.command, SendMessage)
    return one.command


CLICK = EventTrigger("message_clicked", 'run_id = :run_id and link != "unsubscribe"')
HALVES = Split((Branch(5_000, "end", "a"), Branch(5_000, "no")))
MET = WaitFor(DAY_US, EventTrigger("order_completed", "cart_id = :cart_id"), "", "order", "end", "no")
ASKED = WaitFor(DAY_US, None, "did order_completed from :trigger_at", "", "end", "no")
NEXT_NINE = Wait(0, until=LocalTime(540))
BIRTHDAY = Wait(0, "end", DateAttribute("birth_date", 0, 540, True, "no"))
BUCKET = bucket_of("w1", "scenario/b0", "key-7")
GLOBAL = bucket_of("w1", CONTROL_SALT, "key-7")

STORIES: dict[str, Story] = {
    "until a local time": (play(NEXT_NINE), (told(), due), ["who?", "wait 0 h", "end done"], ["waited", "exit:done"]),
    "until a date": (play(BIRTHDAY), (told(birth_date=date(1990, 5, 1)), due), [], ["waited", "exit:done"]),
    "until a date that is not there": (play(BIRTHDAY), (told(),), ["who?", "end no"], ["no_date", "exit:no"]),
    "until a date that is a text": (play(BIRTHDAY), (told(birth_date="soon"),), [], ["no_date", "exit:no"]),
    "for an event": (
        play(MET), (event("order_completed", cart_id="c1"),), ["wait 24 h", "end done"], ["met", "exit:done"],
    ),
    "for an event that does not come": (
        play(MET), (event("order_completed", cart_id="c2"), event("order_created", cart_id="c1"), due),
        ["wait 24 h", "wait 24 h", "wait 24 h", "end no"], ["timeout", "exit:no"],
    ),
    "for a condition that holds": (play(ASKED), (yes,), ["condition?", "end done"], ["met", "exit:done"]),
    "for a condition that comes true": (
        play(ASKED), (no, event("order_completed"), yes), ["condition?", "wait 24 h", "condition?", "end done"],
        ["met", "exit:done"],
    ),
    "for a condition that never does": (
        play(ASKED), (no, event("order_completed"), no, event("cart_viewed"), due, no),
        ["condition?", "wait 24 h", "condition?", "wait 24 h", "wait 24 h", "condition?", "end no"],
        ["timeout", "exit:no"],
    ),
    "for a condition that is true at the end": (play(ASKED), (no, due, yes), [], ["met", "exit:done"]),
    "a split": (
        play(HALVES), (told(),), ["who?", "end done" if BUCKET < 5_000 else "end no"],
        ["branch:a" if BUCKET < 5_000 else "branch:2", "exit:done" if BUCKET < 5_000 else "exit:no"],
    ),
    "in the control group": (play(Control(BUCKET + 1)), (told(),), ["who?", "end control"], ["control"]),
    "outside of it": (play(Control(max(BUCKET, 1), next="end")), (told(),), [], ["not_control", "exit:done"]),
    "in the control group, which goes on": (
        play(Control(BUCKET + 1, when_in="no", next="end")), (told(),), [], ["control", "exit:no"],
    ),
    "in the workspace's": (play(Control(GLOBAL + 1, True)), (told(),), ["who?", "end control"], ["control"]),
    "outside of the workspace's": (play(Control(GLOBAL, True)), (told(),), [], ["not_control", "exit:done"]),
    "an attribute": (play(SetAttribute("vip", True)), (done(),), ["set vip", "end done"], ["set", "exit:done"]),
    "an attribute that is refused": (
        play(SetAttribute("vip", True)), (done("", "BAD_VALUE"),), [], ["refused:BAD_VALUE", "exit:done"],
    ),
    "an attribute of a value that is not there": (
        play(SetAttribute("size", from_value="shoe")), (), ["end done"], ["refused:missing_value:shoe", "exit:done"],
    ),
    "lists": (
        play(ChangeLists(("a",), ("b",))), (done(),), ["lists", "end done"], ["lists_changed", "exit:done"],
    ),
    "a coupon": (
        play(IssueCoupon("spring", "code", when_empty="no", next="end")), (done("X7"),), ["coupon spring", "end done"],
        ["issued", "exit:done"],
    ),
    "no coupon": (
        play(IssueCoupon("spring", when_empty="no", next="end")), (done("", "POOL_EMPTY"),), [],
        ["refused:POOL_EMPTY", "exit:no"],
    ),
    "no coupon, and no other way": (
        play(IssueCoupon("spring")), (done("", "POOL_EMPTY"),), [], ["refused:POOL_EMPTY", "exit:done"],
    ),
    "a webhook": (
        play(CallWebhook("ask", when_failed="no", next="end")), (sent, webhook("webhook_answered", answer_score=7)),
        ["send webhook ask", "wait 1 h", "end done"], ["answered", "exit:done"],
    ),
    "a webhook that answers before the channel does": (
        play(CallWebhook("ask")), (webhook("webhook_answered"), lambda one: one.meet(Started())),
        ["send webhook ask", "end done", "end done"], ["answered", "exit:done"],
    ),
    "a webhook that fails": (
        play(CallWebhook("ask", when_failed="no", next="end")), (sent, webhook("webhook_failed", reason="404")),
        [], ["failed:404", "exit:no"],
    ),
    "a webhook that never answers": (
        play(CallWebhook("ask", when_failed="no", next="end")),
        (sent, lambda one: one.happens("webhook_answered", params={"message_id": "another"}), due),
        ["send webhook ask", "wait 1 h", "wait 1 h", "end no"], ["timeout", "exit:no"],
    ),
    "a webhook that is refused": (
        play(CallWebhook("ask", when_failed="no", next="end")), (refused,), [], ["refused:NO_CONSENT", "exit:no"],
    ),
    "another scenario": (
        play(StartScenario("welcome")), (done("r2"),), ["start welcome", "end done"], ["started:r2", "exit:done"],
    ),
    "another scenario that does not start": (
        play(StartScenario("welcome")), (done("", "reentry"),), [], ["refused:reentry", "exit:done"],
    ),
    "a group": (
        play(SendGroup((Send("email", "t"), Send("sms", "u")))), (sent,), ["send email t", "end done"],
        ["sent", "exit:done"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
@pytest.mark.parametrize("restart", [False, True], ids=["", "restarted"])
def test_story(story: Story, restart: bool) -> None:
    first, inputs, commands, steps = story
    one = replace(first, told=list(first.told))
    for happened in inputs:
        if restart:
            restarted(one)
        happened(one)
    assert outcomes(one.run) == steps
    if commands and "wait 0 h" not in commands:
        assert one.told == commands


def test_a_wait_keeps_its_wall_time() -> None:
    one = play(NEXT_NINE)
    one.told_who(zone="Europe/Berlin")
    # T0 is 08:00 UTC, 09:00 in Berlin: it waits for that of the next day.
    assert (one.run.due_local, one.run.due_at_us) == ("2027-01-16T09:00:00 Europe/Berlin", T0 + DAY_US)
    moved = replace(one.run, due_at_us=1)
    assert replanned(moved).due_at_us == one.run.due_at_us, "the rules that are known now decide"


def test_the_workspaces_zone() -> None:
    one = play(Wait(0, until=LocalTime(540, workspace_zone=True)))
    one.told_who(zone="Europe/Berlin")
    assert one.run.due_local.endswith("America/New_York")


def test_a_date_is_asked_for_with_what_the_run_changed() -> None:
    one = play(SetAttribute("birth_date", date(1990, 5, 1)), replace(BIRTHDAY, until=DateAttribute("birth_date")))
    one.done(position=77)
    assert one.command == AskContact(7, ("birth_date",), 77)


def test_an_event_brings_its_values() -> None:
    one = play(replace(MET, when_met="b1"), Send("email", "thanks", content="order :order_id of :order_cart_id"))
    one.happens("order_completed", params={"cart_id": "c1", "id": "o9", "total": DecimalUnits(5)})
    assert {name: value for name, value in one.run.values.items() if name.startswith("order_")} == {
        "order_cart_id": "c1", "order_id": "o9", "order_total": DecimalUnits(5),
    }  # fmt: skip
    assert isinstance(one.command, SendMessage)
    assert one.command.content == "order o9 of c1"


@pytest.mark.parametrize(
    ("flags", "age_us"), [(MACHINE, 0), (IMPORTED, 0), (0, 1)], ids=["machine", "imported", "before the run"]
)
def test_events_that_are_not_waited_for(flags: int, age_us: int) -> None:
    one = play(MET)
    one.happens("order_completed", flags=flags, at_us=T0 - age_us, params={"cart_id": "c1"})
    assert outcomes(one.run) == []


def test_an_event_that_comes_while_the_run_is_on_its_way_counts() -> None:
    """The person clicks before the scenario service knows that the message was taken over."""
    one = play(Send("email", "t"), WaitFor(DAY_US, CLICK, "", "click", "end", "no"), exit_when="did left")
    one.answer(False)
    assert wants(one.plan, one.run, "message_clicked")
    one.happens("message_clicked", params={"run_id": one.run.run_id, "link": "unsubscribe"})
    one.happens("message_clicked", params={"run_id": "another", "link": "https://x"})
    assert one.run.early == ()
    one.happens("message_clicked", params={"run_id": one.run.run_id, "link": "https://x"})
    one.happens("message_clicked", params={"run_id": one.run.run_id, "link": "https://y"})
    restarted(one)
    one.sent()
    one.answer(False)
    assert outcomes(one.run) == ["sent", "met"]
    assert one.run.values["click_link"] == "https://x"
    assert one.run.early == ()


def test_an_event_from_before_another_wait_does_not_count() -> None:
    one = play(Send("email", "t"), Wait(HOUR_US), WaitFor(DAY_US, CLICK, "", "", "end", "no"))
    one.happens("message_clicked", params={"run_id": one.run.run_id, "link": "https://x"})
    one.sent()
    one.due()
    assert one.told[-1] == "wait 24 h"
    assert not wants(one.plan, replace(one.run, block="b1"), "message_clicked")


def test_a_condition_that_is_asked_while_an_event_comes() -> None:
    one = play(ASKED)
    one.happens("order_completed", position=41)
    one.answer(False, 40)
    assert one.told[-1] == "condition?", "the answer does not know the event"
    assert asked(one).min_position == 41
    one.answer(False, 41)
    assert one.told[-1] == "wait 24 h"
    one.meet(Event(50))
    assert one.told[-1] == "condition?", "after a merge the facts are others"


def test_the_exit_ends_a_wait_for_an_event() -> None:
    one = play(MET, exit_when="did unsubscribed")
    one.answer(False)
    one.happens("unsubscribed", position=5)
    one.answer(True, 5)
    assert (one.run.end_reason, one.run.early) == ("exit_when", ())


def test_an_exit_that_names_what_a_block_brings() -> None:
    """It is not asked before the coupon is there, and with its code from then on."""
    one = play(IssueCoupon("spring", "code"), Wait(DAY_US), exit_when="did coupon_redeemed (code = :code)")
    assert one.told == ["coupon spring"]
    one.done(result="X7")
    assert asked(one).parameters == {"code": "X7"}


def test_a_condition_whose_value_nobody_brought() -> None:
    one = play(
        CallWebhook("ask", "reply", when_failed="b1", next="b1"),
        Condition("age > :reply_age", when_true="end", when_false="end"),
    )
    one.sent("NO_TEMPLATE")
    assert one.run.end_reason == "missing_value:reply_age"


def test_what_a_message_carries() -> None:
    one = play(Send("email", "t", "promo", content="cart :cart_id for :total", expires_after_us=HOUR_US))
    message = one.command
    assert isinstance(message, SendMessage)
    assert (message.content, message.category, message.kind) == ("cart c1 for 12.5", "news", "promo")
    assert message.expires_at_us == T0 + HOUR_US
    one.meet(Started(), T0 + 5 * HOUR_US)
    assert one.command == message, "after a restart it is the same message, and no later one"
    assert set(message.values) == {"cart_id", "total", "run_id", "trigger_at", "trigger_id"}


def test_a_content_with_a_gap_is_none() -> None:
    one = play(Send("email", "t", content="cart :cart_id of :shop"))
    assert isinstance(one.command, SendMessage)
    assert one.command.content == ""


def test_what_a_group_carries() -> None:
    options = (Send("email", "t", "promo", content="a"), Send("sms", "u"), Send("messenger", "v"))
    one = play(SendGroup(options, True, HOUR_US))
    message = one.command
    assert isinstance(message, SendMessage)
    assert (message.channel, message.template, message.kind, message.content) == ("email", "t", "promo", "a")
    assert message.alternatives == (("sms", "u"), ("messenger", "v"))
    assert (message.by_preference, message.patience_us) == (True, HOUR_US)


def test_what_a_webhook_carries() -> None:
    one = play(CallWebhook("ask", timeout_us=HOUR_US))
    assert isinstance(one.command, SendMessage)
    assert (one.command.channel, one.command.kind) == ("webhook", "transactional")
    assert one.command.expires_at_us == T0 + HOUR_US
    one.sent()
    one.happens(
        "webhook_answered",
        params={"message_id": one.run.message_id, "status": 200, "answer_score": 7, "answer_name": "x" * 900},
    )
    assert (one.run.values["answer_score"], len(str(one.run.values["answer_name"]))) == (7, 500)
    assert "answer_status" not in one.run.values, "only what the answer itself says"


def test_what_is_changed() -> None:
    one = play(
        SetAttribute("size", from_value="total"), SetAttribute("old"), ChangeLists(("a", "b"), ("c",)),
    )  # fmt: skip
    first = one.command
    assert isinstance(first, ChangeContact)
    assert (first.name, first.value, first.at_us) == ("size", DecimalUnits(125_000), T0)
    one.now_us += HOUR_US
    one.done()
    second = one.command
    assert isinstance(second, ChangeContact)
    assert (second.name, second.value, second.at_us) == ("old", None, T0 + HOUR_US)
    one.done()
    third = one.command
    assert isinstance(third, ChangeContact)
    assert (third.name, third.joined, third.left) == ("", ("a", "b"), ("c",))
    assert len({first.message_id, second.message_id, third.message_id}) == 3


def test_questions_include_what_the_run_changed() -> None:
    one = play(SetAttribute("vip", True), Condition("vip = true", when_true="end", when_false="end"))
    first = one.command
    assert isinstance(first, ChangeContact)
    one.meet(Done(first.message_id, upstream_position=9, position=33))
    assert (asked(one).min_position, one.run.upstream_position) == (33, 9)


def test_a_coupon_is_the_runs_value() -> None:
    one = play(IssueCoupon("spring", "code"), Send("email", "t"))
    first = one.command
    assert isinstance(first, TakeCoupon)
    one.meet(Started())
    assert one.command == first, "asked again it is the same coupon"
    one.done(result="X7")
    assert message_of(one).values["code"] == "X7"


def test_what_another_scenario_gets() -> None:
    one = play(IssueCoupon("spring", "code"), StartScenario("welcome"), StartScenario("thanks", ("code", "shop")))
    one.done(result="X7")
    first = one.command
    assert isinstance(first, StartRun)
    assert first.values == {"cart_id": "c1", "total": DecimalUnits(125_000)}, "those of the trigger"
    assert first.items == LINES
    one.done()
    second = one.command
    assert isinstance(second, StartRun)
    assert second.values == {"code": "X7"}, "those named, as far as there are"
    assert second.trigger_id == f"chain:1:{second.message_id}"


def test_scenarios_that_start_each_other_come_to_an_end() -> None:
    one = play(StartScenario("welcome"))
    link = replace(one.run, state=State.RUNNING, message_id="", trigger_id=f"chain:{MAX_CHAIN}:{'a' * 32}")
    run, _ = step(one.plan, link, Started(), T0)
    assert outcomes(run) == ["refused:chain_too_long", "exit:done"]


def test_a_turn_is_taken_before_each_message() -> None:
    one = play(Send("email", "t"), Send("email", "u"), exit_when="did left", sends_per_minute=60)
    one.answer(False)
    assert one.command == TakeTurn(60)
    one.meet(TurnTaken(T0 + HOUR_US))
    assert one.told[-1] == "wait 1 h"
    restarted(one)
    one.due()
    assert one.told[-1] == "exit?", "it is asked again when its turn has come"
    one.answer(False)
    assert one.told[-1] == "send email t"
    one.sent()
    one.answer(False)
    assert one.command == TakeTurn(60)
    one.meet(TurnTaken(one.now_us))
    assert one.told[-1] == "send email u"
    one.meet(TurnTaken(one.now_us + 5))
    assert one.told[-1] == "send email u", "a turn that comes late changes nothing"


def test_answers_that_come_too_late_change_nothing() -> None:
    one = play(HALVES)
    one.meet(ContactTold(8, "w1", "key-8", "UTC", "UTC"))
    assert one.told[-1] == "who?", "it was told of another contact, before a merge"
    one.meet(Answered(Question.CONDITION, True, 1))
    one.meet(Done("another"))
    one.meet(TurnTaken(T0))
    assert one.told[-1] == "who?"
    with pytest.raises(ValueError, match="no timer due"):
        one.meet(TimerDue())
    one.meet(Stopped("scenario_deleted"))
    one.meet(ContactTold(7, "w1", "key-7", "UTC", "UTC"))
    assert one.run.end_reason == "scenario_deleted"


def test_own_values_win() -> None:
    one = play(Send("email", "t"), values={"shop": "s1"})
    one.run = replace(one.run, values={**one.run.values, "run_id": "forged", "shop": "forged"})
    message = needed(one.plan, one.run)
    assert isinstance(message, SendMessage)
    assert (message.values["run_id"], message.values["shop"]) == (one.run.run_id, "s1")
    assert message.values["trigger_at"] == Instant(T0)
