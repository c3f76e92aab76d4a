"""Playing a plan by hand: events, starts, and what a run needs, without any service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from core.clock import HOUR_US
from core.events.columns import Event
from core.scenario import machine
from core.scenario.commands import AskContact, ChangeContact, StartRun, TakeCoupon, TakeTurn
from core.scenario.definition import Definition
from core.scenario.inputs import ContactTold, Done, Happened
from core.scenario.machine import Answered, AskCondition, Command, End, Input, Question, SendMessage, Sent, SetTimer
from core.scenario.plan import Plan
from core.scenario.run import Run
from core.scenario.trigger import started_by_event
from core.scenario.validate import plan_of
from core.schema import Scalar, Value

T0 = 1_800_000_000_000_000
CART: Mapping[str, Scalar] = {"cart_id": "c1"}
LINES: tuple[Mapping[str, Scalar], ...] = ({"product_id": "p1", "quantity": 2},)


def cart(
    event_id: str = "e1",
    at_us: int = T0,
    params: Mapping[str, Scalar] = CART,
    items: tuple[Mapping[str, Scalar], ...] = LINES,
    flags: int = 0,
) -> Event:
    """A cart as a shop sends it."""
    return Event(event_id, "cart_updated", at_us, at_us, (), dict(params), items, flags)


@dataclass(slots=True)
class Play:
    """One run of a plan: `told` are its commands in words, one per input."""

    plan: Plan
    run: Run
    command: Command
    now_us: int
    told: list[str] = field(default_factory=list)

    @staticmethod
    def of(definition: Definition, event: Event | None = None, now_us: int = T0) -> Play:
        """The run that `event` (a cart, if none is given) starts."""
        plan = plan_of("scenario", 1, definition)
        occurrence = started_by_event(plan, event or cart(at_us=now_us), 7, now_us, "UTC", 3)
        assert occurrence is not None
        run, command = machine.start(plan, occurrence, now_us)
        return Play(plan, run, command, now_us, [words(command, now_us)])

    def meet(self, happened: Input, at_us: int | None = None) -> Run:
        """Let it happen, at the present instant if none is given."""
        self.now_us = self.now_us if at_us is None else at_us
        self.run, self.command = machine.step(self.plan, self.run, happened, self.now_us)
        self.told.append(words(self.command, self.now_us))
        return self.run

    def answer(self, holds: bool, position: int = 1) -> Run:
        """Answer what is asked."""
        assert isinstance(self.command, AskCondition), self.command
        return self.meet(Answered(self.command.question, holds, position))

    def sent(self, refusal: str = "") -> Run:
        """Take the message over."""
        assert isinstance(self.command, SendMessage), self.command
        return self.meet(Sent(self.command.message_id, refusal))

    def told_who(self, key: str = "key-7", zone: str = "Europe/Berlin", **attributes: Value) -> Run:
        """Tell who the contact is."""
        assert isinstance(self.command, AskContact), self.command
        return self.meet(ContactTold(self.command.contact, "w1", key, zone, "America/New_York", attributes))

    def done(self, refusal: str = "", result: str = "", position: int = 0) -> Run:
        """Another service did what it was told."""
        assert isinstance(self.command, ChangeContact | TakeCoupon | StartRun), self.command
        return self.meet(Done(self.command.message_id, refusal, result, position, position))

    def happens(
        self,
        type_: str,
        position: int = 1,
        flags: int = 0,
        at_us: int | None = None,
        params: Mapping[str, Scalar] | None = None,
    ) -> Run:
        """An event of the contact happens now, or is told now of an earlier instant."""
        at_us = self.now_us if at_us is None else at_us
        event = Event(f"{type_}-{position}", type_, at_us, at_us, (), params or {}, (), flags)
        return self.meet(Happened(event, position, self.now_us, "UTC"))

    def due(self) -> Run:
        """Let the time pass that the timer waits for."""
        assert isinstance(self.command, SetTimer), self.command
        return self.meet(machine.TimerDue(), self.command.due_at_us)


def words(command: Command, now_us: int) -> str:
    """A command in words; timers in hours from now."""
    match command:
        case SetTimer(due_at_us):
            return f"wait {(due_at_us - now_us) / HOUR_US:g} h"
        case AskCondition(Question.EXIT):
            return "exit?"
        case AskCondition():
            return "condition?"
        case AskContact():
            return "who?"
        case TakeTurn():
            return "turn?"
        case SendMessage():
            return f"send {command.channel} {command.template}"
        case ChangeContact(name=name):
            return f"set {name}" if name else "lists"
        case TakeCoupon():
            return f"coupon {command.pool}"
        case StartRun():
            return f"start {command.scenario}"
        case End(reason):
            return f"end {reason}"


def outcomes(run: Run) -> Sequence[str]:
    """What the run did, messages without their ids."""
    return [step.outcome.partition(":")[0] if step.outcome.startswith("sent:") else step.outcome for step in run.steps]
