"""The durable state of one workspace's channels, and its picture in memory.

Tables: "outbox" (message id -> record), "links" (message id -> destinations), "suppressions", "reports" (what ingest
has not acknowledged yet), "dead_reports" (what ingest refused), "forgotten" (contacts who were erased), and those of
the definitions. A change is committed first and shown in memory after, so what memory says is durable.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence

from cdp.channel.v1 import channel_pb2
from cdp.ingest.v1 import ingest_pb2
from core.clock import Clock
from core.delivery.decision import Suppression, SuppressionCause
from core.delivery.outbox import FINAL, State, recover
from core.errors import CdpError
from core.eventlog.protocol import Commit, EventLog, Fence, Partition, TableWrite
from services.channel.channel_settings import ChannelSettings, settings_from_proto
from services.channel.record import Record, decode, encode
from services.channel.reports import report_id
from services.runtime.definitions import DefinitionChange, Definitions

SETTINGS_NAME = "settings"


class ChannelState:
    """What one owner knows. Made by `load`; only one may write at a time, the fence sees to it."""

    def __init__(self, log: EventLog, partition: Partition, fence: Fence, clock: Clock) -> None:
        self._log = log
        self._partition = partition
        self._fence = fence
        self._clock = clock
        self.pending: dict[str, Record] = {}
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
        async for key, value in log.scan(partition, "reports"):
            self.reports[key.decode()] = value
        records = [decode(value) async for _, value in log.scan(partition, "outbox")]
        records.sort(key=lambda record: record.sequence)
        async for key, _ in log.scan(partition, "forgotten"):
            self.forgotten.add(int.from_bytes(key, "big"))
        for record in records:
            self._show(record)
        interrupted = [record for record in self.pending.values() if record.delivery.state is State.SENDING]
        now_us = clock.now_us()
        await self.put(
            [record.moved(recover(record.delivery, record.kind.transactional, now_us)) for record in interrupted]
        )
        return self

    async def put(
        self,
        records: Sequence[Record],
        *,
        links: Sequence[str] = (),
        reports: Iterable[ingest_pb2.BatchItem] = (),
        suppressions: Iterable[tuple[bytes, Suppression]] = (),
    ) -> None:
        """Commit records with what follows from them in one step. `links` are those of the only record. Nothing at
        all: nothing is written."""
        if records and not (records := [one for one in records if one.message.contact not in self.forgotten]):
            return  # what is known of these messages must not come back
        rows = {report_id(item): item.SerializeToString() for item in reports}
        held = dict(suppressions)
        writes = []
        if records:
            writes.append(TableWrite("outbox", {record.id.encode(): encode(record) for record in records}))
        if links:
            writes.append(TableWrite("links", {records[0].id.encode(): json.dumps(list(links)).encode()}))
        if rows:
            writes.append(TableWrite("reports", {key.encode(): value for key, value in rows.items()}))
        if held:
            stored = {key: json.dumps([one.cause.value, one.at_us]).encode() for key, one in held.items()}
            writes.append(TableWrite("suppressions", stored))
        if not writes:
            return
        await self._commit(writes)
        for record in records:
            self._show(record)
        self.reports.update(rows)
        self._suppressions.update(held)

    async def reported(self, done: Sequence[str], dead: Sequence[tuple[str, str]]) -> None:
        """Forget reports that ingest has, and set aside those (id, reason) that it refused."""
        writes = [TableWrite("reports", delete=[key.encode() for key in (*done, *(key for key, _ in dead))])]
        if dead:
            kept = {key.encode(): reason.encode() + b"\0" + self.reports[key] for key, reason in dead}
            writes.append(TableWrite("dead_reports", kept))
        await self._commit(writes)
        for key in (*done, *(key for key, _ in dead)):
            self.reports.pop(key, None)

    async def save(self, definitions: Definitions, change: DefinitionChange) -> None:
        """Commit a change of a template or of the settings. Not to be cancelled between its commit and its end, see
        ChannelShard.exclusively."""
        await self._commit(change.writes)
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

    def adopt(self, record: Record) -> None:
        """Show a stored record that memory missed: its commit had succeeded, but the answer was lost."""
        if record.id not in self.states:
            self._show(record)

    def preferences(self) -> channel_pb2.Preferences:
        """What the preference page offers."""
        saved = self.preference_versions.newest()
        if not saved:
            return channel_pb2.Preferences()
        message = channel_pb2.Preferences.FromString(saved[-1].payload)
        message.etag = saved[-1].revision.etag
        return message

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

    async def forget(self, contacts: Collection[int]) -> tuple[int, int, int]:
        """There are no messages to `contacts` any more, nor what was to be told of them, nor suppressions; and there
        will be none. Returns how many of each. Done again, it changes nothing."""
        marks = {contact.to_bytes(4, "big"): b"" for contact in contacts}
        await self._commit([TableWrite("forgotten", marks)])
        self.forgotten.update(contacts)
        records = await self.messages_to(contacts)
        ids = [record.id for record in records]
        keys = {record.contact_key.encode() for record in records if record.contact_key}
        reports = [one for one, raw in self.reports.items() if any(key in raw for key in keys)]
        dead = [
            one async for one, raw in self._log.scan(self._partition, "dead_reports") if any(k in raw for k in keys)
        ]
        addresses = {record.delivery.address.lower() for record in records if record.delivery.address}
        held = [key for key in self._suppressions if _is_theirs(key.decode(), contacts, addresses)]
        await self._commit(
            [
                TableWrite("outbox", delete=[one.encode() for one in ids]),
                TableWrite("links", delete=[one.encode() for one in ids]),
                TableWrite("reports", delete=[one.encode() for one in reports]),
                TableWrite("dead_reports", delete=dead),
                TableWrite("suppressions", delete=held),
            ]
        )
        gone = set(ids)
        if gone:
            self.order = [one for one in self.order if one not in gone]
        for one in ids:
            self.states.pop(one, None)
            self.pending.pop(one, None)
        for contact in contacts:
            self.by_contact.pop(contact, None)
        for one in reports:
            self.reports.pop(one, None)
        for key in held:
            self._suppressions.pop(key, None)
        return len(ids), len(reports) + len(dead), len(held)

    def _show(self, record: Record) -> None:
        if record.id not in self.states:
            self.order.append(record.id)
            self.by_contact.setdefault(record.message.contact, []).append(record.id)
            self.last_sequence = max(self.last_sequence, record.sequence)
        self.states[record.id] = record.delivery.state
        if record.delivery.state in FINAL:
            self.pending.pop(record.id, None)
        else:
            self.pending[record.id] = record

    def _saved_settings(self) -> ChannelSettings:
        saved = self.settings_versions.newest()
        message = channel_pb2.Settings.FromString(saved[-1].payload) if saved else channel_pb2.Settings()
        return settings_from_proto(message)

    async def _commit(self, writes: Sequence[TableWrite]) -> None:
        await self._log.commit(self._partition, self._fence, Commit(None, None, (), writes, self._clock.now_us()))


def category_keys(channel: str, category: str, contacts: Iterable[int]) -> list[bytes]:
    """Under which keys a hold on one category of a channel stands."""
    return [f"category/{channel}/{category}/{contact}".encode() for contact in contacts]


def _is_theirs(key: str, contacts: Collection[int], addresses: Collection[str]) -> bool:
    """Whether a key of a suppression names one of `contacts` or `addresses`; see `suppression_keys`."""
    kind, _, rest = key.partition("/")
    _, _, name = rest.partition("/")
    if kind in ("contact", "category"):
        return int(name.rpartition("/")[2]) in contacts
    return name in addresses


def suppression_keys(channel: str, contacts: Iterable[int], addresses: Iterable[str], personal: bool) -> list[bytes]:
    """Under which keys a suppression holds: the contacts that a person has been, and the addresses where they belong
    to one person. An empty address has no key; every key stands once."""
    keys = {f"contact/{channel}/{contact}".encode(): None for contact in contacts}
    if personal:
        keys |= {f"address/{channel}/{address.lower()}".encode(): None for address in addresses if address}
    return list(keys)
