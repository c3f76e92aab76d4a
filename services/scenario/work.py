"""The commands of many runs done together: one call of a peer for those that need the same of it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from core.errors import CdpError
from core.scenario.commands import (
    AskCondition,
    AskContact,
    ChangeContact,
    Command,
    SendMessage,
    TakeCoupon,
)
from core.scenario.inputs import Input
from services.runtime.failpoints import failpoint
from services.scenario.contacts import Contacts
from services.scenario.peers import Outgoing, Peers


class Lane(Enum):
    """Who is asked or told. What one peer makes wait holds up no other lane."""

    QUESTIONS = "questions"
    CONTACTS = "contacts"
    MESSAGES = "messages"
    CHANGES = "changes"
    COUPONS = "coupons"


def lane_of(command: Command) -> Lane | None:
    """The lane of a command; None: no peer is needed for it."""
    match command:
        case AskCondition():
            return Lane.QUESTIONS
        case AskContact():
            return Lane.CONTACTS
        case SendMessage():
            return Lane.MESSAGES
        case ChangeContact():
            return Lane.CHANGES
        case TakeCoupon():
            return Lane.COUPONS
        case _:
            return None


class Work:
    """Does commands by the peers of one workspace."""

    def __init__(self, peers: Peers, contacts: Contacts) -> None:
        self._peers = peers
        self._contacts = contacts

    async def do(
        self,
        lane: Lane,
        commands: Sequence[tuple[str, str, Command]],
        as_of_us: int,
        position: int,
        upstream_position: int,
    ) -> Sequence[Input | CdpError]:
        """The answers to commands of one lane, given as (run id, scenario, command), in their order. Questions are
        answered at `as_of_us` by facts up to `position` of the profile log, messages wait for `upstream_position` of
        ingest's."""
        match lane:
            case Lane.QUESTIONS:
                asked = [command for _, _, command in commands if isinstance(command, AskCondition)]
                return await self._peers.ask(asked, as_of_us, position)
            case Lane.CONTACTS:
                return await self._contacts.ask([one for _, _, one in commands if isinstance(one, AskContact)])
            case Lane.MESSAGES:
                return await self._send(commands, upstream_position)
            case Lane.CHANGES:
                return await self._change([one for _, _, one in commands if isinstance(one, ChangeContact)])
            case Lane.COUPONS:
                return await self._issue(
                    [(one, scenario) for _, scenario, one in commands if isinstance(one, TakeCoupon)]
                )

    async def _send(
        self, commands: Sequence[tuple[str, str, Command]], upstream_position: int
    ) -> Sequence[Input | CdpError]:
        messages = [
            Outgoing(command, scenario, run_id)
            for run_id, scenario, command in commands
            if isinstance(command, SendMessage)
        ]
        for _ in messages:  # a pass of a failpoint for each
            failpoint("scenario.before_send")
        sent = await self._peers.send(messages, upstream_position)
        for _ in messages:
            failpoint("scenario.after_send")
        return sent

    async def _change(self, commands: Sequence[ChangeContact]) -> Sequence[Input | CdpError]:
        for _ in commands:
            failpoint("scenario.before_change")
        done = await self._contacts.change(commands)
        for _ in commands:
            failpoint("scenario.after_change")
        return done

    async def _issue(self, commands: Sequence[tuple[TakeCoupon, str]]) -> Sequence[Input | CdpError]:
        for _ in commands:
            failpoint("scenario.before_coupon")
        done = await self._contacts.coupons(commands)
        for _ in commands:
            failpoint("scenario.after_coupon")
        return done
