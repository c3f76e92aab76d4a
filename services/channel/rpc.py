"""ChannelService: convert, ask the shard, convert."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import grpc

from cdp.channel.v1 import channel_pb2, channel_pb2_grpc
from core.clock import Clock
from core.delivery.outbox import State
from core.errors import Violation, invalid, not_found
from services.channel.channel_settings import check_settings
from services.channel.convert import settings_to_proto, template_from_proto, template_to_proto
from services.channel.delivery_settings import keep_secrets
from services.channel.inbox_rpc import INBOX_SCOPES, InboxCalls
from services.channel.listing import audit_page, message_page
from services.channel.preferences import PREFERENCES_NAME, check_preferences, is_category
from services.channel.preview_rpc import PREVIEW_SCOPES, PreviewCalls
from services.channel.senders.sender import Sender
from services.channel.shard import ChannelShard
from services.channel.state import SETTINGS_NAME, ChannelState
from services.channel.template_check import check_template
from services.channel.trials import LIMIT_TEST_ADDRESSES
from services.runtime.caller import Scope, caller
from services.runtime.pages import number_of, page_entries

_LIMIT_MESSAGES = 1_000
_LIMIT_CONTACTS = 1_000
_Context = grpc.aio.ServicerContext[Any, Any]

SCOPES: Mapping[str, Scope] = {
    "Send": Scope.FULL,
    "ListMessages": Scope.READ,
    "GetMessage": Scope.READ,
    "SaveTemplate": Scope.FULL,
    "GetTemplate": Scope.READ,
    "ListTemplates": Scope.READ,
    "DeleteTemplate": Scope.FULL,
    "ListTemplateVersions": Scope.READ,
    "GetSettings": Scope.READ,
    "UpdateSettings": Scope.ADMIN,
    "ListAuditRecords": Scope.READ,
    "Forget": Scope.INTERNAL,
    "GetPreferences": Scope.READ,
    "UpdatePreferences": Scope.FULL,
    "TestSend": Scope.FULL,
    **INBOX_SCOPES,
    **PREVIEW_SCOPES,
}


class ChannelRpc(InboxCalls, PreviewCalls, channel_pb2_grpc.ChannelServiceServicer):
    """The workspace is the caller's; nothing of another one is ever in reach. `shards` finds the open shard of a
    workspace or raises UNAVAILABLE."""

    def __init__(self, shards: Callable[[str], ChannelShard], senders: Mapping[str, Sender], clock: Clock) -> None:
        self._shards = shards
        self._senders = senders
        self._clock = clock

    async def Send(self, request: channel_pb2.SendRequest, context: _Context) -> channel_pb2.SendResponse:
        """See the .proto."""
        if len(request.messages) > _LIMIT_MESSAGES:
            raise invalid("BATCH_TOO_LARGE", f"send at most {_LIMIT_MESSAGES} messages at once")
        return channel_pb2.SendResponse(results=await self._shard().take_over(request.messages))

    async def GetMessage(
        self,
        request: channel_pb2.GetMessageRequest,
        context: _Context,
    ) -> channel_pb2.GetMessageResponse:
        """See the .proto."""
        (record,) = await self._shard().state.get([request.id])
        if record is None:
            raise not_found("NO_SUCH_MESSAGE", f"there is no message {request.id!r}")
        return channel_pb2.GetMessageResponse(message=record.to_proto())

    async def ListMessages(
        self,
        request: channel_pb2.ListMessagesRequest,
        context: _Context,
    ) -> channel_pb2.ListMessagesResponse:
        """See the .proto."""
        if request.state not in channel_pb2.MessageState.values():
            raise invalid("UNKNOWN_STATE", f"state {request.state} is not known to this version")
        wanted = State(int(request.state)) if request.state else None
        state = self._shard().state
        if request.contacts:
            return await _messages_to(state, request, wanted)
        ids, token = message_page(state.order, state.states, wanted, request.page_size, request.page_token)
        records = await state.get(ids)
        return channel_pb2.ListMessagesResponse(
            messages=[record.to_proto() for record in records if record is not None], next_page_token=token
        )

    async def Forget(self, request: channel_pb2.ForgetRequest, context: _Context) -> channel_pb2.ForgetResponse:
        """See the .proto."""
        _check_contacts(request.contacts)
        messages, reports, suppressions = await self._shard().forget(frozenset(request.contacts))
        return channel_pb2.ForgetResponse(messages=messages, reports=reports, suppressions=suppressions)

    async def SaveTemplate(
        self,
        request: channel_pb2.SaveTemplateRequest,
        context: _Context,
    ) -> channel_pb2.SaveTemplateResponse:
        """See the .proto. The template is compiled first: INVALID/BAD_TEMPLATE names the field and the line."""
        shard = self._shard()
        sender = self._senders.get(request.template.channel)
        if sender is None:
            known = ", ".join(sorted(self._senders))
            raise invalid(
                "UNKNOWN_CHANNEL",
                f"{request.template.channel!r} is none of {known}",
                Violation("template.channel", f"is none of {known}"),
            )
        if request.template.category and not is_category(request.template.category):
            what = "has 1 to 60 letters, digits, _ and -"
            raise invalid("BAD_TEMPLATE", f"category: {what}", Violation("template.category", what))
        await asyncio.to_thread(check_template, template_from_proto(request.template), sender.compile)
        payload = channel_pb2.Template()
        payload.CopyFrom(request.template)
        payload.ClearField("revision")
        templates = shard.state.templates

        def change() -> Awaitable[None]:
            made = templates.save(
                request.name, payload.SerializeToString(), request.etag, caller().key_name, self._clock.now_us()
            )
            return shard.state.save(templates, made)

        await shard.exclusively(change)
        return channel_pb2.SaveTemplateResponse(template=template_to_proto(templates.get(request.name)))

    async def GetTemplate(
        self,
        request: channel_pb2.GetTemplateRequest,
        context: _Context,
    ) -> channel_pb2.GetTemplateResponse:
        """See the .proto."""
        stored = self._shard().state.templates.get(request.name, request.version)
        return channel_pb2.GetTemplateResponse(template=template_to_proto(stored))

    async def ListTemplates(
        self,
        request: channel_pb2.ListTemplatesRequest,
        context: _Context,
    ) -> channel_pb2.ListTemplatesResponse:
        """See the .proto. By name; the page token is the last name."""
        page, token = self._shard().state.templates.page(request.page_size, request.page_token)
        return channel_pb2.ListTemplatesResponse(
            templates=[template_to_proto(one) for one in page], next_page_token=token
        )

    async def DeleteTemplate(
        self,
        request: channel_pb2.DeleteTemplateRequest,
        context: _Context,
    ) -> channel_pb2.DeleteTemplateResponse:
        """See the .proto."""
        shard = self._shard()
        templates = shard.state.templates

        def change() -> Awaitable[None]:
            made = templates.delete(request.name, request.etag, caller().key_name, self._clock.now_us())
            return shard.state.save(templates, made)

        await shard.exclusively(change)
        return channel_pb2.DeleteTemplateResponse(revision=templates.versions(request.name)[0].revision.to_proto())

    async def ListTemplateVersions(
        self,
        request: channel_pb2.ListTemplateVersionsRequest,
        context: _Context,
    ) -> channel_pb2.ListTemplateVersionsResponse:
        """See the .proto."""
        versions = self._shard().state.templates.versions(request.name)
        return channel_pb2.ListTemplateVersionsResponse(versions=[template_to_proto(one) for one in versions])

    async def GetSettings(
        self,
        request: channel_pb2.GetSettingsRequest,
        context: _Context,
    ) -> channel_pb2.GetSettingsResponse:
        """See the .proto. Secrets are never shown."""
        saved = self._shard().state.settings_versions.newest()
        return channel_pb2.GetSettingsResponse(settings=settings_to_proto(saved[-1] if saved else None))

    async def UpdateSettings(
        self,
        request: channel_pb2.UpdateSettingsRequest,
        context: _Context,
    ) -> channel_pb2.UpdateSettingsResponse:
        """See the .proto. From the answer on, the new settings hold for every message not yet with its provider. Raises
        INVALID/BAD_SETTINGS with every wrong field."""
        shard = self._shard()
        versions = shard.state.settings_versions
        kinds = {channel: sender.kinds() for channel, sender in self._senders.items()}

        def change() -> Awaitable[None]:
            payload = channel_pb2.Settings()
            payload.CopyFrom(request.settings)
            payload.ClearField("etag")
            keep_secrets(payload, shard.state.saved_settings())
            check_settings(payload, kinds)
            made = versions.save(
                SETTINGS_NAME,
                payload.SerializeToString(),
                request.settings.etag,
                caller().key_name,
                self._clock.now_us(),
            )
            return shard.state.save(versions, made)

        await shard.exclusively(change)
        return channel_pb2.UpdateSettingsResponse(settings=settings_to_proto(versions.get(SETTINGS_NAME)))

    async def GetPreferences(
        self,
        request: channel_pb2.GetPreferencesRequest,
        context: _Context,
    ) -> channel_pb2.GetPreferencesResponse:
        """See the .proto."""
        return channel_pb2.GetPreferencesResponse(preferences=self._shard().state.preferences())

    async def UpdatePreferences(
        self,
        request: channel_pb2.UpdatePreferencesRequest,
        context: _Context,
    ) -> channel_pb2.UpdatePreferencesResponse:
        """See the .proto. Raises INVALID/BAD_PREFERENCES with every wrong field."""
        shard = self._shard()
        check_preferences(request.preferences, self._senders)
        versions = shard.state.preference_versions

        def change() -> Awaitable[None]:
            payload = channel_pb2.Preferences()
            payload.CopyFrom(request.preferences)
            payload.ClearField("etag")
            etag, now_us = request.preferences.etag, self._clock.now_us()
            made = versions.save(PREFERENCES_NAME, payload.SerializeToString(), etag, caller().key_name, now_us)
            return shard.state.save(versions, made)

        await shard.exclusively(change)
        return channel_pb2.UpdatePreferencesResponse(preferences=shard.state.preferences())

    async def TestSend(self, request: channel_pb2.TestSendRequest, context: _Context) -> channel_pb2.TestSendResponse:
        """See the .proto. The kill switch and the allow-list hold for tests as well."""
        if not 1 <= len(request.addresses) <= LIMIT_TEST_ADDRESSES:
            what = f"needs 1 to {LIMIT_TEST_ADDRESSES} addresses"
            raise invalid("BAD_ADDRESSES", f"a test {what}", Violation("addresses", what))
        return channel_pb2.TestSendResponse(results=await self._shard().trials.send(request))

    async def ListAuditRecords(
        self,
        request: channel_pb2.ListAuditRecordsRequest,
        context: _Context,
    ) -> channel_pb2.ListAuditRecordsResponse:
        """See the .proto."""
        state = self._shard().state
        found, token = audit_page(state.templates, state.settings_versions, request.page_size, request.page_token)
        return channel_pb2.ListAuditRecordsResponse(records=[one.to_proto() for one in found], next_page_token=token)

    def _shard(self) -> ChannelShard:
        return self._shards(caller().workspace.id)


def _check_contacts(contacts: Sequence[int]) -> None:
    if len(contacts) > _LIMIT_CONTACTS:
        what = f"has more than {_LIMIT_CONTACTS} contacts"
        raise invalid("TOO_MANY_CONTACTS", f"`contacts` {what}", Violation("contacts", what))


async def _messages_to(
    state: ChannelState, request: channel_pb2.ListMessagesRequest, wanted: State | None
) -> channel_pb2.ListMessagesResponse:
    """A page of messages to some contacts, with their links."""
    _check_contacts(request.contacts)
    below = number_of(request.page_token) if request.page_token else None
    size = page_entries(request.page_size)
    newest = [
        record
        for record in await state.messages_to(frozenset(request.contacts))
        if (wanted is None or record.delivery.state is wanted) and (below is None or record.sequence < below)
    ]
    answer = channel_pb2.ListMessagesResponse()
    for record in newest[:size]:
        message = record.to_proto()
        message.links.extend(await state.links(record.id))
        answer.messages.append(message)
    if len(newest) > size:
        answer.next_page_token = str(newest[size - 1].sequence)
    return answer
