"""What the channel tells ingest: message activity as events, consent changes, and who clicked.

Ids are made from the message, so telling twice counts once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from core.clock import SECOND_US
from core.delivery.bounces import BounceClass, classify
from core.events.facts import MarkedEvent
from core.identity.push_tokens import MOBILE_PUSH, WEB_PUSH, device_category
from core.schema import Value
from services.channel.list_links import ListMove
from services.channel.record import Record
from services.runtime.facts import value_to_proto

#: The channel whose receivers answer, to whom a scenario may listen.
WEBHOOK = "webhook"


def report_id(item: ingest_pb2.BatchItem) -> str:
    """The message id under which ingest knows the item."""
    match item.WhichOneof("item"):
        case "event":
            return item.event.message_id
        case "mark":
            return item.mark.message_id
        case _:
            return item.person.message_id


def sent(record: Record, zone: str, now_us: int) -> ingest_pb2.BatchItem:
    """The provider accepted the message; `zone` is the person's, by which it was sent by day or by night."""
    item = _event(record, f"{_try_id(record)}:sent", "message_sent", now_us)
    item.event.params["time_zone"].text = zone
    return item


def bounced(record: Record, now_us: int, kind: BounceClass | None = None, reason: str = "") -> ingest_pb2.BatchItem:
    """The message was refused for good, by the provider (`reason`: what it replied) or by a report that came back.
    `kind` is read from the reason unless it is known."""
    item = _event(record, f"{_try_id(record)}:bounced", "message_bounced", now_us)
    said = reason or record.delivery.reply or record.delivery.reason
    item.event.params["reason"].text = said
    item.event.params["bounce"].text = (kind or classify("", said)).value
    return item


def delivered(record: Record, now_us: int) -> ingest_pb2.BatchItem:
    """The provider told that the message arrived."""
    return _event(record, f"{_try_id(record)}:delivered", "message_delivered", now_us)


def webhook_answered(record: Record, answer: Mapping[str, Value], now_us: int) -> ingest_pb2.BatchItem:
    """The receiver of a webhook took it. `answer`: its `status`, and fields of its document as `answer_<name>`."""
    item = _event(record, f"{_try_id(record)}:answered", "webhook_answered", now_us)
    for name, value in answer.items():
        item.event.params[name].CopyFrom(value_to_proto(value))
    return item


def webhook_failed(record: Record, reason: str, now_us: int) -> ingest_pb2.BatchItem:
    """A webhook was refused, by the receiver or by us, or nobody knows what became of it."""
    item = _event(record, f"{record.id}:failed", "webhook_failed", now_us)
    item.event.params["reason"].text = reason
    return item


def answer_refused(item: ingest_pb2.BatchItem, reason: str) -> ingest_pb2.BatchItem | None:
    """What is told in the place of a webhook's answer that ingest does not take, such as a field that was a number once
    and is a text now: whoever waits for it must not wait for ever. None for any other item."""
    if item.event.type != "webhook_answered":
        return None
    told = ingest_pb2.BatchItem()
    told.CopyFrom(item)
    event = told.event
    event.type, event.message_id = "webhook_failed", f"{event.message_id}:refused"
    for name in [name for name in event.params if name == "status" or name.startswith("answer_")]:
        del event.params[name]
    event.params["reason"].text = f"ANSWER_REFUSED: {reason}"
    return told


def complained(record: Record, now_us: int, reason: str) -> ingest_pb2.BatchItem:
    """The person's provider passed a complaint on."""
    item = _event(record, f"{record.id}:complained", "message_complained", now_us)
    item.event.params["reason"].text = reason
    return item


def marked(record: Record, events: Sequence[MarkedEvent], reason: str, now_us: int) -> ingest_pb2.BatchItem:
    """Hits that were reported as a person's turned out to be a machine's."""
    mark = ingest_pb2.Mark(
        message_id=f"{record.id}:marked:{reason}:{now_us}",
        occurred_at_us=now_us,
        identifiers=[_key(record)],
        events=[facts_pb2.MarkedEvent(id=one.id, occurred_at_us=one.occurred_at_us) for one in events],
        reason=reason,
    )
    return ingest_pb2.BatchItem(mark=mark)


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
    """The person's consent for the message's channel is `state` from now on. A push that bounced says so of its device
    alone: the person may have others."""
    person = _person(record, f"{_try_id(record)}:consent:{state}", now_us)
    channel = record.channel
    of_a_device = state == "bounced" and channel in (WEB_PUSH, MOBILE_PUSH)
    category = device_category(record.delivery.address) if of_a_device else ""
    person.consents.add(channel=channel, category=category, state=state, source=f"message:{record.id}")
    return ingest_pb2.BatchItem(person=person)


def chosen(record: Record, changed: Mapping[str, bool], proof: str, now_us: int) -> ingest_pb2.BatchItem:
    """The person chose on the preference page: categories of the message's channel (empty: the channel), on or off."""
    said = ",".join(f"{category}={int(on)}" for category, on in sorted(changed.items()))
    person = _person(record, f"{record.id}:chosen:{now_us}:{sha256(said.encode()).hexdigest()[:8]}", now_us)
    for category, on in sorted(changed.items()):
        state = "granted" if on else "denied"
        person.consents.add(
            channel=record.channel,
            category=category,
            state=state,
            source=f"preferences:{record.id}",
            proof=proof,
        )
    return ingest_pb2.BatchItem(person=person)


def moved(record: Record, index: int, move: ListMove, now_us: int) -> ingest_pb2.BatchItem:
    """The person answered by link `index`: on and off lists."""
    person = _person(record, f"{record.id}:moved:{index}:{now_us // SECOND_US}", now_us)
    if move.off:
        person.lists.add(list=move.off, member=False)
    if move.to:
        person.lists.add(list=move.to, member=True)
    return ingest_pb2.BatchItem(person=person)


def answered(record: Record, index: int, move: ListMove, now_us: int) -> ingest_pb2.BatchItem:
    """The person pressed the button of link `index`; presses within a second are one."""
    item = _event(record, f"{record.id}:answered:{index}:{now_us // SECOND_US}", "list_link_clicked", now_us)
    told = {"answer": move.answer, "to_list": move.to, "from_list": move.off, "link": move.url}
    for name, text in told.items():
        if text:
            item.event.params[name].text = text
    return item


def _try_id(record: Record) -> str:
    """Of the first way the message's id; those of later ones are told apart from it."""
    return f"{record.id}:{len(record.tries) + 1}" if record.tries else record.id


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
        "channel": record.channel,
        "kind": message.kind,
        "scenario": message.scenario,
        "run_id": message.run_id,
        "step": message.step,
        "template": record.template,
        "variant": record.variant,
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
