"""What the channel tells ingest: message activity as events, consent changes, and who clicked.

Ids are made from the message, so telling twice counts once.
"""

from __future__ import annotations

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from core.clock import SECOND_US
from services.channel.record import Record


def report_id(item: ingest_pb2.BatchItem) -> str:
    """The message id under which ingest knows the item."""
    return item.event.message_id if item.WhichOneof("item") == "event" else item.person.message_id


def sent(record: Record, zone: str, now_us: int) -> ingest_pb2.BatchItem:
    """The provider accepted the message; `zone` is the person's, by which it was sent by day or by night."""
    item = _event(record, f"{record.id}:sent", "message_sent", now_us)
    item.event.params["time_zone"].text = zone
    return item


def bounced(record: Record, now_us: int) -> ingest_pb2.BatchItem:
    """The provider refused the message for good; `reason` is what it replied."""
    item = _event(record, f"{record.id}:bounced", "message_bounced", now_us)
    item.event.params["reason"].text = record.delivery.reply or record.delivery.reason
    return item


def opened(record: Record, machine: bool, now_us: int) -> ingest_pb2.BatchItem:
    """The pixel was fetched; hits within a second are one."""
    event_id = f"{record.id}:opened:{_moment(machine, now_us)}"
    return _event(record, event_id, "message_opened", now_us, machine=machine)


def clicked(record: Record, index: int, link: str, machine: bool, now_us: int) -> ingest_pb2.BatchItem:
    """Link `index` was followed to `link`; hits within a second are one."""
    event_id = f"{record.id}:clicked:{index}:{_moment(machine, now_us)}"
    item = _event(record, event_id, "message_clicked", now_us, machine=machine)
    item.event.params["link"].text = link
    return item


def unsubscribed(record: Record, now_us: int) -> ingest_pb2.BatchItem:
    """The person unsubscribed by this message."""
    return _event(record, f"{record.id}:unsubscribed", "message_unsubscribed", now_us)


def visitor(record: Record, anonymous_id: str, now_us: int) -> ingest_pb2.BatchItem:
    """The browser with this cookie belongs to the person who got the message."""
    person = _person(record, f"{record.id}:visitor:{anonymous_id}", now_us)
    person.identifiers.append(facts_pb2.Identifier(kind="anonymous_id", value=anonymous_id))
    return ingest_pb2.BatchItem(person=person)


def consent(record: Record, state: str, now_us: int) -> ingest_pb2.BatchItem:
    """The person's consent for the message's channel is `state` from now on."""
    person = _person(record, f"{record.id}:consent:{state}", now_us)
    person.consents.append(
        facts_pb2.ConsentChange(channel=record.message.channel, state=state, source=f"message:{record.id}")
    )
    return ingest_pb2.BatchItem(person=person)


def _person(record: Record, message_id: str, now_us: int) -> ingest_pb2.Person:
    return ingest_pb2.Person(message_id=message_id, occurred_at_us=now_us, identifiers=[_key(record)])


def _key(record: Record) -> facts_pb2.Identifier:
    return facts_pb2.Identifier(kind="contact_key", value=record.contact_key)


def _event(
    record: Record, message_id: str, event_type: str, now_us: int, *, machine: bool = False
) -> ingest_pb2.BatchItem:
    message = record.message
    texts = {
        "message_id": message.id,
        "channel": message.channel,
        "kind": message.kind,
        "scenario": message.scenario,
        "run_id": message.run_id,
        "step": message.step,
        "template": message.template,
    }
    event = ingest_pb2.Event(
        message_id=message_id,
        type=event_type,
        occurred_at_us=now_us,
        identifiers=[_key(record)],
        params={name: facts_pb2.Value(text=text) for name, text in texts.items() if text},
        machine=machine,
    )
    return ingest_pb2.BatchItem(event=event)


def _moment(machine: bool, now_us: int) -> str:
    return f"{now_us // SECOND_US}{':machine' if machine else ''}"
