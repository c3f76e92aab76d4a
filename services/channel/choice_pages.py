"""Pages on which recipients choose: subscription categories, and answers that move them from list to list.

GET shows, POST changes. A change is durable before it is acknowledged.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from hashlib import sha256

from starlette.requests import Request

from cdp.channel.v1 import channel_pb2
from core.clock import Clock
from core.delivery.decision import Suppression, SuppressionCause
from core.errors import CdpError, Code
from services.channel import reports
from services.channel.list_links import ListMove
from services.channel.preferences import Choice, choices_of, chosen_in
from services.channel.record import Record
from services.channel.shard import ChannelShard
from services.channel.state import category_keys

MAX_FORM_BYTES = 64 << 10


async def form_of(request: Request) -> bytes:
    """The body of a posted form. Raises INVALID / FORM_TOO_LARGE."""
    raw = b""
    async for part in request.stream():
        raw += part
        if len(raw) > MAX_FORM_BYTES:
            raise CdpError(Code.INVALID, "FORM_TOO_LARGE", f"a form has at most {MAX_FORM_BYTES} bytes")
    return raw


def proof_of(request: Request, key: bytes) -> str:
    """What shows later who chose: the page, and the sender's address under a key, so that it can be compared and not
    be read."""
    host = request.client.host if request.client is not None else ""
    digest = hmac.new(key, b"cdp consent\0" + host.encode(), sha256).hexdigest()[:16]
    return f"preference page, ip:{digest}"


async def offered(shard: ChannelShard, record: Record) -> tuple[channel_pb2.Preferences, list[Choice]]:
    """What the page shows to the recipient of a message. Raises UNAVAILABLE when the profile cannot be asked."""
    saved = shard.state.preferences()
    return saved, choices_of(saved, record.channel, await shard.profile_of(record))


async def choose(shard: ChannelShard, record: Record, form: bytes, proof: str, clock: Clock) -> Mapping[str, bool]:
    """Keep what the form says, as far as it differs from what is: consents with their proof, and at once a hold on
    what was left, so that nothing of it is sent once this returns. An empty category is the channel."""
    _, choices = await offered(shard, record)
    chosen = chosen_in(form, choices)
    if not chosen[""]:
        await shard.unsubscribe(record)  # nothing at all: the same as the link that says so
    was = {one.category: one.chosen for one in choices}
    changed = {category: on for category, on in chosen.items() if on != was[category]}
    if not changed:
        return changed
    now_us = clock.now_us()
    held = Suppression(SuppressionCause.UNSUBSCRIBED, now_us, record.message.contact)
    keys = [
        key
        for category, on in changed.items()
        if category and not on
        for key in category_keys(record.channel, category, (record.message.contact,))
    ]
    item = reports.chosen(record, changed, proof, now_us)
    await shard.keep_choice(record, [item], [(key, held) for key in keys])
    return changed


async def move(shard: ChannelShard, record: Record, index: int, wanted: ListMove, clock: Clock) -> None:
    """Keep an answer: the lists, and the event `list_link_clicked`. Once for each link of a message."""
    now_us = clock.now_us()
    await shard.tell([reports.moved(record, index, wanted, now_us), reports.answered(record, index, wanted, now_us)])
