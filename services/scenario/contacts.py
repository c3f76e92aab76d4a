"""What runs ask about contacts and change of them: unification tells who they are, ingest takes what is told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import grpc

from cdp.coupon.v1 import coupon_pb2, coupon_pb2_grpc
from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from cdp.profile.v1 import profile_pb2
from core.errors import CdpError, Code, unavailable
from core.identity.rules import CONTACT_KEY
from core.query.local_time import find_zone
from core.scenario.commands import AskContact, ChangeContact, TakeCoupon
from core.scenario.inputs import ContactTold, Done
from core.schema import Value
from services.runtime.caller import Workspace
from services.runtime.context import Runtime
from services.runtime.errors import from_rpc
from services.runtime.facts import value_from_proto, value_to_proto
from services.runtime.roles import Role

_TIMEOUT_S = 15.0
_ZONE = "time_zone"
#: No coupon for this contact, now or later.
_NO_COUPON = (Code.CONFLICT, Code.EXHAUSTED, Code.NOT_FOUND, Code.INVALID)
#: The request was made for one of the contact's former selves, before a merge.
_OTHER_PERSON = "REQUEST_ID_TAKEN"
#: The coupons of so many contacts are asked for at the same time.
_COUPONS = 8


class Contacts:
    """Calls for one workspace. Answers stand in the order asked; where one cannot be answered now stands its error."""

    def __init__(self, runtime: Runtime, workspace: Workspace) -> None:
        self._runtime = runtime
        self._workspace = workspace
        self._metadata = runtime.stubs.internal_metadata(workspace.id)
        self._places = asyncio.Semaphore(_COUPONS)

    async def ask(self, commands: Sequence[AskContact]) -> list[ContactTold | CdpError]:
        """Who contacts are, by one call."""
        upstream = max(command.upstream_position for command in commands)
        try:
            profiles, _ = await self._profiles([command.contact for command in commands], upstream)
        except CdpError as error:
            return [error] * len(commands)
        return [self._told(command, profiles.get(command.contact)) for command in commands]

    async def change(self, commands: Sequence[ChangeContact], scenario: str = "") -> list[Done | CdpError]:
        """Tell ingest of changes, by one call, and wait until unification has folded them: what a run changed is there
        for its next step. A repetition is the same change, by its id."""
        try:
            profiles, _ = await self._profiles([command.contact for command in commands], 0)
        except CdpError as error:
            return [error] * len(commands)
        known = [one for one in commands if profiles.get(one.contact) is not None]
        answers: dict[str, Done | CdpError] = {}
        if known:
            items = [_person(one, profiles[one.contact]) for one in known]
            try:
                answers = await self._changed(known, items)
            except CdpError as error:
                answers = {one.message_id: error for one in known}
        return [answers.get(one.message_id) or _unknown(one.contact) for one in commands]

    async def _changed(
        self, commands: Sequence[ChangeContact], items: Sequence[ingest_pb2.BatchItem]
    ) -> dict[str, Done | CdpError]:
        try:
            answer = await self._runtime.stubs.ingest().IngestBatch(
                ingest_pb2.IngestBatchRequest(items=items), metadata=self._metadata, timeout=_TIMEOUT_S
            )
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error) from error
        position = 0
        if answer.position:
            _, position = await self._profiles([commands[0].contact], answer.position)
        return {
            one.message_id: Done(one.message_id, result.reason)
            if result.reason
            else Done(one.message_id, upstream_position=answer.position, position=position)
            for one, result in zip(commands, answer.results, strict=True)
        }

    async def coupons(self, commands: Sequence[tuple[TakeCoupon, str]]) -> list[Done | CdpError]:
        """Have coupons issued, for (command, scenario). A repetition gets the code of the first time."""
        try:
            profiles, _ = await self._profiles([command.contact for command, _ in commands], 0)
        except CdpError as error:
            return [error] * len(commands)
        return await asyncio.gather(
            *(self._coupon(one, scenario, profiles.get(one.contact)) for one, scenario in commands)
        )

    async def _coupon(self, command: TakeCoupon, scenario: str, profile: profile_pb2.Profile | None) -> Done | CdpError:
        if profile is None:
            return _unknown(command.contact)
        refusal = ""
        for key in (profile.key, *profile.merged_keys):
            request = coupon_pb2.IssueCouponRequest(
                pool=command.pool,
                person=facts_pb2.Identifier(kind=CONTACT_KEY, value=key),
                occasion=command.message_id,
                campaign=scenario,
                request_id=command.message_id,
            )
            try:
                async with self._places:
                    answer = await self._coupon_stub().IssueCoupon(request, metadata=self._metadata, timeout=_TIMEOUT_S)
                return Done(command.message_id, result=answer.coupon.code)
            except grpc.aio.AioRpcError as failure:
                error = from_rpc(failure)
            if error.code not in _NO_COUPON or (error.code is Code.EXHAUSTED and error.retry_after_s is not None):
                return error
            refusal = error.reason
            if refusal != _OTHER_PERSON:
                break
        return Done(command.message_id, refusal)

    def _coupon_stub(self) -> coupon_pb2_grpc.CouponServiceStub:
        return coupon_pb2_grpc.CouponServiceStub(self._runtime.stubs.channel_of(Role.INGEST))

    async def _profiles(
        self, contacts: Sequence[int], min_upstream_position: int
    ) -> tuple[dict[int, profile_pb2.Profile], int]:
        """Profiles by the contacts asked for, without those that are not there; and the position of the profile log
        that holds all of it."""
        asked = list(dict.fromkeys(contacts))
        request = profile_pb2.BatchGetRequest(contacts=asked, min_upstream_position=min_upstream_position)
        try:
            answer = await self._runtime.stubs.profile().BatchGet(request, metadata=self._metadata, timeout=_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error) from error
        found = {one: profile for one, profile in zip(asked, answer.profiles, strict=True) if profile.key}
        return found, answer.position

    def _told(self, command: AskContact, profile: profile_pb2.Profile | None) -> ContactTold | CdpError:
        if profile is None:
            return _unknown(command.contact)
        values = {one.name: value_from_proto(one.value) for one in profile.attributes if one.name in command.attributes}
        attributes: dict[str, Value] = {name: value for name, value in values.items() if value is not None}
        zone = next((one.value.text for one in profile.attributes if one.name == _ZONE), "")
        return ContactTold(
            command.contact,
            self._workspace.id,
            profile.key,
            zone if find_zone(zone) is not None else self._workspace.zone,
            self._workspace.zone,
            attributes,
        )


def _unknown(contact: int) -> CdpError:
    # Erased or merged away, and our fold does not know yet; or created, and unification's readers do not.
    return unavailable("CONTACT_NOT_THERE", f"contact {contact} has no profile now")


def _person(command: ChangeContact, profile: profile_pb2.Profile) -> ingest_pb2.BatchItem:
    moves = [facts_pb2.ListMove(list=name, member=True) for name in command.joined]
    moves += [facts_pb2.ListMove(list=name, member=False) for name in command.left]
    attributes = {command.name: value_to_proto(command.value)} if command.name else {}
    person = ingest_pb2.Person(
        message_id=command.message_id,
        occurred_at_us=command.at_us,
        identifiers=[facts_pb2.Identifier(kind=CONTACT_KEY, value=profile.key)],
        attributes=attributes,
        lists=moves,
    )
    return ingest_pb2.BatchItem(person=person)
