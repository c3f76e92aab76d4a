"""The tables of unification's state: their names, keys and values."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence

from core.eventlog.protocol import EventLog, Partition, TableWrite
from core.events.columns import Identifier
from core.identity.links import Link, pack_link, unpack_link
from core.identity.rules import DEFAULT_KINDS, KindRule
from core.identity.settings import IdentitySettings, decode_settings, encode_settings
from core.identity.suspects import Suspicion, decode_suspicion, encode_suspicion
from core.profile.codec import decode_profile, encode_profile
from core.profile.erasures import encode_erased
from core.profile.fold import DeadLetter
from core.profile.kinds import AttributeKinds
from core.profile.merge_log import (
    MergeRecord,
    Outcome,
    decode_merge,
    decode_outcome,
    encode_merge,
    encode_outcome,
)
from core.profile.working_set import FIRST_CONTACT, Changes, Meta, Wanted, WorkingSet
from core.schema import Kind

#: Kind code (1 byte) and value of an identifier -> its link.
IDENTIFIERS = "identifiers"
#: Contact (uint32) -> profile.
PROFILES = "profiles"
#: Hash of an order's message id (uint64) -> nothing.
ORDERS = "orders"
#: What there is once: kinds of attributes, the next contact number, how many merges there were, the rules about
#: identifiers.
META = "meta"
#: Ordinal of a merge (uint64) -> its record.
MERGES = "merges"
#: Key of an identifier that seems shared -> how often it contradicted what stands.
SUSPECTS = "suspects"
#: Id of an order to change state -> what became of it.
OUTCOMES = "outcomes"
#: Order id, NUL, contact (uint32) -> who was forgotten, until every stored byte of them is gone.
ERASURES = "erasures"
#: A blinded identifier of somebody who was forgotten -> when (int64, microseconds).
TOMBSTONES = "tombstones"
#: Position of the entry (uint64), number within it (uint32) -> what was set aside, and why.
DEAD_LETTERS = "dead_letters"

_KINDS = b"attribute_kinds"
_NEXT = b"next_contact"
_MERGE_COUNT = b"merge_count"
_SETTINGS = b"identity_settings"
_CONTACT = struct.Struct(">I")
_HASH = struct.Struct(">Q")
_INSTANT = struct.Struct(">q")
_DEAD_KEY = struct.Struct(">QI")
_PRESENT = b"1"

Kinds = Mapping[str, KindRule]


def identifier_key(identifier: Identifier, kinds: Kinds) -> bytes:
    """The key of an identifier of a known kind, normalised."""
    return bytes((kinds[identifier.kind].code,)) + identifier.value.encode()


def merge_key(ordinal: int) -> bytes:
    """The key of a record of a merge."""
    return _HASH.pack(ordinal)


def contact_key(contact: int) -> bytes:
    """The key of a contact's profile."""
    return _CONTACT.pack(contact)


async def load_working_set(log: EventLog, partition: Partition) -> WorkingSet:
    """A working set with nothing but what there is once, and the identifiers that seem shared, in memory."""
    kinds, next_contact, merges = await log.get(partition, META, (_KINDS, _NEXT, _MERGE_COUNT))
    learned = {} if kinds is None else {name: Kind(kind) for name, kind in json.loads(kinds).items()}
    settings = await load_settings(log, partition)
    return WorkingSet(
        Meta(
            kinds=AttributeKinds(learned),
            next_contact=FIRST_CONTACT if next_contact is None else _CONTACT.unpack(next_contact)[0],
            merge_count=0 if merges is None else _HASH.unpack(merges)[0],
            settings=settings,
            suspects=await load_suspects(log, partition, kinds_of(settings)),
            tombstones={key: _INSTANT.unpack(value)[0] async for key, value in log.scan(partition, TOMBSTONES)},
        )
    )


async def load_next_contact(log: EventLog, partition: Partition) -> int:
    """The number that the next contact gets; all of them have smaller ones."""
    [row] = await log.get(partition, META, (_NEXT,))
    return FIRST_CONTACT if row is None else int(_CONTACT.unpack(row)[0])


async def load_settings(log: EventLog, partition: Partition) -> IdentitySettings | None:
    """The rules about identifiers that the log has set; None: the default ones."""
    [row] = await log.get(partition, META, (_SETTINGS,))
    return None if row is None else decode_settings(row)


def kinds_of(settings: IdentitySettings | None) -> Kinds:
    """The kinds of identifiers in force."""
    return DEFAULT_KINDS if settings is None else settings.kinds


async def load_suspects(log: EventLog, partition: Partition, kinds: Kinds) -> dict[Identifier, Suspicion]:
    """All identifiers that seem shared."""
    names = {rule.code: name for name, rule in kinds.items()}
    rows = [one async for one in log.scan(partition, SUSPECTS)]
    return {Identifier(names[key[0]], key[1:].decode()): decode_suspicion(value) for key, value in rows}


async def load_merges(log: EventLog, partition: Partition, ordinals: Sequence[int]) -> list[MergeRecord]:
    """The records of these merges, in their order."""
    rows = await log.get(partition, MERGES, [merge_key(ordinal) for ordinal in ordinals]) if ordinals else []
    return [decode_merge(row) for row in rows if row is not None]


async def load_merge_count(log: EventLog, partition: Partition) -> int:
    """How many merges there were; their ordinals are 1 to this."""
    [row] = await log.get(partition, META, (_MERGE_COUNT,))
    return 0 if row is None else int(_HASH.unpack(row)[0])


async def load_outcome(log: EventLog, partition: Partition, order_id: str) -> Outcome | None:
    """What became of an order; None: it is not folded."""
    [row] = await log.get(partition, OUTCOMES, (order_id.encode(),))
    return None if row is None else decode_outcome(row)


async def load_wanted(log: EventLog, partition: Partition, state: WorkingSet, wanted: Wanted) -> None:
    """Bring what a fold wants into `state`."""
    if wanted.identifiers:
        links = await load_links(log, partition, wanted.identifiers, kinds_of(state.settings))
        state.load_links(zip(wanted.identifiers, links, strict=True))
    if wanted.contacts:
        rows = await log.get(partition, PROFILES, [contact_key(contact) for contact in wanted.contacts])
        state.load_profiles(decode_profile(row) for row in rows if row is not None)
    if wanted.orders:
        rows = await log.get(partition, ORDERS, [_HASH.pack(order) for order in wanted.orders])
        state.load_orders((order, row is not None) for order, row in zip(wanted.orders, rows, strict=True))
    if wanted.merges:
        state.load_merges(await load_merges(log, partition, wanted.merges))


async def load_links(
    log: EventLog, partition: Partition, identifiers: tuple[Identifier, ...], kinds: Kinds
) -> list[Link | None]:
    """Whose each identifier is, in order."""
    rows = await log.get(partition, IDENTIFIERS, [identifier_key(one, kinds) for one in identifiers])
    return [None if row is None else unpack_link(row) for row in rows]


def state_writes(changes: Changes, kinds: Kinds) -> list[TableWrite]:
    """What makes `changes` durable."""
    writes = []
    if changes.links or changes.gone_links:
        rows = {identifier_key(one, kinds): pack_link(to) for one, to in changes.links.items()}
        writes.append(TableWrite(IDENTIFIERS, rows, [identifier_key(one, kinds) for one in changes.gone_links]))
    if changes.profiles or changes.gone_profiles:
        rows = {contact_key(contact): encode_profile(profile) for contact, profile in changes.profiles.items()}
        writes.append(TableWrite(PROFILES, rows, [contact_key(contact) for contact in changes.gone_profiles]))
    if changes.orders:
        writes.append(TableWrite(ORDERS, {_HASH.pack(order): _PRESENT for order in changes.orders}))
    meta: dict[bytes, bytes] = {}
    if changes.kinds is not None:
        meta[_KINDS] = json.dumps({name: int(kind) for name, kind in changes.kinds.own.items()}).encode()
    if changes.next_contact is not None:
        meta[_NEXT] = _CONTACT.pack(changes.next_contact)
    if changes.merge_count is not None:
        meta[_MERGE_COUNT] = _HASH.pack(changes.merge_count)
    if changes.settings is not None:
        meta[_SETTINGS] = encode_settings(changes.settings)
    if changes.merges or changes.gone_merges:
        rows = {merge_key(one.ordinal): encode_merge(one) for one in changes.merges}
        writes.append(TableWrite(MERGES, rows, [merge_key(ordinal) for ordinal in changes.gone_merges]))
    if changes.erased:
        rows = {erasure_key(one.order_id, one.contacts[0]): encode_erased(one) for one in changes.erased}
        writes.append(TableWrite(ERASURES, rows))
    if changes.tombstones:
        writes.append(tombstone_row(changes.tombstones))
    if changes.suspects:
        put = {identifier_key(one, kinds): encode_suspicion(how) for one, how in changes.suspects.items() if how}
        gone = [identifier_key(one, kinds) for one, how in changes.suspects.items() if how is None]
        writes.append(TableWrite(SUSPECTS, put, gone))
    if changes.outcomes:
        rows = {order_id.encode(): encode_outcome(outcome) for order_id, outcome in changes.outcomes.items()}
        writes.append(TableWrite(OUTCOMES, rows))
    if meta:
        writes.append(TableWrite(META, meta))
    return writes


def tombstone_row(tombstones: Mapping[bytes, int]) -> TableWrite:
    """What makes tombstones durable."""
    return TableWrite(TOMBSTONES, {key: _INSTANT.pack(at_us) for key, at_us in tombstones.items()})


def erasure_key(order_id: str, contact: int) -> bytes:
    """The key of what is still stored of a person whom an order forgot."""
    return order_id.encode() + b"\0" + contact_key(contact)


def dead_letter_key(position: int, number: int) -> bytes:
    """The key of what was set aside of the entry at `position`."""
    return _DEAD_KEY.pack(position, number)


def dead_letter_place(key: bytes) -> tuple[int, int]:
    """Position and number of a key."""
    position, number = _DEAD_KEY.unpack(key)
    return position, number


def dead_letter_rows(position: int, letters: Sequence[tuple[DeadLetter, bytes]], tries: int) -> Mapping[bytes, bytes]:
    """Rows of the dead letters of one entry, each with its original bytes."""
    rows = {}
    for number, (letter, original) in enumerate(letters):
        rows[dead_letter_key(position, number)] = dead_letter_row(position, letter, tries, original)
    return rows


def dead_letter_row(position: int, letter: DeadLetter, tries: int, original: bytes) -> bytes:
    """Length of the JSON header (uint32), header, then `original`."""
    header = json.dumps(
        {
            "position": position,
            "message_id": letter.message_id,
            "reason": letter.reason,
            "detail": letter.detail,
            "tries": tries,
        }
    ).encode()
    return _CONTACT.pack(len(header)) + header + original


def read_dead_letter(row: bytes) -> tuple[dict[str, object], bytes]:
    """The header of a dead letter and the original bytes."""
    (size,) = _CONTACT.unpack_from(row)
    end = _CONTACT.size + size
    header: dict[str, object] = json.loads(row[_CONTACT.size : end])
    return header, row[end:]
