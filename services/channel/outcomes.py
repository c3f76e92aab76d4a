"""What an outcome makes of a message: its next state or way, what is held back from now on, and what is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cdp.ingest.v1 import ingest_pb2
from core.delivery.alternatives import Try, moves_on, next_way, waits_for_delivery
from core.delivery.bounces import BounceClass
from core.delivery.decision import Suppression, SuppressionCause
from core.delivery.outbox import Accepted, Outcome, Rejected, State, settle, start_over, watch
from services.channel import reports
from services.channel.record import Record
from services.channel.state import suppression_keys


@dataclass(frozen=True, slots=True)
class Settled:
    """A record after a step, with what is committed beside it: what ingest is told, and suppressions."""

    record: Record
    items: Sequence[ingest_pb2.BatchItem] = ()
    held: Sequence[tuple[bytes, Suppression]] = ()
    #: Rows of the ledger that changed.
    counted: Sequence[str] = ()


def settled(record: Record, outcome: Outcome, personal: bool, zone: str, now_us: int) -> Settled:
    """After the call of a provider. `personal`: an address of the channel belongs to one person."""
    done = record.moved(settle(record.delivery, outcome, record.kind.transactional, now_us))
    match outcome:
        case Rejected(bounced=True):
            items = [reports.bounced(done, now_us, BounceClass.HARD), reports.consent(done, "bounced", now_us)]
            # The address alone: a new address of the same person is another matter.
            keys = suppression_keys(done.channel, (), (done.delivery.address,), personal)
            told = Suppression(SuppressionCause.BOUNCED, now_us, done.message.contact)
            held = [(key, told) for key in keys]
            return onward(done, now_us, items, held)
        case Rejected(by_provider=True):
            return onward(done, now_us, [reports.bounced(done, now_us)])
        case Accepted(answer=answer) if done.channel == reports.WEBHOOK:
            items = [reports.sent(done, zone, now_us), reports.webhook_answered(done, answer, now_us)]
            return Settled(done, items)
        case Accepted():
            others = len(done.tries) + 1 < len(done.ways)
            if waits_for_delivery(done.channel, done.message.patience_us, others):
                done = done.moved(watch(done.delivery, now_us + done.message.patience_us))
            return Settled(done, [reports.sent(done, zone, now_us)])
        case _:
            return onward(done, now_us)


def onward(
    record: Record,
    now_us: int,
    items: Sequence[ingest_pb2.BatchItem] = (),
    held: Sequence[tuple[bytes, Suppression]] = (),
) -> Settled:
    """A message whose way may have ended: refused, it goes on by another one if there is any left."""
    state, reason = record.delivery.state, record.delivery.reason
    if moves_on(state, reason, record.message.expires_at_us > now_us):
        found = next_way(record.ways, {one.way for one in record.tries} | {record.way or 0}, "")
        if found is not None:
            return Settled(_by(record, found, state, reason, now_us), items, held)
    if record.channel == reports.WEBHOOK and record.contact_key and state in (State.REFUSED, State.UNCERTAIN):
        items = [*items, reports.webhook_failed(record, reason, now_us)]
    return Settled(record, items, held)


def undelivered(record: Record, reason: str, now_us: int) -> Record:
    """An accepted message that was not delivered: by its next way, if there is one."""
    found = next_way(record.ways, {one.way for one in record.tries} | {record.way or 0}, "")
    if found is None:
        return record.moved(watch(record.delivery, 0))
    return _by(record, found, State.ACCEPTED, reason, now_us)


def _by(record: Record, way: int, state: State, reason: str, now_us: int) -> Record:
    delivery = record.delivery
    done = Try(
        record.way or 0,
        record.channel,
        record.template,
        state,
        reason,
        delivery.reply,
        record.provider,
        delivery.address,
        delivery.finished_at_us or now_us,
    )
    return replace(
        record, delivery=start_over(delivery, now_us), way=way, tries=(*record.tries, done), provider="", variant=""
    )
