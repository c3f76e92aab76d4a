"""Forgetting for good: an erasure is out of every answer once it is folded; this takes it out of every stored byte.

Each step may be done again after a crash: what an order's people had is kept with the order (`ERASURES`) until all of
it is gone, and that by which it is found goes last.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import grpc
import numpy as np

from cdp.channel.v1 import channel_pb2
from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from cdp.profile.v1 import profile_pb2
from core.errors import CdpError, Code, unavailable
from core.eventlog.protocol import Commit, EventLog, Fence, Partition, TableWrite
from core.events.columns import Identifier
from core.identity.rules import IdentityRules
from core.profile.erasures import Blind, ErasedPerson
from core.profile.timeline import FACT_ROW
from services.profile_unification.erased_letters import letters_without
from services.profile_unification.erasure_books import (
    CERTIFICATES,
    Certificate,
    append_forgotten,
    begun,
    forgotten_of,
    job_keys,
    load_certificates,
    load_jobs,
)
from services.profile_unification.forgetting import event_rows
from services.profile_unification.log_archive import LogArchive
from services.profile_unification.marks import MARKS, mark_key
from services.profile_unification.tables import ERASURES
from services.profile_unification.timeline_store import TimelineStore
from services.runtime.context import Runtime
from services.runtime.errors import from_rpc
from services.runtime.failpoints import failpoint
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)
_CALL_S = 60.0
_AGAIN_S = 0.2
_LONGEST_AGAIN_S = 30.0
_IDLE_S = 60.0
#: Visitors who expired are taken out of files together, so often.
EXPIRED_EVERY_S = 3_600.0
_EXPIRED_AT_ONCE = 10_000
_ABREAST = 16
_READ_BYTES = 16 << 20
_CONTACTS_A_CALL = 1_000


@dataclass(frozen=True, slots=True)
class Store:
    """What unification stores of a workspace. `log` reads the archive as well."""

    log: EventLog
    partition: Partition
    fence: Fence
    archive: LogArchive
    timeline: TimelineStore


class Eraser:
    """The worker of one workspace. `wake` it when an order was folded; `run` finds those of before by itself."""

    def __init__(
        self, runtime: Runtime, workspace_id: str, store: Store, rules: Callable[[], IdentityRules], blind: Blind
    ) -> None:
        self._runtime = runtime
        self._workspace_id = workspace_id
        self._store = store
        self._rules = rules
        self._blind = blind
        self._woken = asyncio.Event()
        self._expired_s = -EXPIRED_EVERY_S
        self._path = runtime.settings.data_dir / "forgotten" / f"{workspace_id}.jsonl"

    def wake(self) -> None:
        """There is an order."""
        self._woken.set()

    async def run(self) -> None:
        """Carry out orders until cancelled. What another service cannot do now is asked again for as long as it
        takes."""
        pause_s = _AGAIN_S
        while True:
            self._woken.clear()
            try:
                await self.step()
                pause_s = _AGAIN_S
            except CdpError as error:
                if error.code not in (Code.UNAVAILABLE, Code.EXHAUSTED):
                    raise
                _LOG.info("erasure not finished, going on later", workspace=self._workspace_id, reason=error.reason)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_AGAIN_S)
                continue
            try:
                async with asyncio.timeout(_IDLE_S):
                    await self._woken.wait()
            except TimeoutError:
                continue  # visitors may have expired meanwhile

    async def step(self) -> None:
        """Carry out every order that there is; visitors who expired now and then only, and many together."""
        log, partition = self._store.log, self._store.partition
        jobs = await load_jobs(log, partition)
        for people in jobs.values():
            if not people[0].expired:
                await self._forget([people])
        expired = [people for people in jobs.values() if people[0].expired]
        now_s = asyncio.get_running_loop().time()
        if expired and now_s - self._expired_s >= EXPIRED_EVERY_S:
            left = iter(expired)
            while some := _some(left):
                await self._forget(some)
            self._expired_s = now_s
        waiting = [
            one
            for one in (await load_certificates(log, partition)).values()
            if one.stage != profile_pb2.ERASURE_STAGE_DONE
        ]
        if waiting:
            await self._finish(waiting)

    async def _forget(self, orders: Sequence[Sequence[ErasedPerson]]) -> None:
        """Take the people of `orders` out of everything but the log server's files."""
        store = self._store
        people = list(chain.from_iterable(orders))
        parts = frozenset(contact for one in people for contact in one.contacts)
        names = frozenset(name for one in people for name in one.identifiers)
        upstream = max(one.upstream_position for one in people)
        _, end = await store.log.bounds(store.partition)
        removals = [_removal("profiles", len(people))]

        await store.archive.through(end)
        # A visitor's events name the visitor's cookie; those of people may name nothing that is theirs alone.
        asked_parts = [contact for one in people if not one.expired for contact in one.contacts]
        events, marks = await self._events_of(sorted(asked_parts)) if asked_parts else ([], [])
        removals += await self._forgotten_by_ingest(names, events, upstream)
        removals += await self._forgotten_by_channel(sorted(parts))
        letters, count = await letters_without(store.log, store.partition, names, self._rules())
        await self._write([letters, TableWrite(MARKS, delete=marks)])
        removals.append(_removal("dead letters", count))
        # By what is archived the others were found, and by timelines what is archived: these two go last.
        files, gone_events, gone_facts = await store.archive.forget(parts, end)
        removals += [
            _removal("archive of unification: files", files),
            _removal("archive of unification: events", gone_events),
            _removal("archive of unification: facts", gone_facts),
        ]
        failpoint("profile_unification.archive_forgotten")
        count = await store.timeline.forget(sorted(parts), store.fence, self._runtime.clock.now_us())
        removals.append(_removal("timelines: references", count))
        first = await store.archive.trim(end + 1)
        kept = _removal("log of unification: kept from", 0, first)
        if not store.archive.trims:
            kept.note = (
                "the log is never trimmed here, so the entries in it still tell of them: see CDP_RESOLVED_LOG_ENTRIES"
            )
        removals.append(kept)
        failpoint("profile_unification.log_forgotten")

        asked = [order for order in orders if not order[0].expired]
        lines = [forgotten_of(order, self._blind) for order in asked]
        if lines:
            await asyncio.to_thread(append_forgotten, self._path, lines)
        rows = {}
        for order in orders:
            certificate = begun(order)
            certificate.position = end
            certificate.removals.extend(removals)
            rows[order[0].order_id.encode()] = certificate.SerializeToString()
        await self._write([TableWrite(CERTIFICATES, rows), TableWrite(ERASURES, delete=job_keys(people))])

    async def _finish(self, certificates: Sequence[Certificate]) -> None:
        """The log server's files, once for all."""
        ours = await self._store.log.compact(self._store.partition)
        note = "" if ours else "the server does not let us rewrite its append-only file: its operator sees to it"
        rows = {}
        for one in certificates:
            one.removals.add(where="append-only file: rewritten", count=int(ours), note=note)
            one.stage = profile_pb2.ERASURE_STAGE_DONE
            one.completed_at_us = self._runtime.clock.now_us()
            rows[b"erase:" + one.name.removeprefix("operations/erasures/").encode()] = one.SerializeToString()
        await self._write([TableWrite(CERTIFICATES, rows)])
        _LOG.info("people forgotten", workspace=self._workspace_id, orders=len(certificates))

    async def _events_of(self, parts: Sequence[int]) -> tuple[list[ingest_pb2.EntryEvents], list[bytes]]:
        """The ids of all events of these parts, by the position of ingest's log that they came at; and the keys of what
        may have been marked of them."""
        store = self._store
        rows: dict[int, set[int]] = defaultdict(set)
        for ref in await store.timeline.refs(parts):
            if not int(ref["row"]) & FACT_ROW:
                rows[int(ref["position"])].add(int(ref["row"]))
        found: list[ingest_pb2.EntryEvents] = []
        marks: list[bytes] = []
        positions = iter(sorted(rows))
        while some := list(islice(positions, _ABREAST)):
            reads = (store.log.read(store.partition, position - 1, 1, _READ_BYTES) for position in some)
            for position, entries in zip(some, await asyncio.gather(*reads), strict=True):
                batch = facts_pb2.FactBatch.FromString(entries[0].payload)
                numbers = event_rows(batch).tolist()  # without those that an interrupted pass has taken out
                instants = np.frombuffer(batch.events.occurred_at_us, "<i8").tolist()
                every = zip(numbers, batch.events.ids, instants, strict=True)
                mine = [(one, at_us) for row, one, at_us in every if row in rows[position]]
                if mine:
                    ids = [one for one, _ in mine]
                    found.append(ingest_pb2.EntryEvents(position=batch.upstream_position, ids=ids))
                    marks += [mark_key(one, at_us) for one, at_us in mine]
        return found, marks

    async def _forgotten_by_ingest(
        self, names: frozenset[Identifier], events: Sequence[ingest_pb2.EntryEvents], through: int
    ) -> list[profile_pb2.ErasureCertificate.Removal]:
        request = ingest_pb2.ForgetRequest(
            identifiers=[facts_pb2.Identifier(kind=one.kind, value=one.value) for one in sorted(names, key=_by_name)],
            events=events,
            through_position=through,
        )
        stubs = self._runtime.stubs
        metadata = stubs.internal_metadata(self._workspace_id)
        try:
            answer = await stubs.ingest().Forget(request, metadata=metadata, timeout=_CALL_S)
        except grpc.aio.AioRpcError as error:
            raise _later(error) from error
        if not answer.done:
            raise unavailable("INGEST_NOT_THERE_YET", "ingest's archive is not as far as the order", _AGAIN_S)
        return [
            _removal("archive of ingest: files", answer.files),
            _removal("archive of ingest: events", answer.events),
            _removal("archive of ingest: facts", answer.facts),
            _removal("coupons and orders", answer.coupons_and_orders),
            _removal("log of ingest: kept from", 0, answer.first_position),
        ]

    async def _forgotten_by_channel(self, parts: Sequence[int]) -> list[profile_pb2.ErasureCertificate.Removal]:
        stubs = self._runtime.stubs
        metadata = stubs.internal_metadata(self._workspace_id)
        messages = reports = suppressions = 0
        for start in range(0, len(parts), _CONTACTS_A_CALL):
            request = channel_pb2.ForgetRequest(contacts=parts[start : start + _CONTACTS_A_CALL])
            try:
                answer = await stubs.channel().Forget(request, metadata=metadata, timeout=_CALL_S)
            except grpc.aio.AioRpcError as error:
                raise _later(error) from error
            messages, reports = messages + answer.messages, reports + answer.reports
            suppressions += answer.suppressions
        return [
            _removal("messages", messages),
            _removal("reports of messages", reports),
            _removal("suppressions", suppressions),
        ]

    async def _write(self, writes: Sequence[TableWrite]) -> None:
        store = self._store
        commit = Commit(None, None, (), writes, self._runtime.clock.now_us())
        await store.log.commit(store.partition, store.fence, commit)


def _some(orders: Iterator[Sequence[ErasedPerson]]) -> list[Sequence[ErasedPerson]]:
    """The next orders, of so many people together."""
    some: list[Sequence[ErasedPerson]] = []
    count = 0
    for one in orders:
        some.append(one)
        count += len(one)
        if count >= _EXPIRED_AT_ONCE:
            break
    return some


def _removal(where: str, count: int, first_position: int = 0) -> profile_pb2.ErasureCertificate.Removal:
    return profile_pb2.ErasureCertificate.Removal(where=where, count=count, first_position=first_position)


def _later(error: grpc.aio.AioRpcError) -> CdpError:
    """Whatever a service said, the erasure is not done before it can."""
    failure = from_rpc(error)
    return unavailable(failure.reason, failure.message, _AGAIN_S)


def _by_name(one: Identifier) -> tuple[str, str]:
    return one.kind, one.value
