"""A message with its delivery, and its stored form."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from cdp.channel.v1 import channel_pb2
from core.delivery.decision import MessageKind
from core.delivery.outbox import Delivery, State
from core.errors import CdpError, Code

_VERSION = 1
_HEAD = struct.Struct("<BqqH")


@dataclass(frozen=True, slots=True)
class Record:
    """One message of the outbox. `sequence` counts from 1 in the order of taking over; `contact_key` is the person's
    public id, empty before the profile was first read. `message` is never changed."""

    message: channel_pb2.OutgoingMessage
    delivery: Delivery
    sequence: int
    contact_key: str = ""

    @property
    def id(self) -> str:
        """The message's id."""
        return self.message.id

    @property
    def kind(self) -> MessageKind:
        """Checked at the door, so always one of ours."""
        return MessageKind(self.message.kind)

    def moved(self, delivery: Delivery) -> Record:
        """The same message, further on."""
        return replace(self, delivery=delivery)

    def to_proto(self) -> channel_pb2.Message:
        """The wire form."""
        delivery = self.delivery
        return channel_pb2.Message(
            message=self.message,
            state=channel_pb2.MessageState.ValueType(int(delivery.state)),
            reason=delivery.reason,
            reserved_at_us=delivery.reserved_at_us,
            finished_at_us=delivery.finished_at_us,
            address=delivery.address,
            attempts=delivery.attempts,
            provider_reply=delivery.reply,
        )


def encode(record: Record) -> bytes:
    """The stored form: version, sequence, due instant, contact key, then the wire form."""
    key = record.contact_key.encode()
    head = _HEAD.pack(_VERSION, record.sequence, record.delivery.due_at_us, len(key))
    return head + key + record.to_proto().SerializeToString(deterministic=True)


def decode(raw: bytes) -> Record:
    """The record of stored bytes. Raises INTERNAL/BAD_RECORD for another version."""
    version, sequence, due_at_us, key_bytes = _HEAD.unpack_from(raw)
    if version != _VERSION:
        raise CdpError(Code.INTERNAL, "BAD_RECORD", f"an outbox record of version {version} cannot be read")
    end = _HEAD.size + key_bytes
    stored = channel_pb2.Message.FromString(raw[end:])
    delivery = Delivery(
        State(int(stored.state)),
        stored.reserved_at_us,
        due_at_us,
        stored.attempts,
        stored.address,
        stored.reason,
        stored.provider_reply,
        stored.finished_at_us,
    )
    return Record(stored.message, delivery, sequence, raw[_HEAD.size : end].decode())
