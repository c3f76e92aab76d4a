"""A state that is older than an erasure, because somebody put a backup back: who was forgotten stays forgotten.

People who ask to be forgotten are noted in a file beside the state, blinded. What the file knows and the state does
not is ordered once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import grpc

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from core.errors import CdpError, Code
from core.eventlog.protocol import Commit, EventLog, Fence, Partition
from core.identity.rules import CONTACT_KEY, DEFAULT_KINDS
from services.profile_unification.erasure_books import Forgotten, key_hash, read_forgotten
from services.profile_unification.tables import IDENTIFIERS, load_outcome, tombstone_row
from services.runtime.errors import from_rpc
from services.runtime.stubs import Stubs
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)
_PAUSE_S = 1.0
_CALL_S = 60.0


async def unknown_to_state(
    log: EventLog, partition: Partition, fence: Fence, path: Path, now_us: int
) -> list[Forgotten]:
    """The lines of the file whose orders the state has not carried out. Their blinded identifiers are in the state
    when this returns, so that nothing of the time before is folded for them."""
    lines = await asyncio.to_thread(lambda: list(read_forgotten(path)))
    missing = [one for one in lines if await load_outcome(log, partition, one.order_id) is None]
    if missing:
        writes = [tombstone_row({bytes.fromhex(name): one.at_us for one in missing for name in one.blinded})]
        await log.commit(partition, fence, Commit(None, None, (), writes, now_us))
        _LOG.warning("the state is older than erasures", workspace=partition.workspace, orders=len(missing))
    return missing


async def order_again(log: EventLog, partition: Partition, stubs: Stubs, missing: Sequence[Forgotten]) -> None:
    """Order each of `missing` again, under its own id, asking for as long as it takes."""
    code = bytes((DEFAULT_KINDS[CONTACT_KEY].code,))
    keys = {}
    async for row, _ in log.scan(partition, IDENTIFIERS):
        if row.startswith(code):
            key = row[1:].decode()
            keys[key_hash(key)] = key
    for one in missing:
        known = [keys[found] for found in one.key_hashes if found in keys]
        order = facts_pb2.ErasureOrder(keys=known, reason=one.reason, asked_by=one.asked_by)
        command = ingest_pb2.CommandRequest(message_id=one.order_id, erasure=order)
        while True:
            try:
                metadata = stubs.internal_metadata(partition.workspace)
                await stubs.ingest().Command(command, metadata=metadata, timeout=_CALL_S)
                break
            except grpc.aio.AioRpcError as error:
                failure = from_rpc(error)
                if failure.code not in (Code.UNAVAILABLE, Code.EXHAUSTED):
                    raise CdpError(Code.INTERNAL, failure.reason, failure.message) from error
                await asyncio.sleep(_PAUSE_S)
