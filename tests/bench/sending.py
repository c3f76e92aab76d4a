"""Scheduled sends through the real outbox to a provider of kind `null`: mails capped, rendered and settled, a second.

Ingest, unification and the channel are processes on a log that makes every write durable at once. The people are
written into unification's state directly; all of them agreed to email. What is timed runs from the first call of Send
until the last message is settled, while what happened is told to ingest and folded beside it.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path

from cdp.channel.v1 import channel_pb2
from core.eventlog.protocol import Partition
from core.workspace import bucket_of
from services.demo.client import CALL_S, Client, again
from services.runtime.redis_log import RedisLog
from services.runtime.roles import Role
from tests.bench.unification import seed
from tests.fault.processes import WORKSPACE, Processes, platform

_BATCH = 1_000
_AT_ONCE = 4
_LOOK_S = 0.25
_HTML = """<html><body><h1>Hello {{ contact.first_name | default: "there" }}</h1>
<p>{% if contact.city %}New in {{ contact.city }}:{% endif %}</p>
<ul>{% for item in items %}<li><a href="https://shop.example/p/{{ item.product_id }}">{{ item.product_id }}</a>
{{ item.price }}</li>{% endfor %}</ul>
<p><a href="{{ unsubscribe_url }}">No more of this</a></p></body></html>"""


async def measure_sending(folder: Path, messages: int = 20_000) -> dict[str, object]:
    """Messages a second, one for each of as many people, and what the channel's process holds meanwhile."""
    async with platform(folder / "house", {}, (Role.INGEST,)) as processes:
        log = await RedisLog.connect(processes.valkey.url)
        try:
            own = Partition(Role.PROFILE_UNIFICATION.value, WORKSPACE, bucket_of(WORKSPACE))
            await seed(log, own, 1, messages)
        finally:
            await log.close()
        for role in (Role.PROFILE_UNIFICATION, Role.CHANNEL):
            await processes.restart(role)
        client = processes.client(Role.CHANNEL)
        await _prepare(client)
        begin_s, before = time.perf_counter(), _resident_bytes(processes)
        await _hand_over(client, messages)
        handed_s = time.perf_counter()
        held = _resident_bytes(processes) - before
        await _settled(client, processes)
        took_s = time.perf_counter() - begin_s
        accepted = await _count(client, channel_pb2.MESSAGE_STATE_ACCEPTED, messages)
    return {
        "goal": "800 messages a second",
        "messages": f"{messages:,}",
        "settled a second": round(messages / took_s),
        "of them taken by the provider": f"{accepted:,}",
        "taken over a second": round(messages / (handed_s - begin_s)),
        "bytes in memory a message on its way": round(held / messages),
    }


async def _prepare(client: Client) -> None:
    items = "{% for item in items %}{{ item.product_id }} {% endfor %}"
    template = channel_pb2.Template(
        channel="email", subject="For {{ contact.first_name }}", body_html=_HTML, body_text=items
    )
    save = channel_pb2.SaveTemplateRequest(name="sale", template=template)
    await again(lambda: client.messages.SaveTemplate(save, metadata=client.metadata, timeout=CALL_S))
    settings = channel_pb2.Settings(
        live=True,
        providers=[channel_pb2.Provider(channel="email", name="load", kind="null")],
        caps=[channel_pb2.Cap(name="daily", limit=3, period=channel_pb2.CAP_PERIOD_DAY)],
    )
    setattr(settings, "from", "Shop <shop@shop.example>")
    update = channel_pb2.UpdateSettingsRequest(settings=settings)
    await again(lambda: client.messages.UpdateSettings(update, metadata=client.metadata, timeout=CALL_S))


async def _hand_over(client: Client, messages: int) -> None:
    firsts = iter(range(1, messages + 1, _BATCH))

    async def work() -> None:
        for first in firsts:
            request = channel_pb2.SendRequest()
            for contact in range(first, min(first + _BATCH, messages + 1)):
                one = request.messages.add(id=f"sale-{contact}", contact=contact, channel="email", template="sale")
                one.kind, one.content, one.scenario, one.step = "promo", "autumn sale", "sale", "send"
                for product in range(3):
                    item = one.items.add()
                    item.fields["product_id"].text = f"p{contact % 1_000}-{product}"
                    item.fields["price"].decimal_units = 990_000
            await again(partial(client.messages.Send, request, metadata=client.metadata, timeout=CALL_S))

    await asyncio.gather(*(work() for _ in range(_AT_ONCE)))


async def _settled(client: Client, processes: Processes) -> None:
    """Return once no message is on its way."""
    for state in (channel_pb2.MESSAGE_STATE_RESERVED, channel_pb2.MESSAGE_STATE_SENDING) * 2:
        while await _count(client, state, 1):
            await asyncio.sleep(_LOOK_S)  # another process: nothing here to be woken by
            processes.check_alive()


async def _count(client: Client, state: channel_pb2.MessageState.ValueType, most: int) -> int:
    """How many messages are in a state, counted up to `most`."""
    found, token = 0, ""
    while found < most:
        request = channel_pb2.ListMessagesRequest(page_size=min(most, _BATCH), page_token=token, state=state)
        page = await client.messages.ListMessages(request, metadata=client.metadata, timeout=CALL_S)
        found, token = found + len(page.messages), page.next_page_token
        if not token:
            break
    return found


def _resident_bytes(processes: Processes) -> int:
    status = Path(f"/proc/{processes.pid(Role.CHANNEL)}/status").read_text()
    return next(int(line.split()[1]) * 1_024 for line in status.splitlines() if line.startswith("VmRSS"))
