"""What a dry run asks of others."""

from __future__ import annotations

import grpc

from cdp.channel.v1 import channel_pb2
from cdp.profile.v1 import profile_pb2
from core.errors import CdpError
from core.scenario.commands import AskCondition, AskContact
from core.scenario.inputs import Answered, ContactTold
from services.runtime.caller import Workspace
from services.runtime.context import Runtime
from services.runtime.errors import from_rpc
from services.scenario.contacts import Contacts
from services.scenario.dry_holds import Rules, rules_from_proto
from services.scenario.peers import Peers

_TIMEOUT_S = 10.0


class DryPeers:
    """Calls for one dry run; who contacts are is asked once each."""

    def __init__(self, runtime: Runtime, workspace: Workspace) -> None:
        self._runtime = runtime
        self._metadata = runtime.stubs.internal_metadata(workspace.id)
        self._peers = Peers(runtime, workspace.id)
        self._contacts = Contacts(runtime, workspace)
        self._profiles: dict[int, profile_pb2.Profile | None] = {}

    async def ask(self, command: AskCondition, as_of_us: int) -> Answered | CdpError:
        """Whether the contact was in the text at `as_of_us`, by what is known today."""
        (answer,) = await self._peers.ask([command], as_of_us, 1)
        return answer

    async def told(self, command: AskContact) -> ContactTold | CdpError:
        """Who the contact is today."""
        (answer,) = await self._contacts.ask([command])
        return answer

    async def profile(self, contact: int) -> profile_pb2.Profile | None:
        """The profile of today; None: nobody is there."""
        if contact not in self._profiles:
            request = profile_pb2.BatchGetRequest(contacts=[contact])
            try:
                answer = await self._runtime.stubs.profile().BatchGet(
                    request, metadata=self._metadata, timeout=_TIMEOUT_S
                )
            except grpc.aio.AioRpcError as error:
                raise from_rpc(error) from error
            self._profiles[contact] = next((one for one in answer.profiles if one.key), None)
        return self._profiles[contact]

    async def rules(self) -> Rules:
        """The workspace's rules about messages, as they are today."""
        try:
            answer = await self._runtime.stubs.channel().GetSettings(
                channel_pb2.GetSettingsRequest(), metadata=self._metadata, timeout=_TIMEOUT_S
            )
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error) from error
        return rules_from_proto(answer.settings)
