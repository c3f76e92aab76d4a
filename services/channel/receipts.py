"""What a provider tells of a message after it took it, by the name that the provider gave it.

SMS centres and messengers name messages themselves and report under that name, days later perhaps and to another
process. So the names are kept: the sender answers `accepted_as`, the names are written in the same commit as the
acceptance, and a report that comes sooner than that commit waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from core.clock import Clock
from core.delivery.outbox import Accepted, State
from core.eventlog.protocol import EventLog, Partition, TableWrite
from services.channel import reports
from services.channel.record import Record
from services.runtime.telemetry import get_logger

if TYPE_CHECKING:
    from services.channel.shard import ChannelShard

_LOG = get_logger(__name__)
TABLE = "receipts"
_NAMED = "message_id: "
#: How long a report waits for a message that is not known yet: it may overtake the commit of the acceptance.
_WAITS_S = (0.05, 0.2, 0.5, 1.0)


class Told(StrEnum):
    """What a provider says."""

    DELIVERED = "delivered"
    FAILED = "failed"
    SEEN = "seen"


@dataclass(frozen=True, slots=True)
class Receipt:
    """One report of `provider` (its name in the workspace's settings) about the message that it calls `name`."""

    provider: str
    name: str
    told: Told
    reason: str = ""


#: Workspace id, report -> taken. Raises UNAVAILABLE when it cannot be kept now, or the workspace is not ours.
TakeReceipt = Callable[[str, Receipt], Awaitable[bool]]


def accepted_as(names: Sequence[str]) -> Accepted:
    """Accepted, and reported about under `names`, which are printable and without spaces."""
    return Accepted(_NAMED + " ".join(names))


def names_of(reply: str) -> list[str]:
    """The names in the reply of `accepted_as`; none in any other."""
    return reply.removeprefix(_NAMED).split() if reply.startswith(_NAMED) else []


def row_key(provider: str, name: str) -> bytes:
    """Where the table says which message a provider calls `name`."""
    return f"{provider}/{name}".encode()


def receipt_rows(records: Iterable[Record]) -> dict[bytes, bytes]:
    """The rows of messages that are accepted under names of their providers."""
    return {
        row_key(record.provider, name): record.id.encode()
        for record in records
        if record.delivery.state is State.ACCEPTED
        for name in names_of(record.delivery.reply)
    }


def receipt_writes(records: Sequence[Record]) -> list[TableWrite]:
    """What a commit of `records` writes beside them."""
    rows = receipt_rows(records)
    return [TableWrite(TABLE, rows)] if rows else []


def receipts_forgotten(records: Iterable[Record]) -> TableWrite:
    """What a commit that forgets `records` writes beside that."""
    keys = []
    for record in records:
        said = [(record.provider, record.delivery.reply), *((one.provider, one.reply) for one in record.tries)]
        keys += [row_key(provider, name) for provider, reply in said for name in names_of(reply)]
    return TableWrite(TABLE, delete=keys)


async def message_named(log: EventLog, partition: Partition, provider: str, name: str) -> str:
    """The id of the message that a provider knows by `name`; empty if none is."""
    (found,) = await log.get(partition, TABLE, [row_key(provider, name)])
    return "" if found is None else found.decode()


async def take_receipt(shard: ChannelShard, receipt: Receipt, clock: Clock) -> bool:
    """Keep what a provider told; durable when this returns. False: no message of ours has that name, and none turned
    up within a short wait."""
    record = None
    for wait_s in (*_WAITS_S, None):
        # Asked before the table: what is accepted by then and not in it is none of ours.
        may_follow = shard.busy and wait_s is not None
        message_id = await shard.state.named(receipt.provider, receipt.name)
        (record,) = await shard.state.get([message_id]) if message_id else (None,)
        if record is not None or not may_follow:
            break
        await asyncio.sleep(wait_s or 0)
    if record is None:
        _LOG.info("receipt of no message of ours", workspace=shard.workspace.id, provider=receipt.provider)
        return False
    if receipt.name not in names_of(record.delivery.reply):
        # About a way that was given up. It arrived after all: enough, unless it has gone by another one already.
        if receipt.told is not Told.FAILED and record.delivery.state is State.RESERVED:
            await shard.delivered(record.id, True)
        return True
    if receipt.told is Told.SEEN:
        await shard.tell([reports.opened(record, False, clock.now_us())])
    await shard.delivered(record.id, receipt.told is not Told.FAILED, receipt.reason)
    return True
