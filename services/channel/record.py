"""A message with its delivery, and its stored form."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from cdp.channel.v1 import channel_pb2
from core.delivery.alternatives import Try, Way
from core.delivery.decision import MessageKind
from core.delivery.outbox import Delivery, State
from core.errors import CdpError, Code

_VERSION = 1
_HEAD = struct.Struct("<BqqH")


@dataclass(frozen=True, slots=True)
class Record:
    """One message of the outbox. `sequence` counts from 1 in the order of taking over; `contact_key` is the person's
    public id, empty before the profile was first read. `message` is never changed. `way` is the index of the channel
    that it goes by (see `ways`), None before one was chosen; `tries` are the ways that led nowhere, the first first;
    `provider` and `variant` are those of the last try, empty before it."""

    message: channel_pb2.OutgoingMessage
    delivery: Delivery
    sequence: int
    contact_key: str = ""
    way: int | None = None
    tries: tuple[Try, ...] = ()
    provider: str = ""
    variant: str = ""

    @property
    def id(self) -> str:
        """The message's id."""
        return self.message.id

    @property
    def kind(self) -> MessageKind:
        """Checked at the door, so always one of ours."""
        return MessageKind(self.message.kind)

    @property
    def ways(self) -> list[Way]:
        """The message's own channel, then its alternatives."""
        message = self.message
        own = Way(message.channel, message.template)
        return [own, *(Way(one.channel, one.template) for one in message.alternatives)]

    @property
    def channel(self) -> str:
        """That by which the message goes, or went."""
        return self.message.alternatives[self.way - 1].channel if self.way else self.message.channel

    @property
    def template(self) -> str:
        """That by which it is written."""
        return self.message.alternatives[self.way - 1].template if self.way else self.message.template

    def earlier(self) -> list[Record]:
        """The message as it was each time a provider took it before it went on by another way: it may have arrived."""
        return [
            replace(
                self,
                way=one.way,
                tries=self.tries[:index],
                provider=one.provider,
                delivery=Delivery(
                    one.state, self.delivery.reserved_at_us, 0, 1, one.address, "", one.reply, one.finished_at_us
                ),
            )
            for index, one in enumerate(self.tries)
            if one.state is State.ACCEPTED
        ]

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
            channel=self.channel,
            provider=self.provider,
            variant=self.variant,
            due_at_us=delivery.due_at_us,
            tries=[_try_to_proto(one) for one in self.tries],
            way=0 if self.way is None else self.way + 1,
        )


def _try_to_proto(one: Try) -> channel_pb2.Message.Try:
    return channel_pb2.Message.Try(
        way=one.way + 1,
        channel=one.channel,
        template=one.template,
        state=channel_pb2.MessageState.ValueType(int(one.state)),
        reason=one.reason,
        provider_reply=one.reply,
        provider=one.provider,
        address=one.address,
        finished_at_us=one.finished_at_us,
    )


def _try_from_proto(one: channel_pb2.Message.Try) -> Try:
    return Try(
        one.way - 1,
        one.channel,
        one.template,
        State(int(one.state)),
        one.reason,
        one.provider_reply,
        one.provider,
        one.address,
        one.finished_at_us,
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
    return Record(
        stored.message,
        delivery,
        sequence,
        raw[_HEAD.size : end].decode(),
        stored.way - 1 if stored.way else None,
        tuple(_try_from_proto(one) for one in stored.tries),
        stored.provider,
        stored.variant,
    )
