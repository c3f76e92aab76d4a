"""Dead letters of people who are forgotten: those that tell of nobody else go, the others are rewritten."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from google.protobuf.message import DecodeError

from cdp.facts.v1 import facts_pb2
from core.errors import CdpError
from core.eventlog.protocol import EventLog, Partition, TableWrite
from core.events.columns import Identifier
from core.events.compact import compacted
from core.identity.normalise import normalised
from core.identity.rules import IdentityRules
from core.profile.fold import DeadLetter
from services.profile_unification.dead_letters import letter_of
from services.profile_unification.tables import DEAD_LETTERS, dead_letter_place, dead_letter_row
from services.runtime.facts import columns_from_proto, columns_to_proto


async def letters_without(
    log: EventLog, partition: Partition, people: frozenset[Identifier], rules: IdentityRules
) -> tuple[TableWrite, int]:
    """What to write so that no dead letter names any of `people`, and how many change."""
    put: dict[bytes, bytes] = {}
    delete: list[bytes] = []
    async for key, row in log.scan(partition, DEAD_LETTERS):
        letter, tries, original = letter_of(row)
        left = _left(original, people, rules)
        if left == original and not mentions(row, people):
            continue
        if left:
            position, _ = dead_letter_place(key)
            said = DeadLetter(letter.message_id, letter.reason, "it told of somebody who was forgotten")
            put[key] = dead_letter_row(position, said, tries, left)
        else:
            delete.append(key)
    return TableWrite(DEAD_LETTERS, put, delete), len(put) + len(delete)


def _left(original: bytes, people: frozenset[Identifier], rules: IdentityRules) -> bytes:
    """The bytes without what names any of `people`; empty when nothing is left, or nobody can read them but they
    mention one."""
    try:
        batch = facts_pb2.AcceptedBatch.FromString(original)
        columns = columns_from_proto(batch.events)
    except (DecodeError, CdpError, ValueError, IndexError):
        return b"" if mentions(original, people) else original
    kept = [row for row, names in enumerate(columns.identifiers) if not names_one(names, people, rules)]
    facts = [fact for fact in batch.facts if not names_one(_identifiers(fact), people, rules)]
    if len(facts) == len(batch.facts) and len(kept) == len(columns.identifiers):
        return original
    if not kept and not facts:
        return b""
    left = facts_pb2.AcceptedBatch(facts=facts)
    left.events.CopyFrom(columns_to_proto(compacted(columns.take(np.array(kept, np.intp)))))
    for fact in left.facts:
        fact.before_event = sum(row < fact.before_event for row in kept)
    return left.SerializeToString()


def names_one(names: Collection[Identifier], people: frozenset[Identifier], rules: IdentityRules) -> bool:
    """Whether one of `names`, as it was sent or in its one form, is among `people`."""
    return any(one in people or normalised(one, rules) in people for one in names)


def _identifiers(fact: facts_pb2.AcceptedFact) -> list[Identifier]:
    match fact.WhichOneof("fact"):
        case "profile":
            found = fact.profile.identifiers
        case "machine_mark":
            found = fact.machine_mark.identifiers
        case _:
            return []
    return [Identifier(one.kind, one.value) for one in found]


def mentions(raw: bytes, people: frozenset[Identifier]) -> bool:
    """Whether the value of an identifier stands somewhere in the bytes; too short ones would stand everywhere."""
    return any(len(one.value) > 5 and one.value.encode() in raw for one in people)
