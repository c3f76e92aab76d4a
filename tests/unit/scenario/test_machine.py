"""The machine, as tables: what happens, what a run needs next."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.clock import DAY_US, HOUR_US
from core.scenario import machine
from core.scenario.arrive import values_in
from core.scenario.definition import Block, Condition, Definition, EventTrigger, Exit, Send, Wait
from core.scenario.machine import Answered, Event, Question, Refreshed, Sent, Started, Stopped, TimerDue
from core.scenario.run import RUN_ID, TRIGGER_AT, TRIGGER_ID, State, run_id_of
from core.schema import Instant
from tests.carts import abandoned_cart, category_promotion
from tests.unit.scenario.plays import LINES, T0, Play, cart, outcomes

CART = "cart_updated"
#: How a run of the abandoned cart begins: not bought, so it waits.
BEGIN = ["exit?", "wait 2 h"]
#: The email goes out at +2 h.
EMAIL = ["exit?", "send email abandoned_cart", "exit?", "wait 24 h"]
#: At +1 day more it is asked whether the email was opened.
OPENED = ["exit?", "condition?"]
#: At three days after the cart.
LAST = ["exit?", "wait 46 h", "exit?", "condition?"]

PUSH = ["exit?", "send webhook abandoned_cart_push"]
OFFER = ["exit?", "send webhook abandoned_cart_offer", "exit?", "end done"]
#: Answers up to the message on the second channel.
SECOND = ["no", "due", "no", "sent", "no", "due", "no", "no", "no"]

N3 = {
    "opened, not bought: the offer after three days": (
        ["no", "due", "no", "sent", "no", "due", "no", "yes", "no", "due", "no", "no", "no", "sent", "no"],
        [*BEGIN, *EMAIL, *OPENED, *LAST, *OFFER],
        ["waited", "sent", "waited", "true", "waited", "false", "sent", "exit:done"],
    ),
    "not opened: the second channel, then the offer": (
        [*SECOND, "sent", "no", "due", "no", "no", "no", "sent", "no"],
        [*BEGIN, *EMAIL, *OPENED, *PUSH, *LAST, *OFFER],
        ["waited", "sent", "waited", "false", "sent", "waited", "false", "sent", "exit:done"],
    ),
    "bought before the run began": (["yes"], ["exit?", "end exit_when"], ["exit:exit_when"]),
    "bought while it waits for two hours": (
        ["no", "event", "yes"],
        [*BEGIN, "exit?", "end exit_when"],
        ["exit:exit_when"],
    ),
    "another cart is bought while it waits": (["no", "event", "no"], [*BEGIN, "exit?", "wait 2 h"], []),
    "bought, seen only when the wait is over": (
        ["no", "due", "yes"],
        [*BEGIN, "exit?", "end exit_when"],
        ["waited", "exit:exit_when"],
    ),
    "bought while the email is handed over": (
        ["no", "due", "no", "event", "sent", "yes"],
        [*BEGIN, "exit?", "send email abandoned_cart", "send email abandoned_cart", "exit?", "end exit_when"],
        ["waited", "sent", "exit:exit_when"],
    ),
    "bought after the email": (
        ["no", "due", "no", "sent", "no", "event", "yes"],
        [*BEGIN, *EMAIL, "exit?", "end exit_when"],
        ["waited", "sent", "exit:exit_when"],
    ),
    "bought after the second channel": (
        [*SECOND, "sent", "no", "due", "yes"],
        [*BEGIN, *EMAIL, *OPENED, *PUSH, *LAST[:3], "end exit_when"],
        ["waited", "sent", "waited", "false", "sent", "waited", "exit:exit_when"],
    ),
    "the email is refused (no consent): the way goes on": (
        ["no", "due", "no", "refused", "no", "due", "no", "no", "no"],
        [*BEGIN, *EMAIL, *OPENED, *PUSH],
        ["waited", "refused:NO_TEMPLATE", "waited", "false"],
    ),
    "the scenario is deleted": (["no", "stopped"], [*BEGIN, "end scenario_deleted"], []),
}


@pytest.mark.parametrize(("inputs", "commands", "done"), N3.values(), ids=N3.keys())
def test_abandoned_cart(inputs: list[str], commands: list[str], done: list[str]) -> None:
    play = Play.of(abandoned_cart())
    for one in inputs:
        match one:
            case "yes" | "no":
                play.answer(one == "yes")
            case "due":
                play.due()
            case "sent" | "refused":
                play.sent("NO_TEMPLATE" if one == "refused" else "")
            case "event":
                play.meet(Event(1))
            case "stopped":
                play.meet(Stopped("scenario_deleted"))
    assert play.told == commands
    assert outcomes(play.run) == done


def test_abandoned_cart_keeps_its_hours() -> None:
    play = Play.of(abandoned_cart())
    play.answer(False)
    for _ in range(60):
        if play.run.state is State.ENDED:
            break
        match play.told[-1].split()[0]:
            case "wait":
                play.due()
            case "send":
                play.sent()
            case _:
                play.answer(False)
    sent = [step.at_us - T0 for step in play.run.steps if step.outcome.startswith("sent")]
    assert sent == [2 * HOUR_US, DAY_US + 2 * HOUR_US, 3 * DAY_US]
    assert len({step.outcome for step in play.run.steps if step.outcome.startswith("sent")}) == 3


def test_questions_carry_the_values_of_the_run() -> None:
    play = Play.of(abandoned_cart(), cart(params={"cart_id": "c1", "total": 5}))
    run, asked = play.run, play.command
    assert isinstance(asked, machine.AskCondition)
    assert asked.text == "among all contacts: did order_completed (cart_id = :cart_id) from :trigger_at"
    assert asked.contact == 7
    assert run.run_id == run_id_of("scenario", 1, 7, "e1")
    own = {TRIGGER_AT: Instant(T0), TRIGGER_ID: "e1", RUN_ID: run.run_id}
    assert asked.parameters == {"cart_id": "c1", TRIGGER_AT: Instant(T0)}, "those that the text names"
    assert values_in(play.plan, run) == {"cart_id": "c1", "total": 5} | own
    play.meet(Event(41))
    assert isinstance(play.command, machine.AskCondition)
    assert play.command.min_position == 41


def test_an_answer_that_does_not_know_the_newest_event_is_not_enough() -> None:
    play = Play.of(abandoned_cart())
    play.answer(False)
    play.meet(Event(41))
    play.meet(Answered(Question.EXIT, False, 40))
    assert play.told[-1] == "exit?"
    play.meet(Answered(Question.EXIT, False, 41))
    assert play.told[-1] == "wait 2 h"


def test_a_message_has_one_id_and_the_cart() -> None:
    play = Play.of(abandoned_cart())
    play.answer(False)
    play.due()
    play.answer(False)
    first = play.command
    assert isinstance(first, machine.SendMessage)
    assert (first.items, first.step, first.kind, first.upstream_position) == (LINES, "email", "trigger", 3)
    play.meet(Started())
    assert play.command == first, "after a restart it is the same message"
    moved, command = machine.step(play.plan, replace(play.run, contact=8), Started(), play.now_us)
    assert isinstance(command, machine.SendMessage)
    assert (command.message_id, command.contact) == (first.message_id, 8), "a merge makes no second message"
    assert moved.message_id == first.message_id


def test_a_refusal_for_another_message_changes_nothing() -> None:
    play = Play.of(abandoned_cart())
    play.answer(False)
    before = play.run
    assert play.meet(Sent("other")) == before
    assert play.meet(Answered(Question.CONDITION, True, 1)) == before


def test_a_timer_is_never_early() -> None:
    play = Play.of(abandoned_cart())
    play.answer(False)
    with pytest.raises(ValueError, match="no timer due"):
        play.meet(TimerDue(), T0 + 2 * HOUR_US - 1)


def test_a_late_timer_counts_the_next_wait_from_when_it_fired() -> None:
    play = Play.of(abandoned_cart())
    play.answer(False)
    play.meet(TimerDue(), T0 + 50 * HOUR_US)
    play.answer(False)
    play.sent()
    play.answer(False)
    assert play.run.due_at_us == T0 + 74 * HOUR_US


def test_what_was_asked_before_a_restart_is_asked_again() -> None:
    play = Play.of(abandoned_cart())
    play.answer(False)
    play.due()
    play.answer(False)
    play.sent()
    play.answer(False)
    play.due()
    play.answer(False)
    assert play.told[-1] == "condition?"
    assert play.run.checked
    restarted = replace(play.run, checked=False)
    assert restarted == play.run, "whether it was asked is no part of a run's state"
    assert isinstance(machine.needed(play.plan, restarted), machine.AskCondition)
    assert machine.needed(play.plan, restarted) != machine.needed(play.plan, play.run)


def test_the_same_inputs_make_the_same_run() -> None:
    def play() -> Play:
        one = Play.of(abandoned_cart())
        one.answer(False)
        one.due()
        one.answer(False)
        one.sent()
        return one

    assert play().run == play().run


def test_a_cart_without_an_id_cannot_be_followed() -> None:
    play = Play.of(abandoned_cart(), cart(params={}))
    assert play.told == ["end missing_value:cart_id"]
    again = Play.of(abandoned_cart(), cart("e2", params={}))
    assert again.run.run_id == play.run.run_id, "one record for all of them"


class TestRefresh:
    def test_newer_items_and_values_reach_the_run_and_move_no_timer(self) -> None:
        play = Play.of(abandoned_cart(), cart(params={"cart_id": "c1", "total": 5}))
        play.answer(False)
        due = play.run.due_at_us
        run = play.meet(Refreshed(T0 + HOUR_US, {"cart_id": "c1", "total": 9}, ({"product_id": "p2"},)), T0 + HOUR_US)
        assert (run.values["total"], run.items, run.due_at_us) == (9, ({"product_id": "p2"},), due)
        assert values_in(play.plan, run)[TRIGGER_AT] == Instant(T0)

    def test_an_older_one_that_arrives_late_changes_nothing(self) -> None:
        play = Play.of(abandoned_cart())
        before = play.answer(False)
        assert play.meet(Refreshed(T0 - 1, {"cart_id": "c1"}, ())) == before

    def test_an_emptied_cart_ends_the_run(self) -> None:
        play = Play.of(abandoned_cart())
        play.answer(False)
        play.meet(Refreshed(T0 + 1, {"cart_id": "c1"}, ()), T0 + 1)
        assert play.told[-1] == "end emptied"


class TestBlocks:
    def run(self, *blocks: Block, exit_when: str = "") -> Play:
        return Play.of(Definition(EventTrigger(CART), blocks, exit_when))

    def test_the_end_of_the_list_is_the_end(self) -> None:
        play = self.run(Block("a", Send("email", "t")))
        play.sent()
        assert play.told == ["send email t", "end completed"]

    def test_an_exit_names_its_reason(self) -> None:
        assert self.run(Block("a", Exit("enough"))).told == ["end enough"]
        assert self.run(Block("a", Exit())).run.end_reason == "exit"

    def test_a_loop_with_a_wait_ends_after_many_steps(self) -> None:
        play = self.run(Block("a", Wait(HOUR_US, next="a")))
        for _ in range(machine.MAX_STEPS):
            play.due()
        assert play.told[-1] == "end too_many_steps"

    def test_a_branch_left_empty_is_the_next_block(self) -> None:
        blocks = (Block("a", Condition("everyone", when_true="c")), Block("b", Exit("no")), Block("c", Exit("yes")))
        for holds, reason in ((True, "yes"), (False, "no")):
            play = self.run(*blocks)
            play.answer(holds)
            assert play.run.end_reason == reason

    def test_the_exit_is_asked_before_every_block(self) -> None:
        play = self.run(
            Block("a", Send("email", "t")),
            Block("b", Condition("everyone")),
            Block("c", Send("email", "u")),
            exit_when="did order_completed",
        )
        for _ in range(20):
            if play.run.state is State.ENDED:
                break
            if play.told[-1].startswith("send"):
                play.sent()
            else:
                play.answer(play.told[-1] == "condition?")
        *before, last = play.told
        assert before == ["exit?", "send email t", "exit?", "condition?", "exit?", "send email u", "exit?"]
        assert last == "end completed"


@pytest.mark.parametrize("section", ["strollers", "tea", "Ärzte & Co"])
@pytest.mark.parametrize("belongs", [True, False])
def test_category_promotion(section: str, belongs: bool) -> None:
    event = replace(cart(params={"section": section}, items=()), type="promotion_clicked")
    play = Play.of(category_promotion('Interested in a "section"'), event)
    assert play.told == ["wait 1 h"]
    assert play.run.key == f'[["section","text:{section}"]]'
    play.due()
    asked = play.command
    assert isinstance(asked, machine.AskCondition)
    assert asked.parameters["section"] == section
    assert asked.text == 'among all contacts: in segment "Interested in a \\"section\\"" with section = :section'
    play.answer(belongs)
    if belongs:
        assert isinstance(play.command, machine.SendMessage)
        assert (play.command.kind, play.command.values["section"]) == ("promo", section)
        play.sent()
    assert play.told[-1] == "end done"
