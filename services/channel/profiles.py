"""Who a message is for, as the profile service knows them now."""

from __future__ import annotations

from collections.abc import Sequence

import grpc

from cdp.profile.v1 import profile_pb2
from core.errors import CdpError, unavailable
from services.channel.gathering import Gathering
from services.channel.record import Record
from services.runtime.errors import from_rpc
from services.runtime.stubs import Stubs

_TIMEOUT_S = 15.0
_Placed = tuple[profile_pb2.Profile, int]


class Profiles:
    """Asks for profiles of one workspace; messages on their way at the same time share calls."""

    def __init__(self, workspace: str, stubs: Stubs) -> None:
        self._workspace = workspace
        self._stubs = stubs
        #: What the profile service was known to have folded: who needs no more waits for nobody who does.
        self._reached = 0
        self._there: Gathering[int, _Placed] = Gathering(self._ask)
        self._ahead: Gathering[int, _Placed] = Gathering(self._ask)

    async def of(self, record: Record) -> profile_pb2.Profile:
        """The profile of a message's contact as it is now, the survivor's if it was merged away; without a key if there
        is none. Raises UNAVAILABLE/PROFILE_UNAVAILABLE."""
        profile, _ = await self.placed(record)
        return profile

    async def placed(self, record: Record) -> _Placed:
        """The same, and the position of unification's log that holds all of it."""
        message = record.message
        return await self.person(message.contact, message.min_upstream_position)

    async def person(self, contact: int, min_upstream_position: int = 0) -> _Placed:
        """The person that a contact is part of now, and the position of the log that holds all of it; without a key if
        there is nobody. Raises UNAVAILABLE/PROFILE_UNAVAILABLE."""
        gathering = self._there if min_upstream_position <= self._reached else self._ahead
        profile, position = await gathering.of(contact, min_upstream_position)
        return profile if profile.key else await self._survivor(contact), position

    async def _survivor(self, contact: int) -> profile_pb2.Profile:
        request = profile_pb2.GetRequest(contact=contact, timeline_size=-1)
        metadata = self._stubs.internal_metadata(self._workspace)
        try:
            answer = await self._stubs.profile().Get(request, metadata=metadata, timeout=_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return profile_pb2.Profile()
            raise _unavailable(error) from error
        return answer.profile

    async def _ask(self, contacts: Sequence[int], position: int) -> Sequence[_Placed]:
        request = profile_pb2.BatchGetRequest(contacts=contacts, min_upstream_position=position)
        metadata = self._stubs.internal_metadata(self._workspace)
        try:
            answer = await self._stubs.profile().BatchGet(request, metadata=metadata, timeout=_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise _unavailable(error) from error
        self._reached = max(self._reached, position)
        return [(profile, answer.position) for profile in answer.profiles]


def _unavailable(error: grpc.aio.AioRpcError) -> CdpError:
    failure = from_rpc(error)
    return unavailable("PROFILE_UNAVAILABLE", f"{failure.reason}: {failure.message}")


def contacts_of(record: Record, profile: profile_pb2.Profile) -> frozenset[int]:
    """Whom the message was for, and who that is now; the profile of a contact that is gone names nobody."""
    return frozenset({record.message.contact, profile.contact} if profile.key else {record.message.contact})


def zone_of(profile: profile_pb2.Profile) -> str:
    """The time zone that the person's attribute `time_zone` names; "" where it holds no text."""
    for attribute in profile.attributes:
        if attribute.name == "time_zone" and attribute.value.WhichOneof("kind") == "text":
            return attribute.value.text
    return ""
