"""Orders to change state: from services, which offered them to callers and checked them, into the log."""

from __future__ import annotations

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2 as pb
from core.errors import Violation, invalid
from core.events.validate import MAX_MESSAGE_ID_CHARACTERS
from services.ingest.ways import Way
from services.ingest.writer import BatchWriter

BAD_COMMAND = "BAD_COMMAND"
_MAX_BYTES = 1 << 20


async def command(way: Way, request: pb.CommandRequest, now_us: int) -> int:
    """Log an order as an entry of its own, which readers fold apart from others. Returns its position once it is
    durable. Raises INVALID / BAD_COMMAND for an empty or oversized one, or one without a usable id."""
    fact = facts_pb2.AcceptedFact(id=request.message_id, occurred_at_us=now_us, received_at_us=now_us)
    match request.WhichOneof("command"):
        case "separation":
            fact.separation.CopyFrom(request.separation)
        case "erasure":
            fact.erasure.CopyFrom(request.erasure)
        case "identity_rules":
            fact.identity_rules.CopyFrom(request.identity_rules)
        case "dead_letter_replay":
            fact.dead_letter_replay.CopyFrom(request.dead_letter_replay)
        case None:
            raise invalid(BAD_COMMAND, "the order is empty, or of a kind that this version does not know")
    if not 1 <= len(request.message_id) <= MAX_MESSAGE_ID_CHARACTERS:
        problem = Violation("message_id", f"has 1 to {MAX_MESSAGE_ID_CHARACTERS} characters")
        raise invalid(BAD_COMMAND, "an order needs an id by which it counts once", problem)
    size_bytes = request.ByteSize()
    if size_bytes > _MAX_BYTES:
        raise invalid(BAD_COMMAND, f"an order has at most {_MAX_BYTES} bytes, here are {size_bytes}")
    writer = BatchWriter()
    writer.add_fact(fact)
    writer.size_bytes = size_bytes
    return await way.batcher.append(writer)
