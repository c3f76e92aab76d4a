"""A visitor leaves a cart: through the real HTTP endpoint in, as an email and a webhook out."""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import time
from collections.abc import Awaitable, Sequence
from email.message import EmailMessage
from hashlib import sha256
from typing import TypeVar

from cdp.channel.v1 import channel_pb2
from cdp.facts.v1 import facts_pb2
from cdp.profile.v1 import profile_pb2
from cdp.scenario.v1 import scenario_pb2
from services.demo.cart_definitions import SCENARIO, TEMPLATES, TimeScale, abandoned_cart, channel_settings
from services.demo.client import CALL_S, Client, DemoError, again
from services.demo.letter import show_letter
from services.demo.mailbox import Hook, HookReceiver, Mailbox
from services.demo.screen import INVENTED, Screen
from services.demo.shopper import Shop, Thing, Visitor, total

T = TypeVar("T")

#: Beyond the scaled time, how long a message or the end of a run is waited for.
_GRACE_S = 15.0
_POLL_S = 0.1


class CartPlay:
    """One performance. `play` needs a mailbox and a receiver that listen."""

    def __init__(
        self, client: Client, http_url: str, secret: str, screen: Screen, mailbox: Mailbox, hooks: HookReceiver
    ) -> None:
        self._client = client
        self._shop = Shop(client, http_url, secret)
        self._http_url = http_url
        self._screen = screen
        self._mailbox = mailbox
        self._hooks = hooks
        self._hook_secret = secrets.token_hex(16)
        self._started_s = 0.0

    async def play(self, things: Sequence[Thing], scale: TimeScale) -> None:
        """From the cart to its purchase; raises DemoError when something expected does not come."""
        visitor = Visitor(secrets.token_hex(4))
        await self._set_up(scale)
        await self._shop.sign_up(visitor)
        await self._shop.fill_cart(visitor, things)
        self._say(
            f"POST {self._http_url}/v1/track Cart Updated: {len(things)} things for {total(things):.2f} by "
            f"{visitor.email} (visitor and cart {INVENTED}, products and prices real)"
        )
        letter = await _in_time(self._letter_to(visitor), scale.seconds(2) + _GRACE_S)
        if letter is None:
            raise DemoError(await self._why_nothing("email"))
        self._say(f"the email arrived over SMTP, {scale.seconds(2):g} s being 2 hours:")
        show_letter(self._screen, letter, self._http_url)
        self._say(f"nobody opens it; a day takes {scale.seconds(24):g} s ...")
        hook = await _in_time(self._hook_about(visitor), scale.seconds(24) + _GRACE_S)
        if hook is None:
            raise DemoError(await self._why_nothing("webhook"))
        self._say("not opened within a day: the second channel, a signed webhook, arrived:")
        self._show_hook(hook)
        await self._shop.buy(visitor, things)
        self._say("the cart is bought (Order Completed): that ends the run, and no offer is sent")
        self._show_run(await self._ended_run(visitor))

    async def _set_up(self, scale: TimeScale) -> None:
        client = self._client
        for name, template in TEMPLATES.items():
            save = channel_pb2.SaveTemplateRequest(name=name, template=template)
            await client.messages.SaveTemplate(save, metadata=client.metadata, timeout=CALL_S)
        update = channel_pb2.UpdateSettingsRequest(settings=channel_settings(self._hooks.port, self._hook_secret))
        await client.messages.UpdateSettings(update, metadata=client.metadata, timeout=CALL_S)
        request = scenario_pb2.SaveScenarioRequest(name=SCENARIO, scenario=abandoned_cart(scale))
        saved = await client.scenario.SaveScenario(request, metadata=client.metadata, timeout=CALL_S)
        self._started_s = time.perf_counter()
        self._say(f"saved: {len(TEMPLATES)} templates, scenario {SCENARIO!r} version {saved.scenario.revision.version}")

    # Messages of carts that an earlier, interrupted run of the demo left behind arrive here as well.

    async def _letter_to(self, visitor: Visitor) -> EmailMessage:
        while (letter := await self._mailbox.next())["To"] != visitor.email:
            self._say(f"(a letter of an earlier cart, to {letter['To']})")
        return letter

    async def _hook_about(self, visitor: Visitor) -> Hook:
        while json.loads((hook := await self._hooks.next()).raw).get("cart") != visitor.cart_id:
            self._say("(a webhook of an earlier cart)")
        return hook

    async def _ended_run(self, visitor: Visitor) -> scenario_pb2.Run:
        client = self._client
        identifier = facts_pb2.Identifier(kind="email", value=visitor.email)
        resolve = profile_pb2.ResolveRequest(identifiers=[identifier])
        resolved = await client.profile.Resolve(resolve, metadata=client.metadata, timeout=CALL_S)
        request = scenario_pb2.ListRunsRequest(
            scenario=SCENARIO, contact=resolved.results[0].contact, by_contact=True, page_size=1
        )
        give_up_s = time.perf_counter() + _GRACE_S
        while True:
            answer = await again(lambda: client.scenario.ListRuns(request, metadata=client.metadata, timeout=CALL_S))
            if answer.runs and answer.runs[0].state == "ended":
                return answer.runs[0]
            if time.perf_counter() > give_up_s:
                raise DemoError(f"the run did not end within {_GRACE_S:g} s of the purchase")
            await asyncio.sleep(_POLL_S)

    async def _why_nothing(self, channel: str) -> str:
        """What the platform says about its newest message, for whoever waited for it in vain."""
        client = self._client
        request = channel_pb2.ListMessagesRequest(page_size=1)
        answer = await client.messages.ListMessages(request, metadata=client.metadata, timeout=CALL_S)
        for one in answer.messages:
            state = channel_pb2.MessageState.Name(one.state).removeprefix("MESSAGE_STATE_").lower()
            return (
                f"no {channel} arrived; the newest message ({one.message.channel} to {one.address or 'nobody yet'}) is "
                f"{state} {one.reason} {one.provider_reply}. The mail server of `cdp up` (CDP_SMTP_URL) must be port "
                f"{self._mailbox.port} of this machine."
            )
        return f"no {channel} arrived, and the platform has sent none: did its scenario start?"

    def _show_hook(self, hook: Hook) -> None:
        stamp, _, mac = hook.headers.get("cdp-signature", "").partition(",v1=")
        signed = stamp.removeprefix("t=").encode() + b"." + hook.raw
        genuine = hmac.compare_digest(mac, hmac.new(self._hook_secret.encode(), signed, sha256).hexdigest())
        self._screen.plain(f"    {hook.raw.decode()}")
        self._screen.plain(f"    Idempotency-Key {hook.headers.get('idempotency-key', '')}")
        self._screen.plain(f"    signature {'genuine' if genuine else 'NOT GENUINE'}")

    def _show_run(self, run: scenario_pb2.Run) -> None:
        self._say(f"run {run.run_id}, {run.state}: {run.end_reason}")
        for step in run.steps:
            after_s = (step.at_us - run.started_at_us) / 1e6
            self._screen.plain(f"    +{after_s:5.1f} s  {step.block:<18} {step.outcome}")

    def _say(self, text: str) -> None:
        self._screen.say(f"[dim]{time.perf_counter() - self._started_s:5.1f} s[/dim]  {text}")


async def _in_time(arrival: Awaitable[T], within_s: float) -> T | None:
    """What arrives, None if nothing does in time."""
    try:
        return await asyncio.wait_for(arrival, within_s)
    except TimeoutError:
        return None
