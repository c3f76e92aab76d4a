"""What a shop sees of the platform in a test of ready scenarios: runs, messages and letters, awaited state by state."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import TypeVar

import httpx2

from cdp.channel.v1 import channel_pb2
from cdp.scenario.v1 import scenario_pb2
from cdp.segment.v1 import segment_pb2
from core.clock import SECOND_US, ManualClock
from services.demo.client import Client, again
from tests.contract.sender_peers.web_push import Browser
from tests.flow.mailbox import Mailbox
from tests.flow.platform import Platform, eventually

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
#: How long a state is waited for, in seconds of the machine.
WITHIN_S = 45.0
_OPEN = (channel_pb2.MESSAGE_STATE_RESERVED, channel_pb2.MESSAGE_STATE_SENDING)

Answer = TypeVar("Answer")


@dataclass(slots=True)
class Watch:
    """The platform as its shop watches it: runs, messages, mailboxes, and the clock."""

    platform: Platform
    client: Client
    http: httpx2.AsyncClient
    mailbox: Mailbox
    push_port: int
    browser: Browser
    #: What each customer's browser was shown.
    pushes: dict[str, list[dict[str, str]]]
    contacts: dict[str, int] = field(default_factory=dict)
    #: By how much the clock went on while states were awaited.
    waited_us: int = 0

    @property
    def clock(self) -> ManualClock:
        """The platform's."""
        return self.platform.clock

    async def ask(self, call: Callable[..., Awaitable[Answer]], request: object) -> Answer:
        """The answer of a call, which is made again while the server cannot take it."""
        return await again(lambda: call(request, metadata=self.client.metadata, timeout=60.0))

    async def let_pass(self, by_us: int) -> None:
        """Let time pass, once everything that is due by now is done: a message that is not sent for days expires."""

        async def idle() -> bool:
            runs = await self.ask(self.client.scenario.ListRuns, scenario_pb2.ListRunsRequest(page_size=1_000))
            if any(run.state not in ("waiting", "ended") for run in runs.runs):
                return False
            for state in _OPEN:
                request = channel_pb2.ListMessagesRequest(state=state, page_size=100)
                answer = await self.ask(self.client.messages.ListMessages, request)
                if any(one.due_at_us <= self.clock.now_us() for one in answer.messages):
                    return False
            return True

        await self.eventually(idle, "all that is due is done")
        self.clock.advance(by_us)

    async def eventually(self, holds: Callable[[], Awaitable[bool]], what: str) -> None:
        """Wait until `holds()`. The clock goes on by microseconds meanwhile, and after a second by more, because what
        could not be done at once is tried again by the clock."""
        began_s = time.monotonic()

        async def moving() -> bool:
            if await holds():
                return True
            by_us = 1 if time.monotonic() - began_s < 1.0 else SECOND_US // 10
            self.waited_us += by_us
            self.clock.advance(by_us)
            return False

        await eventually(moving, what, WITHIN_S)

    async def runs(self, scenario: str, user: str) -> list[scenario_pb2.Run]:
        """The customer's runs, the newest first."""
        request = scenario_pb2.ListRunsRequest(scenario=scenario, contact=self.contacts[user], by_contact=True)
        return list((await self.ask(self.client.scenario.ListRuns, request)).runs)

    async def stands(
        self, scenario: str, user: str, block: str, after_us: int | None = None, run: int = 0, runs: int = 0
    ) -> None:
        """Wait until the newest run (or the one before ...), of `runs` if it says how many, stands waiting at `block`.
        Its timer is due `after_us` after the run started: waits count from the arrival, and the clock goes on by
        microseconds while a state is awaited."""

        async def holds() -> bool:
            found = await self.runs(scenario, user)
            enough = len(found) == runs if runs else len(found) > run
            return enough and (found[run].block, found[run].state) == (block, "waiting")

        await self._eventually(holds, f"{scenario}: {user} waits at {block}", scenario, user)
        if after_us is not None:
            one = (await self.runs(scenario, user))[run]
            late_us = one.due_at_us - one.started_at_us - after_us
            assert 0 <= late_us <= self.waited_us, f"{scenario} {block}: {one}"

    async def ends(self, scenario: str, user: str, reason: str, runs: int = 1) -> list[str]:
        """Wait until the newest of `runs` runs has ended for `reason`; the blocks that it came through."""

        async def holds() -> bool:
            found = await self.runs(scenario, user)
            return len(found) == runs and (found[0].state, found[0].end_reason) == ("ended", reason)

        await self._eventually(holds, f"{scenario}: {user} ends with {reason}", scenario, user)
        return [step.block for step in (await self.runs(scenario, user))[0].steps]

    async def _eventually(self, holds: Callable[[], Awaitable[bool]], what: str, scenario: str, user: str) -> None:
        try:
            await self.eventually(holds, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{await self.runs(scenario, user)}\n{await self.messages(user)}") from error

    async def until(self, call: Callable[[], Awaitable[object]], wanted: object) -> None:
        """Wait until a call answers so."""
        last: object = None

        async def holds() -> bool:
            nonlocal last
            last = await call()
            return last == wanted

        try:
            await self.eventually(holds, f"{wanted}")
        except AssertionError as error:
            raise AssertionError(f"{error}, but {last}") from error

    async def messages(self, user: str) -> list[channel_pb2.Message]:
        """All messages to the customer, the oldest first."""
        request = channel_pb2.ListMessagesRequest(contacts=[self.contacts[user]], page_size=100)
        return list((await self.ask(self.client.messages.ListMessages, request)).messages)[::-1]

    async def so_far(self) -> dict[str, int]:
        """How many messages each customer got until now."""
        return {user: len(await self._accepted(user)) for user in self.contacts}

    async def got(self, user: str, *wanted: str, since: Mapping[str, int] | None = None) -> None:
        """Wait until exactly these messages were accepted, by their templates in this order, and none is left: all, or
        those `since` an earlier moment."""
        left_out = since[user] if since is not None else 0

        async def holds() -> bool:
            if any(one.state in _OPEN for one in await self.messages(user)):
                return False
            return (await self._accepted(user))[left_out:] == list(wanted)

        await self._eventually(holds, f"{user} got {wanted}", "", user)

    async def _accepted(self, user: str) -> list[str]:
        accepted = [one for one in await self.messages(user) if one.state == channel_pb2.MESSAGE_STATE_ACCEPTED]
        return [template_of(one) for one in accepted]

    async def refusals(self, user: str) -> list[tuple[str, str]]:
        """Template and reason of what was refused."""
        return [
            (one.message.template, one.reason)
            for one in await self.messages(user)
            if one.state == channel_pb2.MESSAGE_STATE_REFUSED
        ]

    def letters(self, user: str) -> list[EmailMessage]:
        """What arrived in the customer's mailbox."""
        return [letter for letter in self.mailbox.letters if letter["To"] == f"{user}@mail.example"]

    async def letter(self, user: str, count: int) -> EmailMessage:
        """The last of `count` letters, once it is there."""

        async def arrived() -> bool:
            return len(self.letters(user)) == count

        await self.eventually(arrived, f"{count} letters to {user}")
        return self.letters(user)[-1]

    async def open(self, letter: EmailMessage) -> None:
        """A person looks at the letter: its picture is fetched."""
        link = re.search(r'src="([^"]+/o/[^"]+)"', html_of(letter))
        assert link is not None
        answer = await self.http.get(link.group(1), headers={"User-Agent": BROWSER})
        assert answer.status_code == 200

    async def press(self, letter: EmailMessage, words: str) -> None:
        """A person follows the button with these words, and presses it on the page that comes."""
        link = re.search(rf'<a [^>]*href="([^"]+/c/[^"]+)"[^>]*>{re.escape(words)}</a>', html_of(letter))
        assert link is not None, html_of(letter)
        page = await self.http.get(link.group(1), headers={"User-Agent": BROWSER})
        assert page.status_code == 200, page.text
        answer = await self.http.post(link.group(1), headers={"User-Agent": BROWSER}, follow_redirects=False)
        assert answer.status_code == 303, answer.text

    async def holds(self, user: str, text: str) -> None:
        """Wait until the segment text holds for the customer."""
        request = segment_pb2.EvaluateRequest(
            rule=segment_pb2.RuleSource(text=f"among all contacts: {text}"), contacts=[self.contacts[user]]
        )

        async def asked() -> bool:
            return bool((await self.ask(self.client.segment.Evaluate, request)).count.total)

        await self.eventually(asked, f"{user}: {text}")


def template_of(message: channel_pb2.Message) -> str:
    """The template that the message went by: its own, or that of an alternative."""
    asked = message.message
    if not message.channel or message.channel == asked.channel:
        return asked.template
    return next(one.template for one in asked.alternatives if one.channel == message.channel)


def html_of(letter: EmailMessage) -> str:
    """The HTML part."""
    part = letter.get_body(("html",))
    assert part is not None
    return str(part.get_content())
