"""Three ready scenarios at once, on a time scale: visitors act, and what follows arrives as mail, pushes and texts."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from pathlib import Path
from xml.sax.saxutils import escape

from cdp.channel.v1 import channel_pb2
from cdp.facts.v1 import facts_pb2
from cdp.profile.v1 import profile_pb2
from cdp.scenario.v1 import scenario_pb2
from services.demo.arrivals import Arrival, Peers
from services.demo.catalogue import import_file, save_feed
from services.demo.client import CALL_S, Client, DemoError, again
from services.demo.letter import show_letter
from services.demo.ready import save_ready
from services.demo.screen import INVENTED, Screen
from services.demo.shopper import DOMAIN, Shop, Thing, Visitor
from services.demo.time_scale import TimeScale

#: Abandoned cart, wishlist, welcome chain.
SCENARIOS = ("N3", "N4", "N13")
#: The longest of them: the letter with the coupon, a week after the start.
_LONGEST_HOURS = 7 * 24
_GRACE_S = 30.0
_POLL_S = 0.1
_FEED = "wishes"
#: What each of them is to get.
EXPECTED: Mapping[tuple[str, str], int] = {
    ("Ann", "email"): 1,
    ("Ann", "web push"): 1,
    ("Ann", "sms"): 1,
    # The cart; and the order is Bo's first, which starts a welcome chain.
    ("Bo", "email"): 4,
    ("Cleo", "email"): 3,
    ("Dan", "email"): 1,
    ("Dan", "web push"): 1,
}


class Plays:
    """One performance. `play` needs peers that listen."""

    def __init__(self, client: Client, http_url: str, secret: str, screen: Screen, peers: Peers, scale: TimeScale):
        self._client = client
        self._shop = Shop(client, http_url, secret)
        self._http_url = http_url
        self._screen = screen
        self._peers = peers
        self._scale = scale
        self._started_s = 0.0

    async def play(self, things: Sequence[Thing]) -> None:
        """From the first visit to the end of every run; raises DemoError when something expected does not come."""
        stamp = secrets.token_hex(4)
        pushes = self._peers.pushes
        ann = Visitor("Ann", stamp, phone=_phone(), push_token=pushes.subscribe("Ann"))
        bo, cleo = Visitor("Bo", stamp), Visitor("Cleo", stamp)
        dan = Visitor("Dan", stamp, push_token=pushes.subscribe("Dan"))
        people = (ann, bo, cleo, dan)
        await self._set_up(ann)
        self._started_s = time.perf_counter()
        for visitor in people:
            await self._shop.sign_up(visitor)
        for visitor in (ann, bo):
            await self._shop.fill_cart(visitor, things)
            self._say(visitor.name, "does", f"leaves a cart with {len(things)} things ({things[0].name}, ...)")
        await self._shop.register(cleo)
        self._say(cleo.name, "does", "registers")
        _, letter = await asyncio.gather(self._wish_comes_back(dan, f"tea-{stamp}"), self._arrive(people, things))
        await self._show_ends(people)
        self._screen.say("\nAnn's letter as it arrived:")
        show_letter(self._screen, letter, self._http_url)

    async def _set_up(self, ann: Visitor) -> None:
        client = self._client
        update = channel_pb2.UpdateSettingsRequest(settings=channel_settings(self._peers.texts.port, ann.phone))
        await client.messages.UpdateSettings(update, metadata=client.metadata, timeout=CALL_S)
        for number in SCENARIOS:
            saved = await save_ready(client, number, self._scale)
            self._screen.say(f"[bold]{number} {saved.revision.name}[/bold]: {saved.description}")
        self._screen.say(f"Ann, Bo, Cleo and Dan are {INVENTED}; products and prices are real, but for Dan's tea.\n")

    async def _wish_comes_back(self, dan: Visitor, product_id: str) -> None:
        """Dan wishes a tea that is sold out, and the shop's feed says that it is back."""
        await save_feed(self._client, _FEED)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "wishes.xml"
            file.write_text(_feed(product_id, "out_of_stock"), encoding="utf-8")
            await import_file(self._client, _FEED, file)
            await self._shop.wish(dan, product_id)
            self._say(dan.name, "does", "puts a tea that is sold out on the wishlist")
            file.write_text(_feed(product_id, "in_stock"), encoding="utf-8")
            await import_file(self._client, _FEED, file)
            self._say("shop", "does", "imports its feed: the tea is in stock again")

    async def _arrive(self, people: Sequence[Visitor], things: Sequence[Thing]) -> EmailMessage:
        """Show what arrives until everybody has what is expected; gives Ann's letter back."""
        names = {address: one.name for one in people for address in (one.email, one.phone, one.name) if address}
        missing, letters = Counter(EXPECTED), dict[str, EmailMessage]()
        limit_s = self._started_s + _LONGEST_HOURS * self._scale.hour_s + _GRACE_S
        while missing:
            arrival = await self._next(limit_s, missing)
            name = names.get(arrival.to)
            if name is None:
                continue  # for somebody of an earlier, interrupted run
            self._say(name, arrival.channel, arrival.text)
            missing -= Counter({(name, arrival.channel): 1})
            first = name not in letters
            if arrival.letter is not None:
                letters.setdefault(name, arrival.letter)
            if name == "Bo" and first:
                await self._shop.buy(next(one for one in people if one.name == name), things)
                self._say(name, "does", "buys what is in the cart: nothing more is sent about it")
        return letters["Ann"]

    async def _next(self, limit_s: float, missing: Counter[tuple[str, str]]) -> Arrival:
        try:
            return await asyncio.wait_for(self._peers.next(), max(0.0, limit_s - time.perf_counter()))
        except TimeoutError:
            awaited = ", ".join(f"{channel} to {name}" for name, channel in missing)
            raise DemoError(f"not arrived: {awaited}; {await self._newest()}") from None

    async def _newest(self) -> str:
        """What the platform says about its newest message, for whoever waited for it in vain."""
        client = self._client
        request = channel_pb2.ListMessagesRequest(page_size=1)
        answer = await client.messages.ListMessages(request, metadata=client.metadata, timeout=CALL_S)
        for one in answer.messages:
            state = channel_pb2.MessageState.Name(one.state).removeprefix("MESSAGE_STATE_").lower()
            return (
                f"the newest message ({one.message.channel} to {one.address or 'nobody yet'}) is {state} {one.reason} "
                f"{one.provider_reply}. The mail server of `cdp up` (CDP_SMTP_URL) must be port "
                f"{self._peers.mailbox.port} of this machine."
            )
        return "the platform has sent none: did a scenario start?"

    async def _show_ends(self, people: Sequence[Visitor]) -> None:
        self._screen.say("\nHow each run went:")
        for visitor in people:
            for run in await self._ended_runs(visitor):
                steps = ", ".join(step.block for step in run.steps)
                self._screen.plain(f"    {visitor.name:<5} {run.scenario:<15} {steps}: {run.end_reason}")

    async def _ended_runs(self, visitor: Visitor) -> Sequence[scenario_pb2.Run]:
        client = self._client
        identifier = facts_pb2.Identifier(kind="email", value=visitor.email)
        resolve = profile_pb2.ResolveRequest(identifiers=[identifier])
        resolved = await client.profile.Resolve(resolve, metadata=client.metadata, timeout=CALL_S)
        request = scenario_pb2.ListRunsRequest(contact=resolved.results[0].contact, by_contact=True)
        give_up_s = time.perf_counter() + _GRACE_S
        while True:
            answer = await again(lambda: client.scenario.ListRuns(request, metadata=client.metadata, timeout=CALL_S))
            if answer.runs and all(run.state == "ended" for run in answer.runs):
                return answer.runs
            if time.perf_counter() > give_up_s:
                raise DemoError(f"the runs of {visitor.name} did not end within {_GRACE_S:g} s of their last message")
            await asyncio.sleep(_POLL_S)

    def _say(self, name: str, what: str, text: str) -> None:
        passed = self._scale.told(time.perf_counter() - self._started_s)
        line = " ".join(text.split())
        self._screen.plain(f"  + {passed:>9}  {name:<5} {what:<9} {line}")


def channel_settings(sms_port: int, phone: str) -> channel_pb2.Settings:
    """Messages go to the demo's own people and servers, and to nobody else: the workspace is not live."""
    settings = channel_pb2.Settings(
        live=False,
        allowed_recipients=[f"@{DOMAIN}", "@127.0.0.1", phone],
        allowed_private_hosts=["127.0.0.1"],
        providers=[
            channel_pb2.Provider(
                channel="sms",
                name="demo",
                kind="smpp",
                settings={"host": "127.0.0.1", "port": str(sms_port), "system_id": "demo", "source": "Demo shop"},
                secrets={"password": "demo"},
            )
        ],
    )
    setattr(settings, "from", "Demo shop <shop@example.com>")  # a keyword of Python is no argument
    return settings


def _phone() -> str:
    """A British mobile number that is kept for plays: Ofcom's range for drama."""
    return f"+447700900{secrets.randbelow(1000):03}"


def _feed(product_id: str, availability: str) -> str:
    fields = {
        "id": product_id,
        "title": "Mountain tea",
        "price": "4.50 USD",
        "availability": availability,
        "link": f"https://shop.example.com/p/{product_id}",
    }
    item = "".join(f"<g:{name}>{escape(text)}</g:{name}>" for name, text in fields.items())
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0">'
        f"<channel><item>{item}</item></channel></rss>\n"
    )
