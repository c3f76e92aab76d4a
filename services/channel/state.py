"""The durable state of one workspace's channels, and its picture in memory.

Tables: "outbox" (message id -> record), "links" (message id -> destinations), "suppressions" (see suppression_keys),
"suppressed_people" (the same keys -> the contact that each is about), "counted" (public key of
a person -> what was sent, for caps and contents), "receipts" (see receipts.py), "reports" (what ingest has not
acknowledged yet), "dead_reports" (what ingest refused), "forgotten" (contacts who were erased), and those of the
definitions. A change is committed first and shown in memory after, so what memory says is durable; only the ledger runs
ahead, so that two messages decided in the same moment see each other.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from cdp.channel.v1 import channel_pb2
from cdp.ingest.v1 import ingest_pb2
from core.clock import Clock
from core.delivery.decision import Suppression, SuppressionCause
from core.delivery.ledger import Ledger
from core.delivery.outbox import State, is_open, recover
from core.errors import CdpError
from core.eventlog.protocol import EventLog, Fence, Partition, TableWrite
from services.channel.channel_settings import ChannelSettings, settings_from_proto
from services.channel.commits import Commits
from services.channel.pending import Pending
from services.channel.receipts import message_named, receipt_writes, receipts_forgotten
from services.channel.record import Record, decode, encode
from services.channel.reports import WEBHOOK, report_id, webhook_failed
from services.runtime.definitions import DefinitionChange, Definitions

SETTINGS_NAME = "settings"


class ChannelState:
    """What one owner knows. Made by `load`; only one may write at a time, the fence sees to it."""

    def __init__(self, log: EventLog, partition: Partition, fence: Fence, clock: Clock) -> None:
        self._log = log
        self._partition = partition
        self._clock = clock
        self._commits = Commits(log, partition, fence, clock)
        self.pending = Pending()
        self.ledger = Ledger()
        self.states: dict[str, State] = {}
        self.order: list[str] = []  # message ids by sequence, which counts from 1
        self.last_sequence = 0
        self.by_contact: dict[int, list[str]] = {}
        self.forgotten: set[int] = set()
        self.reports: dict[str, bytes] = {}
        self.templates = Definitions("template")
        self.settings_versions = Definitions("channel_settings")
        self.preference_versions = Definitions("preferences")
        self.settings = settings_from_proto(channel_pb2.Settings())
        self._suppressions: dict[bytes, Suppression] = {}
        self._categories: dict[tuple[str, int], str] = {}

    @staticmethod
    async def load(log: EventLog, partition: Partition, fence: Fence, clock: Clock) -> ChannelState:
        """Read everything. Messages that were in `sending` are settled as their kind wants it, durably."""
        self = ChannelState(log, partition, fence, clock)
        self.templates = await Definitions.load(log, partition, "template")
        self.settings_versions = await Definitions.load(log, partition, "channel_settings")
        self.preference_versions = await Definitions.load(log, partition, "preferences")
        self.settings = self._saved_settings()
        async for key, value in log.scan(partition, "suppressions"):
            cause, at_us = json.loads(value)
            self._suppressions[key] = Suppression(SuppressionCause(cause), at_us)
        async for key, value in log.scan(partition, "suppressed_people"):
            if key in self._suppressions:
                self._suppressions[key] = replace(self._suppressions[key], contact=int.from_bytes(value, "big"))
        async for key, value in log.scan(partition, "reports"):
            self.reports[key.decode()] = value
        now_us = clock.now_us()
        rows = [(key, value) async for key, value in log.scan(partition, "counted")]
        old = [key for key, value in rows if not self.ledger.load(key.decode(), value, now_us)]
        async for key, _ in log.scan(partition, "forgotten"):
            self.forgotten.add(int.from_bytes(key, "big"))
        records = [(decode(value), value) async for _, value in log.scan(partition, "outbox")]
        records.sort(key=lambda one: one[0].sequence)
        for record, value in records:
            self._show(record, value)
        interrupted = [one for one, _ in records if one.delivery.state is State.SENDING]
        if old:
            await self._commits.commit([TableWrite("counted", delete=old)], _nothing)
        settled = [one.moved(recover(one.delivery, one.kind.transactional, now_us)) for one in interrupted]
        unknown = [one for one in settled if one.channel == WEBHOOK and one.delivery.state is State.UNCERTAIN]
        told = [webhook_failed(one, one.delivery.reason, now_us) for one in unknown]
        await self.put(settled, reports=told)
        return self

    async def put(
        self,
        records: Sequence[Record],
        *,
        links: Sequence[str] = (),
        reports: Iterable[ingest_pb2.BatchItem] = (),
        suppressions: Iterable[tuple[bytes, Suppression]] = (),
        counted: Iterable[str] = (),
    ) -> None:
        """Commit records with what follows from them in one step. `links` are those of the only record, `counted` the
        keys of the ledger that changed with it. Nothing at all: nothing is written."""
        if records and not (records := [one for one in records if one.message.contact not in self.forgotten]):
            return  # what is known of these messages must not come back
        rows = {report_id(item): item.SerializeToString() for item in reports}
        held = dict(suppressions)
        writes = []
        stored_records = [encode(record) for record in records]
        if records:
            ids = (record.id.encode() for record in records)
            writes.append(TableWrite("outbox", dict(zip(ids, stored_records, strict=True))))
        if links:
            writes.append(TableWrite("links", {records[0].id.encode(): json.dumps(list(links)).encode()}))
        writes += receipt_writes(records)
        if rows:
            writes.append(TableWrite("reports", {key.encode(): value for key, value in rows.items()}))
        if held:
            stored = {key: json.dumps([one.cause.value, one.at_us]).encode() for key, one in held.items()}
            people = {key: one.contact.to_bytes(4, "big") for key, one in held.items()}
            writes += [TableWrite("suppressions", stored), TableWrite("suppressed_people", people)]
        changed = {key.encode(): self.ledger.row(key) for key in counted}
        if changed:
            kept = {key: row for key, row in changed.items() if row}
            writes.append(TableWrite("counted", kept, [key for key in changed if key not in kept]))
        if not writes:
            return
        if not records:
            await self._commits.alone(writes)
            self.reports.update(rows)
            self._suppressions.update(held)
            return

        def shown() -> None:
            for record, stored in zip(records, stored_records, strict=True):
                self._show(record, stored)
            self.reports.update(rows)
            self._suppressions.update(held)

        await self._commits.commit(writes, shown)

    async def reported(self, done: Sequence[str], dead: Sequence[tuple[str, str]]) -> None:
        """Forget reports that ingest has, and set aside those (id, reason) that it refused."""
        writes = [TableWrite("reports", delete=[key.encode() for key in (*done, *(key for key, _ in dead))])]
        if dead:
            told = {key: self.reports.get(key) for key, _ in dead}  # those of who was forgotten meanwhile are gone
            kept = {
                key.encode(): reason.encode() + b"\0" + raw for key, reason in dead if (raw := told[key]) is not None
            }
            writes.append(TableWrite("dead_reports", kept))
        await self._commits.alone(writes)
        for key in (*done, *(key for key, _ in dead)):
            self.reports.pop(key, None)

    async def save(self, definitions: Definitions, change: DefinitionChange) -> None:
        """Commit a change of a template or of the settings. Not to be cancelled between its commit and its end, see
        ChannelShard.exclusively."""
        await self._commits.alone(change.writes)
        definitions.applied(change)
        self.settings = self._saved_settings()

    async def get(self, message_ids: Sequence[str]) -> list[Record | None]:
        """Records in the order asked; None for an id that is not there."""
        found = await self._log.get(self._partition, "outbox", [message_id.encode() for message_id in message_ids])
        return [None if raw is None else decode(raw) for raw in found]

    async def links(self, message_id: str) -> list[str]:
        """The destinations of a message's links by index; empty if it has none."""
        (raw,) = await self._log.get(self._partition, "links", [message_id.encode()])
        found: list[str] = [] if raw is None else json.loads(raw)
        return found

    async def named(self, provider: str, name: str) -> str:
        """The id of the message that a provider knows by `name`; empty if none is."""
        return await message_named(self._log, self._partition, provider, name)

    def adopt(self, record: Record) -> None:
        """Show a stored record that memory missed: its commit had succeeded, but the answer was lost."""
        if record.id not in self.states:
            self._show(record, encode(record))

    def preferences(self) -> channel_pb2.Preferences:
        """What the preference page offers."""
        saved = self.preference_versions.newest()
        if not saved:
            return channel_pb2.Preferences()
        message = channel_pb2.Preferences.FromString(saved[-1].payload)
        message.etag = saved[-1].revision.etag
        return message

    def saved_settings(self) -> channel_pb2.Settings:
        """The settings as they were saved, with their secrets."""
        saved = self.settings_versions.newest()
        return channel_pb2.Settings.FromString(saved[-1].payload) if saved else channel_pb2.Settings()

    def category_of(self, template: str) -> str:
        """The subscription category of a template's messages; empty for none, and for a template that is gone."""
        try:
            stored = self.templates.get(template)
        except CdpError:
            return ""
        key = (stored.revision.name, stored.revision.version)
        known = self._categories.get(key)
        if known is None:
            known = self._categories[key] = channel_pb2.Template.FromString(stored.payload).category
        return known

    def suppressions(self, keys: Iterable[bytes]) -> list[Suppression]:
        """Those recorded under any of the keys."""
        return [self._suppressions[key] for key in keys if key in self._suppressions]

    async def messages_to(self, contacts: Iterable[int]) -> list[Record]:
        """All messages to these contacts, the newest first."""
        ids = [message_id for contact in contacts for message_id in self.by_contact.get(contact, ())]
        records = [record for record in await self.get(ids) if record is not None]
        return sorted(records, key=lambda record: -record.sequence)

    async def forget_from_now_on(self, contacts: Collection[int]) -> None:
        """Nothing more is written of messages to `contacts`; what is there by now stays until `forget`."""
        marks = {contact.to_bytes(4, "big"): b"" for contact in contacts}
        await self._commits.commit([TableWrite("forgotten", marks)], lambda: self.forgotten.update(contacts))

    async def forget(self, contacts: Collection[int]) -> tuple[int, int, int]:
        """There are no messages to `contacts` any more, nor what was to be told of them, nor suppressions. Comes after
        `forget_from_now_on`. Returns how many of each. Done again, it changes nothing."""
        records = await self.messages_to(contacts)
        ids = [record.id for record in records]
        people = sorted({record.contact_key for record in records if record.contact_key})
        keys = {one.encode() for one in people}
        reports = [one for one, raw in self.reports.items() if any(key in raw for key in keys)]
        dead = [
            one async for one, raw in self._log.scan(self._partition, "dead_reports") if any(k in raw for k in keys)
        ]
        addresses = {record.delivery.address.lower() for record in records if record.delivery.address}
        addresses |= {one.address.lower() for record in records for one in record.tries if one.address}
        held = [
            key for key, one in self._suppressions.items() if _is_theirs(key.decode(), one.contact, contacts, addresses)
        ]
        gone = set(ids)
        writes = [
            TableWrite("outbox", delete=[one.encode() for one in ids]),
            TableWrite("links", delete=[one.encode() for one in ids]),
            TableWrite("reports", delete=[one.encode() for one in reports]),
            TableWrite("dead_reports", delete=dead),
            TableWrite("suppressions", delete=held),
            TableWrite("suppressed_people", delete=held),
            TableWrite("counted", delete=sorted(keys)),
            receipts_forgotten(records),
        ]

        def shown() -> None:
            if gone:
                self.order = [one for one in self.order if one not in gone]
            for one in ids:
                self.states.pop(one, None)
                self.pending.drop(one)
            for contact in contacts:
                self.by_contact.pop(contact, None)
            for one in reports:
                self.reports.pop(one, None)
            for key in held:
                self._suppressions.pop(key, None)
            self.ledger.forget(people)

        await self._commits.commit(writes, shown)
        return len(ids), len(reports) + len(dead), len(held)

    def _show(self, record: Record, stored: bytes) -> None:
        if record.id not in self.states:
            self.order.append(record.id)
            self.by_contact.setdefault(record.message.contact, []).append(record.id)
            self.last_sequence = max(self.last_sequence, record.sequence)
        self.states[record.id] = record.delivery.state
        if is_open(record.delivery):
            self.pending.put(record.id, stored)
        else:
            self.pending.drop(record.id)

    def _saved_settings(self) -> ChannelSettings:
        return settings_from_proto(self.saved_settings())


def category_keys(channel: str, category: str, contacts: Iterable[int]) -> list[bytes]:
    """Under which keys a hold on one category of a channel stands."""
    return [f"category/{channel}/{category}/{contact}".encode() for contact in contacts]


def _is_theirs(key: str, contact: int, contacts: Collection[int], addresses: Collection[str]) -> bool:
    """Whether a suppression by this key (see `suppression_keys`) and of `contact` is about one of `contacts`. Of rows
    that do not say whose address it was, the `addresses` that they were written to decide."""
    kind, _, rest = key.partition("/")
    _, _, name = rest.partition("/")
    if kind in ("contact", "category"):
        return int(name.rpartition("/")[2]) in contacts
    return contact in contacts if contact else name in addresses


def suppression_keys(channel: str, contacts: Iterable[int], addresses: Iterable[str], personal: bool) -> list[bytes]:
    """Under which keys a suppression holds: the contacts that a person has been, and the addresses where they belong
    to one person. An empty address has no key; every key stands once."""
    keys = {f"contact/{channel}/{contact}".encode(): None for contact in contacts}
    if personal:
        keys |= {f"address/{channel}/{address.lower()}".encode(): None for address in addresses if address}
    return list(keys)


def _nothing() -> None:
    """Nothing of it was in memory."""
