"""Who a message is for, as the profile service knows them now."""

from __future__ import annotations

import grpc

from cdp.profile.v1 import profile_pb2
from core.errors import unavailable
from services.channel.record import Record
from services.runtime.errors import from_rpc
from services.runtime.stubs import Stubs

_TIMEOUT_S = 15.0


class Profiles:
    """Asks for profiles of one workspace."""

    def __init__(self, workspace: str, stubs: Stubs) -> None:
        self._workspace = workspace
        self._stubs = stubs

    async def of(self, record: Record) -> profile_pb2.Profile:
        """The profile of a message's contact as it is now, the survivor's if it was merged away; without a key if there
        is none. Raises UNAVAILABLE/PROFILE_UNAVAILABLE."""
        profile, _ = await self.placed(record)
        return profile

    async def placed(self, record: Record) -> tuple[profile_pb2.Profile, int]:
        """The same, and the position of unification's log that holds all of it."""
        message = record.message
        try:
            answer = await self._stubs.profile().BatchGet(
                profile_pb2.BatchGetRequest(
                    contacts=[message.contact], min_upstream_position=message.min_upstream_position
                ),
                metadata=self._stubs.internal_metadata(self._workspace),
                timeout=_TIMEOUT_S,
            )
        except grpc.aio.AioRpcError as error:
            failure = from_rpc(error)
            raise unavailable("PROFILE_UNAVAILABLE", f"{failure.reason}: {failure.message}") from error
        return answer.profiles[0], answer.position


def contacts_of(record: Record, profile: profile_pb2.Profile) -> frozenset[int]:
    """Whom the message was for, and who that is now; the profile of a contact that is gone names nobody."""
    return frozenset({record.message.contact, profile.contact} if profile.key else {record.message.contact})


def zone_of(profile: profile_pb2.Profile) -> str:
    """The time zone that the person's attribute `time_zone` names; "" where it holds no text."""
    for attribute in profile.attributes:
        if attribute.name == "time_zone" and attribute.value.WhichOneof("kind") == "text":
            return attribute.value.text
    return ""
