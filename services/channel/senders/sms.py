"""SMS by SMPP 3.4: one submit_sm for each part, receipts by deliver_sm.

The text is GSM 03.38 where it can be and UCS-2 otherwise. A receipt is asked for the last part, and for the others if
they fail: a message is delivered when its last part is, and is not when any part is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from hashlib import sha256

from cdp.profile.v1 import profile_pb2
from core.delivery.outbox import Deferred, Outcome, Rejected, Unknown
from core.delivery.sms_receipts import read_receipt
from core.delivery.sms_text import SmsText, join_header, sms_text
from core.errors import CdpError, invalid
from services.channel.channel_settings import ChannelSettings
from services.channel.receipts import Receipt, TakeReceipt, Told, accepted_as
from services.channel.render import CompiledTemplate
from services.channel.senders import smpp_settings
from services.channel.senders.phone_numbers import dialled, phone_of
from services.channel.senders.sender import Envelope, KindRules, Prepared, ProviderSettings
from services.channel.senders.smpp_link import SmppLink
from services.channel.senders.smpp_pdu import (
    HAS_HEADER,
    OK,
    RECEIPT_ALWAYS,
    RECEIPT_OF_FAILURE,
    Deliver,
    Pdu,
    Status,
    Submit,
    Tag,
    message_id,
    relative_validity,
    string_parameter,
)
from services.channel.senders.smpp_session import LostError, NotSentError, SmppServer
from services.channel.senders.sms_content import compile_sms, render_sms
from services.channel.templates import Template, bad_template
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)
_LATER = frozenset({Status.THROTTLED, Status.QUEUE_FULL, Status.SYSTEM_ERROR, Status.TEMPORARY_APPLICATION_ERROR})
#: A later part that is throttled is tried again here, because the parts before it are on their way.
_PART_PAUSES_S = (0.5, 1.0, 2.0, 4.0)


class SmsSender:
    """Providers of kind `smpp`, each with one session for a workspace; see smpp_settings. There is none of the
    process's own."""

    personal = True
    own_surface = False

    def __init__(self) -> None:
        self._links: dict[tuple[str, str], tuple[ProviderSettings, SmppLink]] = {}
        self._take: TakeReceipt | None = None

    def on_receipt(self, take: TakeReceipt) -> None:
        """Where receipts go from now on. Without it they stay with the provider."""
        self._take = take

    async def listen(self, workspace: str, provider: ProviderSettings, settings: ChannelSettings) -> None:
        """Keep a provider's session open for receipts of messages sent before."""
        server = smpp_settings.server_of(provider, settings.allowed_private_hosts)
        (await self._link(workspace, provider)).listen(server)

    async def leave(self, workspace: str, keep: frozenset[str] = frozenset()) -> None:
        """Let go of a workspace's sessions, but for the providers named in `keep`."""
        for key in [key for key in self._links if key[0] == workspace and key[1] not in keep]:
            _, link = self._links.pop(key)
            await link.close()

    def kinds(self) -> Mapping[str, KindRules]:
        """See Sender."""
        return {smpp_settings.KIND: smpp_settings.rules()}

    def default_provider(self) -> ProviderSettings | None:
        """None: SMS needs a contract of the workspace's own."""
        return None

    def carries(self, kind: str, address: str) -> bool:
        """Any number."""
        return True

    def compile(self, source: Template) -> CompiledTemplate:
        """See Sender. `from` is the sender shown, empty for the provider's."""
        if source.sender and not smpp_settings.is_source(source.sender):
            raise bad_template("from", 0, "is a number, or up to 11 letters and digits")
        return compile_sms(source)

    def address(self, profile: profile_pb2.Profile, settings: ChannelSettings) -> str | None:
        """See `phone_of`."""
        return phone_of(profile)

    def prepare(self, envelope: Envelope) -> Prepared:
        """See Sender. Raises INVALID: NO_SENDER, BAD_ADDRESS, and those of `render_sms`."""
        source = envelope.template.source.sender or envelope.provider.settings.get("source", "")
        if not source:
            raise invalid("NO_SENDER", "neither the template nor the provider says whom the message is from")
        content = render_sms(envelope.template, envelope.values, envelope.links)
        return Prepared(
            envelope.message_id,
            source,
            dialled(envelope.address),
            content.text.encode(),
            content.links,
            envelope.settings,
            envelope.now_us,
            envelope.provider,
            envelope.expires_at_us,
            envelope.workspace,
        )

    async def send(self, prepared: Prepared) -> Outcome:
        """Submit every part. Before the first is written it is a deferral; a lost answer leaves the fate unknown, and
        so does a later part that the provider cannot take now."""
        server = smpp_settings.server_of(prepared.provider, prepared.settings.allowed_private_hosts)
        link = await self._link(prepared.workspace, prepared.provider)
        long_messages = prepared.provider.settings.get("long_messages", "udh")
        submits = _submits(prepared, sms_text(prepared.body.decode()), long_messages)
        names: list[str] = []
        for submit in submits:
            try:
                answer = await _submitted(link, server, submit, patient=bool(names))
            except NotSentError as error:
                if names:
                    return Unknown(f"PART_NOT_SENT: {len(names)} of {len(submits)} sent")
                return Deferred("PROVIDER_UNREACHABLE", str(error)[:500])
            except LostError as error:
                return Unknown(f"NO_ANSWER: {error}")
            if answer.status != OK:
                return _refusal(answer.status, len(names), len(submits))
            names.append(_name(message_id(answer.body), prepared.provider))
        return accepted_as([name for name in names if name])

    async def close(self) -> None:
        """See Sender."""
        links, self._links = self._links, {}
        for _, link in links.values():
            await link.close()

    async def _link(self, workspace: str, provider: ProviderSettings) -> SmppLink:
        """The link of a provider; one whose settings have changed is opened anew."""
        key = (workspace, provider.name)
        known = self._links.get(key)
        if known is not None and known[0] == provider:
            return known[1]

        async def take(deliver: Deliver) -> bool:
            return await self._receipt(workspace, provider, deliver)

        link = SmppLink(provider.name, take)
        self._links[key] = (provider, link)
        if known is not None:
            await known[1].close()
        return link

    async def _receipt(self, workspace: str, provider: ProviderSettings, deliver: Deliver) -> bool:
        """Whether a deliver_sm may be acknowledged. A text from a phone is not ours to take, and is let go."""
        if not deliver.is_receipt:
            _LOG.info("sms from a phone let go", workspace=workspace, provider=provider.name)
            return True
        state = deliver.parameters.get(Tag.MESSAGE_STATE, b"\0")
        named = string_parameter(deliver.parameters.get(Tag.RECEIPTED_MESSAGE_ID, b""))
        receipt = read_receipt(deliver.text, named, state[0] if state else 0)
        if receipt is None or receipt.delivered is None:
            return True
        if self._take is None:
            return False
        told = Told.DELIVERED if receipt.delivered else Told.FAILED
        try:
            await self._take(workspace, Receipt(provider.name, receipt.provider_id, told, receipt.reason))
        except CdpError as error:
            _LOG.info("sms receipt not taken now", workspace=workspace, provider=provider.name, reason=error.reason)
            return False
        return True


async def _submitted(link: SmppLink, server: SmppServer, submit: Submit, *, patient: bool) -> Pdu:
    answer = await link.submit(server, submit)
    for pause_s in _PART_PAUSES_S if patient else ():
        if answer.status not in _LATER:
            break
        await asyncio.sleep(pause_s)
        answer = await link.submit(server, submit)
    return answer


def _submits(prepared: Prepared, text: SmsText, long_messages: str) -> list[Submit]:
    source = smpp_settings.source_number(prepared.sender)
    destination = smpp_settings.destination_number(prepared.address)
    validity = relative_validity(prepared.expires_at_us, prepared.now_us)

    def submit(octets: bytes, number: int, esm_class: int, parameters: tuple[tuple[int, bytes], ...]) -> Submit:
        receipt = RECEIPT_ALWAYS if number == count else RECEIPT_OF_FAILURE
        return Submit(source, destination, octets, text.coding, esm_class, receipt, validity, parameters)

    count = len(text.parts)
    if count == 1:
        return [submit(text.parts[0], 1, 0, ())]
    if long_messages == "payload":
        return [submit(b"", count, 0, ((Tag.MESSAGE_PAYLOAD, b"".join(text.parts)),))]
    # The same for every attempt, so that a phone joins parts of two attempts as it joins those of one.
    reference = sha256(prepared.message_id.encode()).digest()[0]
    if long_messages == "udh":
        return [
            submit(join_header(reference, count, number) + octets, number, HAS_HEADER, ())
            for number, octets in enumerate(text.parts, 1)
        ]
    return [submit(octets, number, 0, _sar(reference, count, number)) for number, octets in enumerate(text.parts, 1)]


def _sar(reference: int, count: int, number: int) -> tuple[tuple[int, bytes], ...]:
    return (
        (Tag.SAR_REFERENCE, reference.to_bytes(2, "big")),
        (Tag.SAR_TOTAL, bytes((count,))),
        (Tag.SAR_NUMBER, bytes((number,))),
    )


def _refusal(status: int, sent: int, parts: int) -> Outcome:
    reply = f"status 0x{status:08X}" + (f" to part {sent + 1} of {parts}" if parts > 1 else "")
    if status in _LATER:
        return Unknown(f"PART_NOT_SENT: {reply}") if sent else Deferred("PROVIDER_BUSY", reply)
    if status == Status.INVALID_DESTINATION:
        return Rejected("RECIPIENT_REFUSED", reply, bounced=True)
    return Rejected("PROVIDER_REFUSED", reply)


def _name(name: str, provider: ProviderSettings) -> str:
    """The provider's name of a message as its receipts have it."""
    if provider.settings.get("id_form") != "hex":
        return name
    try:
        return str(int(name, 16))
    except ValueError:
        return name
