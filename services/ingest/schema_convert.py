"""Names, bases and changes of a schema between their wire form and core.events.schema."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

from cdp.facts.v1 import facts_pb2
from cdp.schema.v1 import schema_pb2 as pb
from core.events.schema import Base, Definition, is_canonical
from core.events.schema_codec import Change
from core.events.schema_listing import Order
from services.runtime.pages import bad_page_token
from services.runtime.schema_places import place_to_proto

_LONGEST_TOKEN = 4_096


def name_to_proto(one: Definition) -> pb.Name:
    """The name on the wire."""
    return pb.Name(
        place=place_to_proto(one.place),
        shown=one.name,
        names=one.names,
        kind=facts_pb2.Kind.ValueType(one.kind or 0),
        title=one.title,
        base=one.base,
        declared=one.declared,
        canonical=is_canonical(one.place),
        retired=one.retired,
        since_us=one.since_us,
    )


def base_to_proto(base: Base) -> pb.Base:
    """The base on the wire."""
    return pb.Base(id=base.id, title=base.title, since_us=base.since_us)


def change_to_proto(change: Change) -> pb.Change:
    """The entry on the wire."""
    return pb.Change(
        recorded_at_us=change.at_us,
        actor=change.actor,
        action=change.action,
        names=[name_to_proto(row) for row in change.rows if isinstance(row, Definition)],
        bases=[base_to_proto(row) for row in change.rows if isinstance(row, Base)],
    )


def token_of(order: Order) -> str:
    """The page token of a list that ended with `order`."""
    return urlsafe_b64encode(json.dumps(order).encode()).decode()


def order_from_token(token: str) -> Order:
    """Where the page before ended. Raises INVALID / BAD_PAGE_TOKEN for anything that `token_of` did not give."""
    try:
        family, owner, key = json.loads(urlsafe_b64decode(token[:_LONGEST_TOKEN].encode()))
    except (ValueError, TypeError):
        raise bad_page_token() from None
    if not (isinstance(family, str) and isinstance(owner, str) and isinstance(key, str)):
        raise bad_page_token()
    return family, owner, key
