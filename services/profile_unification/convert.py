"""Between unification's wire forms and core."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdp.facts.v1 import facts_pb2
from cdp.profile.v1 import profile_pb2
from core.clock import MAX_INSTANT_US, MIN_INSTANT_US
from core.errors import CdpError, invalid
from core.events.columns import IMPORTED, MACHINE, Event, EventColumns, Identifier
from core.profile.accepted import (
    AcceptedBatch,
    AcceptedFact,
    AcceptedMark,
    ConsentChange,
    ErasureOrder,
    ProductUpdate,
    ProfileUpdate,
    RulesOrder,
    Separation,
)
from core.profile.fold import DeadLetter
from core.profile.profile import Profile
from core.schema import Scalar
from services.runtime.facts import (
    columns_from_proto,
    marked_from_proto,
    object_to_proto,
    scalar_from_proto,
    value_from_proto,
    value_to_proto,
)
from services.runtime.identity_rules import change_from_proto
from services.runtime.product_changes import changes_from_proto


def accepted_from_proto(
    message: facts_pb2.AcceptedBatch, position: int
) -> tuple[AcceptedBatch, tuple[DeadLetter, ...]]:
    """One entry of ingest's log, and those of its facts that say nothing this release understands.

    Raises INVALID / BAD_COLUMNS when the columns of events do not fit together.
    """
    events = columns_from_proto(message.events)
    _check(events)
    facts, dead = [], []
    for fact in message.facts:
        try:
            facts.append(_fact_from_proto(fact))
        except CdpError as error:
            dead.append(DeadLetter(fact.id, error.reason, error.message))
    return AcceptedBatch(position, events, tuple(facts)), tuple(dead)


def identifiers_from_proto(messages: Iterable[facts_pb2.Identifier]) -> tuple[Identifier, ...]:
    """Identifiers in order, not normalised."""
    return tuple(Identifier(message.kind, message.value) for message in messages)


def profile_to_proto(profile: Profile, known: bool, first_seen_us: int) -> profile_pb2.Profile:
    """The public view of a profile, what waits in it aside; a missing attribute is left out."""
    return profile_pb2.Profile(
        contact=profile.contact,
        key=profile.key,
        known=known,
        identifiers=[
            facts_pb2.Identifier(kind=kind, value=value)
            for kind, value in sorted((one.kind, one.value) for one in profile.identifiers)
        ],
        attributes=[
            profile_pb2.Attribute(name=name, value=value_to_proto(one.value), occurred_at_us=one.at_us)
            for name, one in sorted(profile.attributes.items())
            if one.value is not None
        ],
        consents=[
            profile_pb2.Consent(
                channel=name.partition("/")[0],
                category=name.partition("/")[2],
                state=one.state,
                occurred_at_us=one.at_us,
                source=one.source,
                proof=one.proof,
            )
            for name, one in sorted(profile.consents.items())
        ],
        lists=[name for name in sorted(profile.lists) if profile.on_list(name)],
        first_seen_at_us=first_seen_us,
        reachable=profile.reachable(),
        merged_keys=[key for _, key in profile.merged],
    )


def event_to_proto(event: Event) -> profile_pb2.TimelineEvent:
    """One event of a timeline."""
    return profile_pb2.TimelineEvent(
        id=event.id,
        type=event.type,
        occurred_at_us=event.occurred_at_us,
        received_at_us=event.received_at_us,
        params={name: value_to_proto(value) for name, value in event.params.items()},
        items=[object_to_proto(item) for item in event.items],
        imported=bool(event.flags & IMPORTED),
        machine=bool(event.flags & MACHINE),
    )


def _fact_from_proto(message: facts_pb2.AcceptedFact) -> AcceptedFact:
    if not all(MIN_INSTANT_US <= at_us < MAX_INSTANT_US for at_us in (message.occurred_at_us, message.received_at_us)):
        raise invalid("BAD_INSTANT", "an instant lies outside the years 1 to 9999")
    fact: ProfileUpdate | ProductUpdate | Separation | RulesOrder | ErasureOrder | AcceptedMark
    match message.WhichOneof("fact"):
        case "profile":
            fact = _update_from_proto(message.profile)
        case "product":
            fact = _product_from_proto(message.product)
        case "separation":
            order = message.separation
            fact = Separation(order.survivor, order.merged, order.asked_by, order.reason)
        case "identity_rules":
            change = message.identity_rules
            fact = RulesOrder(change_from_proto(change.rules), change.asked_by)
        case "erasure":
            forget = message.erasure
            fact = ErasureOrder(tuple(forget.keys), forget.reason, forget.asked_by, forget.idle_since_us)
        case "machine_mark":
            mark = message.machine_mark
            fact = AcceptedMark(identifiers_from_proto(mark.identifiers), marked_from_proto(mark.events), mark.reason)
        case "dead_letter_replay":
            raise invalid("MISPLACED_FACT", "an order to fold something again stands alone in its entry")
        case None:
            raise invalid("UNKNOWN_FACT", "a fact of no kind that this release knows")
    return AcceptedFact(
        message.id,
        message.occurred_at_us,
        message.received_at_us,
        message.imported,
        message.before_event,
        fact,
    )


def _update_from_proto(message: facts_pb2.ProfileUpdate) -> ProfileUpdate:
    return ProfileUpdate(
        identifiers=identifiers_from_proto(message.identifiers),
        attributes={name: value_from_proto(message.attributes[name]) for name in sorted(message.attributes)},
        consents=tuple(
            ConsentChange(one.channel, one.state, one.source, one.category, one.proof) for one in message.consents
        ),
        lists=tuple((one.list, one.member) for one in message.lists),
    )


def _product_from_proto(message: facts_pb2.Product) -> ProductUpdate:
    fields: dict[str, Scalar] = {}
    if not message.deleted:
        for name in sorted(message.fields):
            value = scalar_from_proto(message.fields[name])
            if value is not None:
                fields[name] = value
    return ProductUpdate(message.product_id, fields, changes_from_proto(message.changes))


def _check(events: EventColumns) -> None:
    """Refuse columns that would break a reader later: lengths, and indices out of range."""
    n = len(events)
    items = int(events.item_offsets[-1]) if len(events.item_offsets) else -1
    lengths = (len(events.types), len(events.occurred_at_us), len(events.received_at_us), len(events.flags))
    texts = len(events.strings)
    sound = (
        set(lengths) == {n}
        and len(events.item_offsets) == n + 1
        and bool(np.all(events.item_offsets[1:] >= events.item_offsets[:-1]))
        and len(events.identifiers) in (0, n)
        and _below(events.types, texts)
        and _instants(events.occurred_at_us)
        and _instants(events.received_at_us)
        and all(
            len(column.rows) == len(column.values)
            and _below(column.rows, rows)
            and (column.kind.name not in ("TEXT", "TEXT_LIST") or _below(column.values, texts))
            for columns, rows in ((events.params, n), (events.item_params, items))
            for column in columns
        )
    )
    if not sound:
        raise invalid("BAD_COLUMNS", "the columns of the batch's events do not fit together")


def _instants(at_us: NDArray[np.int64]) -> bool:
    # A reception in the year 200,000 would let every remembered message id expire.
    return not len(at_us) or (int(at_us.min()) >= MIN_INSTANT_US and int(at_us.max()) < MAX_INSTANT_US)


def _below(indices: NDArray[np.integer[Any]], limit: int) -> bool:
    return not len(indices) or (int(indices.min()) >= 0 and int(indices.max()) < limit)
