"""Launches of one workspace, their contacts, and what is left of those that are done.

Tables: "launches" (id -> launch as JSON) and "launch_members" (id -> its contacts, Roaring portable format, while it is
going on).
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from cdp.facts.v1 import facts_pb2
from core.eventlog.protocol import EventLog, Partition, TableWrite
from core.scenario.launch import Launch, LaunchKind
from core.schema import Scalar
from services.runtime.facts import object_to_proto, scalar_from_proto

LAUNCHES, MEMBERS = "launches", "launch_members"
#: How many that are done are still listed.
_KEPT = 1_000


class Launches:
    """Launches by id. Memory is changed first; `drain` gives the writes."""

    def __init__(self, log: EventLog, partition: Partition) -> None:
        self._log = log
        self._partition = partition
        self._all: dict[str, Launch] = {}
        self._open: dict[str, None] = {}
        self._members: dict[str, NDArray[np.uint32]] = {}
        self._changed: dict[str, None] = {}
        self._fixed: dict[bytes, bytes] = {}
        self._released: dict[bytes, None] = {}

    @staticmethod
    async def load(log: EventLog, partition: Partition) -> Launches:
        """Read what is stored; contacts are read when their turn comes."""
        self = Launches(log, partition)
        async for _, stored in log.scan(partition, LAUNCHES):
            launch = _decode(stored)
            self._all[launch.id] = launch
        for launch in sorted(self._all.values(), key=lambda one: (one.due_at_us, one.id)):
            if not launch.is_done:
                self._open[launch.id] = None
        return self

    def open(self, limit: int | None = None) -> list[Launch]:
        """Those that are not done, up to `limit`, in the order in which they were planned."""
        return [self._all[one] for one in islice(self._open, limit)]

    def get(self, launch_id: str) -> Launch | None:
        """The launch as it stands."""
        return self._all.get(launch_id)

    def newest_first(self, scenario: str) -> list[Launch]:
        """All that are known, of one scenario or (empty) of all, the latest due first."""
        mine = (one for one in self._all.values() if not scenario or one.scenario == scenario)
        return sorted(mine, key=lambda one: (one.due_at_us, one.id), reverse=True)

    def put(self, launch: Launch) -> None:
        """Keep a launch as it is now. Of one that is done the contacts are let go, and one that had none is forgotten
        unless somebody planned it."""
        self._all[launch.id] = launch
        self._changed[launch.id] = None
        if not launch.is_done:
            self._open[launch.id] = None
        else:
            self._open.pop(launch.id, None)
            self._members.pop(launch.id, None)
            self._fixed.pop(launch.id.encode(), None)
            self._released[launch.id.encode()] = None
            if launch.kind is LaunchKind.PRODUCT and not launch.contacts:
                del self._all[launch.id]
            self._forget_old()

    def fix(self, launch_id: str, members: NDArray[np.uint32]) -> None:
        """These are the contacts of a launch, ascending."""
        self._members[launch_id] = members
        self._fixed[launch_id.encode()] = BitMap(members).serialize()

    async def members(self, launch_id: str) -> NDArray[np.uint32]:
        """The contacts of a launch that was fixed, ascending."""
        members = self._members.get(launch_id)
        if members is None:
            (stored,) = await self._log.get(self._partition, MEMBERS, [launch_id.encode()])
            if stored is None:
                raise ValueError(f"launch {launch_id} has no contacts")
            members = np.array(BitMap.deserialize(stored), np.uint32)
            self._members[launch_id] = members
        return members

    def drain(self) -> tuple[TableWrite, ...]:
        """What changed since the last call, as writes; commit them."""
        changed, self._changed = self._changed, {}
        fixed, self._fixed = self._fixed, {}
        released, self._released = self._released, {}
        writes: list[TableWrite] = []
        if changed:
            put = {one.encode(): _encode(self._all[one]) for one in changed if one in self._all}
            writes.append(TableWrite(LAUNCHES, put, tuple(one.encode() for one in changed if one not in self._all)))
        if fixed or released:
            writes.append(TableWrite(MEMBERS, fixed, tuple(released)))
        return tuple(writes)

    def _forget_old(self) -> None:
        if len(self._all) <= 2 * _KEPT:
            return
        done = sorted((one for one in self._all.values() if one.is_done), key=lambda one: (one.ended_at_us, one.id))
        for launch in done[:-_KEPT]:
            del self._all[launch.id]
            self._changed[launch.id] = None

    def __iter__(self) -> Iterator[Launch]:
        return iter(self._all.values())


def _encode(launch: Launch) -> bytes:
    fields = {
        "id": launch.id,
        "kind": launch.kind.value,
        "scenario": launch.scenario,
        "version": launch.version,
        "due_at_us": launch.due_at_us,
        "segment": launch.segment,
        "values": _values_text(launch.values),
        "min_position": launch.min_position,
        "contacts": launch.contacts,
        "cursor": launch.cursor,
        "started": launch.started,
        "refused": launch.refused,
        "held_by": launch.held_by,
        "cancelled": launch.cancelled,
        "ended_at_us": launch.ended_at_us,
    }
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def _decode(stored: bytes) -> Launch:
    fields = json.loads(stored)
    return Launch(**{**fields, "kind": LaunchKind(fields["kind"]), "values": _values(fields["values"])})


def _values_text(values: Mapping[str, Scalar]) -> str:
    return b64encode(object_to_proto(values).SerializeToString(deterministic=True)).decode()


def _values(text: str) -> dict[str, Scalar]:
    fields = facts_pb2.Object.FromString(b64decode(text)).fields
    values = {name: scalar_from_proto(wire) for name, wire in fields.items()}
    return {name: value for name, value in values.items() if value is not None}
