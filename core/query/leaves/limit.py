"""The limit of a rule: at most so many of its members, chosen by a hash or by a measure."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.index.contact_set import ContactSet
from core.query.ast import Limit
from core.query.execute_context import Context
from core.query.leaves.hashes import hashes
from core.query.leaves.measures import MeasureValues, measure_values

#: Where members are fewer than one contact in so many, only theirs are measured.
_FEW = 16


def cut(members: ContactSet, limit: Limit, context: Context) -> ContactSet:
    """The `limit.count` members that come first: by hash of the salt, or by the measure, largest (or smallest) first,
    members without it left out. Equal values go by hash, equal hashes by public id as UTF-8 bytes."""
    if limit.by is None:
        if len(members) <= limit.count:
            return members
        numbers = members.numbers()
        same = np.zeros(len(numbers), np.int64)
        return ContactSet.from_numbers(_first(numbers, same, limit, context))
    found = _measured(members, limit, context)
    if len(found) <= limit.count:
        return ContactSet.from_numbers(found.contacts)
    return ContactSet.from_numbers(_first(found.contacts, found.values, limit, context))


def _measured(members: ContactSet, limit: Limit, context: Context) -> MeasureValues:
    assert limit.by is not None
    if len(members) * _FEW >= context.root.contact_count:
        return measure_values(limit.by, context.whole()).among(members)
    few = Context(
        context.root, context.as_of_us, context.zone_name, members.numbers(), context.setting, context.knowledge
    )
    return measure_values(limit.by, few)


def _first(contacts: NDArray[np.uint32], values: NDArray[Any], limit: Limit, context: Context) -> NDArray[np.uint32]:
    """The first `limit.count` of more contacts than that. Only those that share the last value that still comes in are
    told apart by hash, and only those that share the last hash by id."""
    count = limit.count
    if count <= 0:
        return contacts[:0]
    place = count - 1 if limit.smallest or limit.by is None else len(values) - count
    last = np.partition(values, place)[place]
    ahead = values < last if limit.smallest or limit.by is None else values > last
    tied = contacts[np.asarray(values == last, np.bool_)]
    chosen = contacts[np.asarray(ahead, np.bool_)]
    wanted = count - len(chosen)
    if wanted < len(tied):
        tied = _first_by_hash(tied, wanted, limit.salt, context)
    return np.concatenate((chosen, tied))


def _first_by_hash(contacts: NDArray[np.uint32], count: int, salt: str, context: Context) -> NDArray[np.uint32]:
    found = hashes(context.root, context.setting.workspace, salt, contacts)
    last = np.partition(found, count - 1)[count - 1]
    chosen, tied = contacts[found < last], contacts[found == last]
    wanted = count - len(chosen)
    if wanted < len(tied):
        tied = np.array(sorted(tied.tolist(), key=lambda one: context.root.key_of(one).encode())[:wanted], np.uint32)
    return np.concatenate((chosen, tied))
