"""Orders to change state: they go through ingest's log and are answered once the fold has carried them out."""

from __future__ import annotations

import secrets

import grpc

from cdp.ingest.v1 import ingest_pb2
from core.errors import CdpError, Code, Violation, invalid, unavailable
from core.profile.merge_log import Outcome
from services.profile_unification.tables import load_outcome
from services.profile_unification.worker import UnificationShard
from services.runtime.caller import caller
from services.runtime.context import Runtime
from services.runtime.errors import from_rpc

_MAX_REQUEST_ID = 100


async def carry_out(
    runtime: Runtime, shard: UnificationShard, command: ingest_pb2.CommandRequest, wait_s: float
) -> tuple[Outcome, int]:
    """What became of an order, and the position of ingest's log that holds it. Raises what ingest refuses,
    UNAVAILABLE / NOT_CAUGHT_UP when it is not folded within `wait_s`, INTERNAL / ORDER_SET_ASIDE."""
    stubs = runtime.stubs
    metadata = stubs.internal_metadata(caller().workspace.id)
    try:
        logged = await stubs.ingest().Command(command, metadata=metadata, timeout=wait_s)
    except grpc.aio.AioRpcError as error:
        raise from_rpc(error) from error
    if not await shard.wait_folded(logged.position, wait_s):
        raise unavailable("NOT_CAUGHT_UP", "the order is logged and will be carried out: ask again with its id")
    outcome = await load_outcome(runtime.log, shard.partition, command.message_id)
    if outcome is None:
        raise CdpError(Code.INTERNAL, "ORDER_SET_ASIDE", "the order could not be folded: see the dead letters")
    return outcome, logged.position


def order_id_of(kind: str, request_id: str) -> str:
    """The id by which an order counts once; a new one without `request_id`. Raises INVALID / BAD_REQUEST_ID."""
    if len(request_id) > _MAX_REQUEST_ID or not request_id.isprintable():
        problem = Violation("request_id", f"has at most {_MAX_REQUEST_ID} printable characters")
        raise invalid("BAD_REQUEST_ID", "the request id cannot be kept", problem)
    return f"{kind}:{request_id or secrets.token_hex(16)}"


def asker() -> str:
    """Who asks, for the record."""
    who = caller()
    return who.key_name or who.key_id
