"""Unification as a process of its own: how fast it folds what ingest accepted, over bases of two sizes.

The base (known people with an email, a cookie and three attributes) is written into its state directly, in the form in
which a fold would leave it. Then ingest accepts a load while unification is down; unification starts, and what is timed
runs from its first commit to its last, durable. So client and ingest take nothing of the processor meanwhile.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from cdp.ingest.v1 import ingest_pb2
from core.eventlog.protocol import Commit, EventLog, Fence, Partition, TableWrite
from core.events.columns import Identifier
from core.identity.links import holder, pack_link
from core.identity.rules import ANONYMOUS_ID, CONTACT_KEY, DEFAULT_KINDS, EMAIL, EXTERNAL_ID
from core.profile.codec import encode_profile
from core.profile.profile import Attribute, Consent, Profile, new_key
from core.workspace import bucket_of
from services.demo.client import CALL_S, Client
from services.profile_unification.tables import IDENTIFIERS, META, PROFILES, contact_key, identifier_key
from services.profile_unification.worker import SOURCE
from services.runtime.partitions import lease_of
from services.runtime.redis_log import RedisLog
from services.runtime.roles import Role
from tests.fault.processes import WORKSPACE, Processes, platform

BASES = (1_000_000, 5_000_000)
_BATCH = 100
_BATCHES = 600
_AT_ONCE = 8
_SEED_PEOPLE = 5_000
#: A number whose digits stand nowhere else in a profile.
_SAMPLE = 987_654_321
_AT_US = 1_780_000_000_000_000
_LOOK_S = 0.01

Write = Callable[[ingest_pb2.BatchItem, random.Random, int, int], None]


async def measure_unification(folder: Path, bases: tuple[int, ...] = BASES) -> dict[str, object]:
    """Events a second for each base and load, and the bytes of state a contact. Bases ascend: each grows out of the
    one before."""
    found: dict[str, object] = {"goals_events_per_s": "90 % plain 15,000; identify alone 4,000"}
    async with platform(folder / "house", {}, (Role.INGEST,)) as processes:
        before = _used_bytes(processes)
        own = Partition(Role.PROFILE_UNIFICATION.value, WORKSPACE, bucket_of(WORKSPACE))
        log = await RedisLog.connect(processes.valkey.url)
        try:
            seeded = 0
            for people in bases:
                await seed(log, own, seeded + 1, people)
                if not seeded:
                    found["bytes of identities and profile a contact"] = round(
                        (_used_bytes(processes) - before) / people
                    )
                seeded = people
                for name, write in (("90 % plain", _mixed), ("identify alone", _identify)):
                    await _send(processes.client(Role.INGEST), write, people)
                    rate = await _fold(processes, log, own)
                    found[f"{people:,} people, {name}: events a second"] = round(rate)
        finally:
            await log.close()
    return found


async def seed(log: EventLog, own: Partition, first: int, last: int) -> None:
    """People `first` to `last`, in the form in which a fold leaves them."""
    lease = lease_of(Role.PROFILE_UNIFICATION, own.bucket)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    copies = _Copies()
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task(f"a base of {last:,}", total=last - first + 1)
        for begin in range(first, last + 1, _SEED_PEOPLE):
            contacts = range(begin, min(begin + _SEED_PEOPLE, last + 1))
            fence = await _own(log, lease)
            rows = [copies.rows(contact) for contact in contacts]
            writes = (
                TableWrite(IDENTIFIERS, {key: link for _, _, links in rows for key, link in links}),
                TableWrite(PROFILES, {key: profile for key, profile, _ in rows}),
                TableWrite(META, {b"next_contact": contact_key(contacts.stop)}),
            )
            await log.commit(own, fence, Commit(None, None, (), writes, _AT_US))
            progress.update(task, advance=len(contacts))
    await log.release(lease, "bench")


async def _own(log: EventLog, lease: str) -> Fence:
    """The lease; a killed owner's runs out first."""
    while True:
        fence = await log.acquire(lease, "bench", 60.0)
        if fence is not None:
            return fence
        await asyncio.sleep(0.2)


class _Copies:
    """Rows of people, copied from one that was encoded: a fifth of the time of encoding each."""

    def __init__(self) -> None:
        self._profile = encode_profile(_person(_SAMPLE)).replace(_key(_SAMPLE).encode(), b"%(key)s")
        self._profile = self._profile.replace(str(_SAMPLE).encode(), b"%(n)d").replace(
            f"{_SAMPLE:032x}".encode(), b"%(cookie)s"
        )

    def rows(self, contact: int) -> tuple[bytes, bytes, list[tuple[bytes, bytes]]]:
        """The profile's key and row, and the identifiers' keys and links."""
        key = _key(contact)
        fields = {b"key": key.encode(), b"n": contact, b"cookie": f"{contact:032x}".encode()}
        mine = holder(contact, contact)
        links = [
            (identifier_key(one, DEFAULT_KINDS), pack_link(((_AT_US, mine),) if one.kind == ANONYMOUS_ID else mine))
            for one in (*_identifiers(contact), Identifier(CONTACT_KEY, key))
        ]
        return contact_key(contact), self._profile % fields, links


def _key(contact: int) -> str:
    return new_key(WORKSPACE, contact, contact)


def _identifiers(contact: int) -> tuple[Identifier, ...]:
    return (
        Identifier(EXTERNAL_ID, f"u{contact}"),
        Identifier(EMAIL, f"u{contact}@shop.example"),
        Identifier(ANONYMOUS_ID, f"cookie-{contact:032x}"),
    )


def _person(contact: int) -> Profile:
    told = {"city": "Kyiv", "first_name": "Ann", "gender": "female", "external_id": f"u{contact}",
            "email": f"u{contact}@shop.example"}  # fmt: skip
    return Profile(
        contact,
        _key(contact),
        _AT_US,
        frozenset(_identifiers(contact)),
        {name: Attribute(value, _AT_US, contact) for name, value in told.items()},
        {"email": Consent("granted", "form", _AT_US, contact)},
    )


def _mixed(item: ingest_pb2.BatchItem, chance: random.Random, person: int, n: int) -> None:
    if n % 10 == 9:
        _identify(item, chance, person, n)
        return
    event = item.event
    event.type = "product_viewed"
    event.message_id = f"{chance.getrandbits(128):032x}"
    event.occurred_at_us = _AT_US + 1_000_000 + n
    event.identifiers.add(kind=EXTERNAL_ID, value=f"u{person}")
    event.identifiers.add(kind=ANONYMOUS_ID, value=f"cookie-{person:032x}")
    event.params["product_id"].text = f"p{n % 5_000}"
    event.params["price"].decimal_units = 990_000


def _identify(item: ingest_pb2.BatchItem, chance: random.Random, person: int, n: int) -> None:
    item.person.message_id = f"{chance.getrandbits(128):032x}"
    item.person.occurred_at_us = _AT_US + 1_000_000 + n
    item.person.identifiers.add(kind=EXTERNAL_ID, value=f"u{person}")
    item.person.identifiers.add(kind=EMAIL, value=f"u{person}@shop.example")
    item.person.attributes["city"].text = f"City {n % 500}"


async def _send(client: Client, write: Write, people: int) -> None:
    chance = random.Random(people)
    numbers = iter(range(_BATCHES))

    async def work() -> None:
        for batch in numbers:
            request = ingest_pb2.IngestBatchRequest()
            for i in range(_BATCH):
                write(request.items.add(), chance, chance.randint(1, people), batch * _BATCH + i)
            answer = await client.ingest.IngestBatch(request, metadata=client.metadata, timeout=CALL_S)
            if any(result.reason for result in answer.results):
                raise RuntimeError(f"refused: {answer.results[0]}")

    await asyncio.gather(*(work() for _ in range(_AT_ONCE)))


async def _fold(processes: Processes, log: EventLog, own: Partition) -> float:
    """Events a second from the first commit to the last; every entry holds a batch."""
    upstream = Partition(Role.INGEST.value, WORKSPACE, own.bucket)
    _, last = await log.bounds(upstream)
    begin = await log.source_position(own, SOURCE)
    processes.start(Role.PROFILE_UNIFICATION)
    first, first_s = begin, 0.0
    while True:
        await asyncio.sleep(_LOOK_S)  # another process: nothing here to be woken by
        position, now_s = await log.source_position(own, SOURCE), time.perf_counter()
        if first == begin and position > begin:
            first, first_s = position, now_s
        if position >= last:
            break
        processes.check_alive()
    processes.kill(Role.PROFILE_UNIFICATION)
    return (last - first) * _BATCH / (now_s - first_s)


def _used_bytes(processes: Processes) -> int:
    with processes.valkey.client() as client:
        return int(client.info("memory")["used_memory"])
