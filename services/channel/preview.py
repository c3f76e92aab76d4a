"""A template as one contact would see it now, and the names in it that nothing can fill. Nothing is sent or kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cdp.channel.v1 import channel_pb2
from cdp.profile.v1 import profile_pb2
from core.clock import Clock
from core.delivery.decision import Deliver, MessageKind
from core.delivery.outbox import reserve
from core.errors import Violation, invalid, not_found
from services.channel.builder import Builder
from services.channel.computed import ComputedValues, about_of
from services.channel.convert import template_from_proto
from services.channel.html_links import plain_text, rewrite_links
from services.channel.known_names import KnownNames
from services.channel.names_used import Segments, Used, names_used, unknown_names
from services.channel.profiles import Profiles
from services.channel.record import Record
from services.channel.render import CompiledTemplate, render_field, render_json
from services.channel.rules import Rules
from services.channel.senders.sender import Sender
from services.channel.state import ChannelState
from services.channel.template_check import check_template
from services.channel.templates import Template
from services.channel.values import template_values
from services.channel.variants import OWN, variant_of, wording
from services.runtime.caller import Workspace

_ID = "preview"
#: A page that only a real message has.
_PAGES = {"unsubscribe_url": "#unsubscribe", "preferences_url": "#preferences"}
_JSON_CHANNEL = "webhook"


@dataclass(frozen=True, slots=True)
class _Shown:
    subject: str
    html: str
    text: str


class Previews:
    """Those of one workspace."""

    def __init__(
        self,
        workspace: Workspace,
        state: ChannelState,
        clock: Clock,
        profiles: Profiles,
        rules: Rules,
        builder: Builder,
        computed: ComputedValues,
        names: KnownNames,
        senders: Mapping[str, Sender],
    ) -> None:
        self._workspace = workspace
        self._state = state
        self._clock = clock
        self._profiles = profiles
        self._rules = rules
        self._builder = builder
        self._computed = computed
        self._names = names
        self._senders = senders

    async def show(self, request: channel_pb2.PreviewTemplateRequest) -> channel_pb2.PreviewTemplateResponse:
        """See the .proto. Raises INVALID for a template that does not compile or render, NOT_FOUND for one that there
        is not, for its variant and for the contact, UNAVAILABLE while others cannot be asked."""
        name, sent = self._template(request.name, request.version, request.HasField("template"), request.template)
        source = await self._checked(sent)
        message = channel_pb2.OutgoingMessage(
            id=_ID,
            contact=request.contact,
            channel=source.channel,
            template=request.name,
            kind=MessageKind.PROMO,
            category=sent.category,
            values=request.values,
            items=request.items,
        )
        record = Record(message, reserve(self._clock.now_us()), 0)
        profile, position = await self._profiles.placed(record)
        if not profile.key:
            raise not_found("NO_SUCH_CONTACT", f"there is no contact {request.contact}")
        variant = request.variant or variant_of(source, name, self._workspace.id, profile.key)
        if variant != OWN and variant not in {one.name for one in source.variants}:
            raise not_found("NO_SUCH_VARIANT", f"the template has no variant {variant!r}")
        compiled = await self._builder.compiled(wording(source, variant))
        computed = await self._computed.of(
            compiled.needs, profile, position, transactional=False, about=about_of(message)
        )
        now_us, zone, currency = self._clock.now_us(), self._workspace.zone, self._workspace.currency
        values = template_values(message, profile, zone, now_us, computed, compiled.source, currency)
        bare = template_values(message, profile, zone, now_us, computed)
        shown = await self._builder.in_thread(lambda: _rendered(compiled, {**values, **_PAGES}))
        used = await self._builder.in_thread(lambda: names_used(compiled.source))
        vocabulary = await self._names.vocabulary(list(request.values))
        unknown = await self._builder.in_thread(lambda: unknown_names(compiled.source, vocabulary))
        return channel_pb2.PreviewTemplateResponse(
            subject=shown.subject,
            body_html=shown.html,
            body_text=shown.text,
            variant=variant,
            missing=_names([one for one in used if not _has({**bare, **_PAGES}, one.segments)]),
            unknown=_names(unknown),
            address=self._senders[source.channel].address(profile, self._state.settings) or "",
            held_by=self._held_by(record, profile),
        )

    async def check(self, request: channel_pb2.CheckTemplateRequest) -> channel_pb2.CheckTemplateResponse:
        """See the .proto. Raises INVALID, NOT_FOUND and UNAVAILABLE like `show`."""
        _, sent = self._template(request.name, request.version, request.HasField("template"), request.template)
        source = await self._checked(sent)
        values = None if request.any_values else list(request.values)
        vocabulary = await self._names.vocabulary(values, request.event_type)
        unknown = await self._builder.in_thread(lambda: unknown_names(source, vocabulary))
        return channel_pb2.CheckTemplateResponse(
            unknown=[
                channel_pb2.CheckTemplateResponse.UnknownName(name=one.name, field=one.field, line=one.line)
                for one in unknown
            ]
        )

    def _template(
        self, name: str, version: int, unsaved: bool, template: channel_pb2.Template
    ) -> tuple[str, channel_pb2.Template]:
        """The template asked about, and the name by which its variants are drawn."""
        if unsaved:
            return name, template
        stored = self._state.templates.get(name, version)
        return stored.revision.name, channel_pb2.Template.FromString(stored.payload)

    async def _checked(self, sent: channel_pb2.Template) -> Template:
        source = template_from_proto(sent)
        sender = self._senders.get(source.channel)
        if sender is None:
            what = f"is none of {', '.join(sorted(self._senders))}"
            raise invalid("UNKNOWN_CHANNEL", f"{source.channel!r} {what}", Violation("template.channel", what))
        compile_wording = sender.compile
        await self._builder.in_thread(lambda: check_template(source, compile_wording))
        return source

    def _held_by(self, record: Record, profile: profile_pb2.Profile) -> str:
        answer = self._rules.verdict(record, profile, self._clock.now_us())
        return "" if isinstance(answer, Deliver) else answer.reason


def _rendered(compiled: CompiledTemplate, scope: Mapping[str, object]) -> _Shown:
    """The texts, with their links as they lead; checked as those of a message are."""
    if compiled.source.channel == _JSON_CHANNEL:
        return _Shown("", "", render_json(compiled, scope).text)
    subject = render_field("subject", compiled.subject, scope)
    document = render_field("body_html", compiled.html, scope)
    if document:
        rewrite_links(document, lambda index: f"#{index}", tuple(_PAGES.values()))
    text = render_field("body_text", compiled.text, scope)
    return _Shown(subject, document, text or (plain_text(document) if document else ""))


def _has(values: object, path: Segments) -> bool:
    """Whether a path leads to something that can be shown; into a list's elements it is not followed."""
    held = values
    for one in path:
        if isinstance(held, Sequence):
            return len(held) > 0
        if not isinstance(held, Mapping):
            return False
        held = held.get(one)
    return held is not None and held not in ("", [])


def _names(used: Sequence[Used]) -> list[str]:
    """Each once, in order."""
    return sorted({one.name for one in used})
