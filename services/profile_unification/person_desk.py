"""One person as a whole: the view, and the export of everything that is held of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from cdp.profile.v1 import profile_pb2
from core.errors import CdpError, unavailable
from core.events.columns import Identifier
from core.identity.rules import CONTACT_KEY
from core.profile.profile import Profile
from core.profile.timeline import FACT_ROW, Refs
from services.profile_unification.changes import read_changes
from services.profile_unification.convert import event_to_proto, profile_to_proto
from services.profile_unification.dead_letters import letter_of
from services.profile_unification.elsewhere import Elsewhere
from services.profile_unification.erased_letters import mentions
from services.profile_unification.identity_desk import merge_to_proto
from services.profile_unification.tables import (
    DEAD_LETTERS,
    dead_letter_place,
    load_merges,
    load_suspects,
)
from services.profile_unification.worker import UnificationShard

_NEWEST = 100
_PAGE = 500
_CHUNK_BYTES = 64 << 10

Entry = profile_pb2.TimelineEntry


async def timeline_entries(shard: UnificationShard, refs: Refs) -> list[Entry]:
    """What `refs` lead to, in their order: events, and what was told; one reference may be several changes."""
    is_fact = refs["row"] >= FACT_ROW
    changes = iter(await read_changes(shard.log, shard.partition, refs[is_fact]))
    events = iter(await shard.timeline.events(refs[~is_fact]))
    entries: list[Entry] = []
    for fact in is_fact.tolist():
        if fact:
            entries += next(changes)
        else:
            event = next(events)
            entries.append(Entry(occurred_at_us=event.occurred_at_us, event=event_to_proto(event)))
    return entries


async def view_of(
    shard: UnificationShard, profile: Profile, elsewhere: Elsewhere, shown: profile_pb2.Profile
) -> profile_pb2.ViewResponse:
    """Everything but the timeline. What another service does not tell is named in `missing`, with its reason."""
    view = profile_pb2.ViewResponse(profile=shown)
    for part in profile.parts:
        view.parts.add(profile=profile_to_proto(part, part.known(shard.current_rules()), part.first_seen_us))
    view.merges.extend(await _merges(shard, profile))
    numbers = profile.part_numbers()
    segments, runs, messages = await asyncio.gather(
        _had("segments", elsewhere.segments_of(profile.contact), view),
        _had("scenarios", elsewhere.runs_of(numbers, _NEWEST), view),
        _had("messages", elsewhere.messages_of(numbers, _NEWEST), view),
    )
    view.segments.extend(segments)
    view.runs.extend(runs)
    view.messages.extend(messages)
    view.missing.sort(key=lambda one: one.what)
    return view


async def export_of(
    shard: UnificationShard, profile: Profile, elsewhere: Elsewhere, shown: profile_pb2.Profile
) -> AsyncIterator[bytes]:
    """Lines of JSON, some at once. Raises UNAVAILABLE / EXPORT_NOT_WHOLE when a service does not tell its part."""
    lines = _Lines()
    yield lines.of("profile", shown)
    for part in profile.parts:
        yield lines.of("part", profile_to_proto(part, part.known(shard.current_rules()), part.first_seen_us))
    for record in await _merges(shard, profile):
        yield lines.of("merge", record)
    refs = await shard.timeline.refs(profile.part_numbers())
    for start in range(0, len(refs), _PAGE):
        page = await timeline_entries(shard, refs[start : start + _PAGE])
        for entry in page:
            yield lines.of(entry.WhichOneof("what") or "entry", entry)
    names = {*profile.identifiers, *(Identifier(CONTACT_KEY, one.key) for one in (profile.parts or (profile,)))}
    suspects = await load_suspects(shard.log, shard.partition, shard.current_rules().kinds)
    for one in sorted(names & suspects.keys(), key=lambda name: (name.kind, name.value)):
        yield lines.plain("suspicious_identifier", {"kind": one.kind, "value": one.value})
    async for key, row in shard.log.scan(shard.partition, DEAD_LETTERS):
        if mentions(row, frozenset(names)):
            letter, tries, original = letter_of(row)
            position, number = dead_letter_place(key)
            held = {"position": position, "number": number, "reason": letter.reason, "tries": tries}
            text = original.decode("utf-8", "backslashreplace")
            yield lines.plain("dead_letter", {**held, "detail": letter.detail, "original": text})
    numbers = profile.part_numbers()
    for name in await _told("segments", elsewhere.segments_of(profile.contact)):
        yield lines.plain("segment", {"name": name})
    for run in await _told("scenarios", elsewhere.runs_of(numbers)):
        yield lines.of("run", run)
    for message in await _told("messages", elsewhere.messages_of(numbers)):
        yield lines.of("message", message)
    for channel in ("inbox", "popup"):
        for item in await _told(channel, elsewhere.inbox_of(profile.key, channel)):
            yield lines.of(f"{channel}_item", item)
    yield lines.plain("end", {"lines": lines.count})


async def gathered(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same lines, many together."""
    held = bytearray()
    async for line in lines:
        held += line
        if len(held) >= _CHUNK_BYTES:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


class _Lines:
    """Makes lines, and counts them."""

    def __init__(self) -> None:
        self.count = 0

    def of(self, what: str, message: Message) -> bytes:
        """A line of a message."""
        return self.plain(what, MessageToDict(message, preserving_proto_field_name=True))

    def plain(self, what: str, of: dict[str, Any]) -> bytes:
        """A line of plain values."""
        self.count += 1
        return json.dumps({"what": what, "of": of}, ensure_ascii=False).encode() + b"\n"


async def _merges(shard: UnificationShard, profile: Profile) -> list[profile_pb2.MergeRecord]:
    ordinals = sorted({edge.ordinal for edge in profile.edges} | set(profile.undone))
    return [merge_to_proto(one) for one in await load_merges(shard.log, shard.partition, ordinals)]


async def _had(what: str, asked: Awaitable[Sequence[Any]], view: profile_pb2.ViewResponse) -> Iterable[Any]:
    try:
        return await asked
    except CdpError as error:
        view.missing.add(what=what, reason=error.reason)
        return ()


async def _told(what: str, asked: Awaitable[Sequence[Any]]) -> Sequence[Any]:
    try:
        return await asked
    except CdpError as error:
        raise unavailable("EXPORT_NOT_WHOLE", f"{what} could not be had ({error.reason}): export again") from error
