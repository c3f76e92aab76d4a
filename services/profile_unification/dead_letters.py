"""What was set aside, in whole entries or in parts, in a form that can be folded again."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from cdp.facts.v1 import facts_pb2
from core.profile.fold import DeadLetter
from core.profile.merge_log import Outcome
from services.profile_unification.tables import read_dead_letter
from services.runtime.facts import columns_from_proto, columns_to_proto

NO_SUCH_DEAD_LETTER = "NO_SUCH_DEAD_LETTER"
NOTHING_TO_REPLAY = Outcome(NO_SUCH_DEAD_LETTER, "there is no such dead letter; it may have been folded already")


def replay_in(batch: facts_pb2.AcceptedBatch) -> facts_pb2.AcceptedFact | None:
    """The order to fold a dead letter again that an entry consists of; None: it is another entry."""
    if len(batch.facts) != 1 or batch.events.ids or batch.facts[0].WhichOneof("fact") != "dead_letter_replay":
        return None
    return batch.facts[0]


def letter_of(row: bytes) -> tuple[DeadLetter, int, bytes]:
    """A row of the table: the letter, how often it was tried, its original bytes."""
    header, original = read_dead_letter(row)
    letter = DeadLetter(str(header["message_id"]), str(header["reason"]), str(header["detail"]))
    return letter, int(str(header["tries"])), original


def parts_of_batch(batch: facts_pb2.AcceptedBatch, message_ids: Collection[str]) -> dict[str, bytes]:
    """The first fact or event with each of these ids, as a batch of its own."""
    parts: dict[str, bytes] = {}
    for fact in batch.facts:
        if fact.id in message_ids and fact.id not in parts:
            alone = facts_pb2.AcceptedBatch(facts=[fact])
            alone.facts[0].before_event = 0
            parts[fact.id] = alone.SerializeToString()
    events = columns_from_proto(batch.events)
    for row, one in enumerate(events.ids):
        if one in message_ids and one not in parts:
            alone = facts_pb2.AcceptedBatch(events=columns_to_proto(events.take(np.array([row], np.intp))))
            parts[one] = alone.SerializeToString()
    return parts


def received_at(original: bytes, at_us: int) -> facts_pb2.AcceptedBatch:
    """The batch as if it had been received at this instant, so that receptions never run back along the log. Raises
    DecodeError for bytes that are no batch, ValueError for none."""
    if not original:
        raise ValueError("nothing was kept of it")
    batch = facts_pb2.AcceptedBatch.FromString(original)
    batch.events.received_at_us = np.full(len(batch.events.ids), at_us, np.int64).tobytes()
    for fact in batch.facts:
        fact.received_at_us = at_us
    return batch
