"""The tables of unification's state: their names, keys and values."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping

from core.eventlog.protocol import EventLog, Partition, TableWrite
from core.events.columns import Identifier
from core.identity.links import Link, pack_link, unpack_link
from core.identity.rules import DEFAULT_KINDS
from core.profile.codec import decode_profile, encode_profile
from core.profile.fold import DeadLetter
from core.profile.kinds import AttributeKinds
from core.profile.working_set import FIRST_CONTACT, Changes, Wanted, WorkingSet
from core.schema import Kind

#: Kind code (1 byte) and value of an identifier -> its link.
IDENTIFIERS = "identifiers"
#: Contact (uint32) -> profile.
PROFILES = "profiles"
#: Hash of an order's message id (uint64) -> nothing.
ORDERS = "orders"
#: What there is once: kinds of attributes, the next contact number.
META = "meta"
#: Position of the entry (uint64), number within it (uint32) -> what was set aside, and why.
DEAD_LETTERS = "dead_letters"

_KINDS = b"attribute_kinds"
_NEXT = b"next_contact"
_CONTACT = struct.Struct(">I")
_HASH = struct.Struct(">Q")
_DEAD_KEY = struct.Struct(">QI")
_PRESENT = b"1"


def identifier_key(identifier: Identifier) -> bytes:
    """The key of an identifier of a known kind, normalised."""
    return bytes((DEFAULT_KINDS[identifier.kind].code,)) + identifier.value.encode()


def contact_key(contact: int) -> bytes:
    """The key of a contact's profile."""
    return _CONTACT.pack(contact)


async def load_working_set(log: EventLog, partition: Partition) -> WorkingSet:
    """A working set with nothing but the metadata in memory."""
    kinds, next_contact = await log.get(partition, META, (_KINDS, _NEXT))
    learned = {} if kinds is None else {name: Kind(kind) for name, kind in json.loads(kinds).items()}
    number = FIRST_CONTACT if next_contact is None else _CONTACT.unpack(next_contact)[0]
    return WorkingSet(AttributeKinds(learned), number)


async def load_wanted(log: EventLog, partition: Partition, state: WorkingSet, wanted: Wanted) -> None:
    """Bring what a fold wants into `state`."""
    if wanted.identifiers:
        links = await load_links(log, partition, wanted.identifiers)
        state.load_links(zip(wanted.identifiers, links, strict=True))
    if wanted.contacts:
        rows = await log.get(partition, PROFILES, [contact_key(contact) for contact in wanted.contacts])
        state.load_profiles(decode_profile(row) for row in rows if row is not None)
    if wanted.orders:
        rows = await log.get(partition, ORDERS, [_HASH.pack(order) for order in wanted.orders])
        state.load_orders((order, row is not None) for order, row in zip(wanted.orders, rows, strict=True))


async def load_links(log: EventLog, partition: Partition, identifiers: tuple[Identifier, ...]) -> list[Link | None]:
    """Whose each identifier is, in order."""
    rows = await log.get(partition, IDENTIFIERS, [identifier_key(one) for one in identifiers])
    return [None if row is None else unpack_link(row) for row in rows]


def state_writes(changes: Changes) -> list[TableWrite]:
    """What makes `changes` durable."""
    writes = []
    if changes.links:
        writes.append(
            TableWrite(IDENTIFIERS, {identifier_key(one): pack_link(to) for one, to in changes.links.items()})
        )
    if changes.profiles:
        rows = {contact_key(contact): encode_profile(profile) for contact, profile in changes.profiles.items()}
        writes.append(TableWrite(PROFILES, rows))
    if changes.orders:
        writes.append(TableWrite(ORDERS, {_HASH.pack(order): _PRESENT for order in changes.orders}))
    meta: dict[bytes, bytes] = {}
    if changes.kinds is not None:
        meta[_KINDS] = json.dumps({name: int(kind) for name, kind in changes.kinds.own.items()}).encode()
    if changes.next_contact is not None:
        meta[_NEXT] = _CONTACT.pack(changes.next_contact)
    if meta:
        writes.append(TableWrite(META, meta))
    return writes


def dead_letter_rows(
    position: int, letters: tuple[DeadLetter, ...], tries: int, original: bytes
) -> Mapping[bytes, bytes]:
    """Rows of the dead letters of one entry: length of the JSON header (uint32), header, then `original`."""
    rows = {}
    for number, letter in enumerate(letters):
        header = json.dumps(
            {
                "position": position,
                "message_id": letter.message_id,
                "reason": letter.reason,
                "detail": letter.detail,
                "tries": tries,
            }
        ).encode()
        rows[_DEAD_KEY.pack(position, number)] = _CONTACT.pack(len(header)) + header + original
    return rows


def read_dead_letter(row: bytes) -> tuple[dict[str, object], bytes]:
    """The header of a dead letter and the original bytes."""
    (size,) = _CONTACT.unpack_from(row)
    end = _CONTACT.size + size
    header: dict[str, object] = json.loads(row[_CONTACT.size : end])
    return header, row[end:]
