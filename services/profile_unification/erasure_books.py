"""What is written of erasures: the orders whose bytes are still stored somewhere, and the certificates."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from google.longrunning import operations_pb2

from cdp.profile.v1 import profile_pb2
from core.eventlog.protocol import EventLog, Partition
from core.profile.erasures import Blind, ErasedPerson, decode_erased
from services.profile_unification.tables import ERASURES, erasure_key
from services.runtime.durable import sync, sync_folder

#: Order id -> certificate.
CERTIFICATES = "certificates"
NAME = "operations/erasures/"
ORDER = "erase:"

Certificate = profile_pb2.ErasureCertificate


@dataclass(frozen=True, slots=True)
class Forgotten:
    """One line of a workspace's file of people who asked to be forgotten, which outlives the state: a state that is
    older than it forgets them again. It holds nothing that leads back to anybody."""

    order_id: str
    at_us: int
    reason: str
    asked_by: str
    key_hashes: tuple[str, ...]
    blinded: tuple[str, ...]


async def load_jobs(log: EventLog, partition: Partition) -> dict[str, list[ErasedPerson]]:
    """Order id -> the people whom it forgot and who are still stored somewhere, in the order of ingest's log."""
    people = [decode_erased(row) async for _, row in log.scan(partition, ERASURES)]
    jobs: dict[str, list[ErasedPerson]] = {}
    for one in sorted(people, key=lambda one: (one.upstream_position, one.contacts)):
        jobs.setdefault(one.order_id, []).append(one)
    return jobs


def job_keys(people: Iterable[ErasedPerson]) -> list[bytes]:
    """The keys of these rows of `ERASURES`."""
    return [erasure_key(one.order_id, one.contacts[0]) for one in people]


async def load_certificates(log: EventLog, partition: Partition) -> dict[str, Certificate]:
    """Order id -> certificate, of all erasures that are done or wait for the log's files alone."""
    rows = [one async for one in log.scan(partition, CERTIFICATES)]
    return {key.decode(): Certificate.FromString(row) for key, row in rows}


async def certificate_of(log: EventLog, partition: Partition, order_id: str) -> Certificate | None:
    """The certificate of one order, as it stands. None: no such order forgot anybody."""
    [row] = await log.get(partition, CERTIFICATES, (order_id.encode(),))
    if row is not None:
        return Certificate.FromString(row)
    people = (await load_jobs(log, partition)).get(order_id)
    return None if people is None else begun(people)


def begun(people: Sequence[ErasedPerson]) -> Certificate:
    """The certificate of an order that is not done: `people` are all whom it forgot."""
    first = people[0]
    hashes = [] if first.expired else [key_hash(key) for one in people for key in one.keys]
    return Certificate(
        name=NAME + first.order_id.removeprefix(ORDER),
        stage=profile_pb2.ERASURE_STAGE_REWRITING,
        key_hashes=hashes,
        contacts=[contact for one in people for contact in one.contacts],
        reason=first.reason,
        asked_by=first.asked_by,
        asked_at_us=first.at_us,
        upstream_position=first.upstream_position,
    )


def operation_of(certificate: Certificate) -> operations_pb2.Operation:
    """The operation; its metadata is the certificate as it stands, its response the finished one."""
    operation = operations_pb2.Operation(name=certificate.name)
    operation.metadata.Pack(certificate)
    if certificate.stage == profile_pb2.ERASURE_STAGE_DONE:
        operation.done = True
        operation.response.Pack(certificate)
    return operation


def key_hash(key: str) -> str:
    """What is told of a public key."""
    return sha256(key.encode()).hexdigest()


def forgotten_of(people: Sequence[ErasedPerson], blind: Blind) -> Forgotten:
    """The line for an order."""
    first = people[0]
    return Forgotten(
        first.order_id,
        first.at_us,
        first.reason,
        first.asked_by,
        tuple(key_hash(key) for one in people for key in one.keys),
        tuple(sorted(blind(name).hex() for one in people for name in one.identifiers)),
    )


def append_forgotten(path: Path, lines: Iterable[Forgotten]) -> None:
    """Write lines behind those that are there, durably; blocks. What a crash cut off is removed first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        for one in lines:
            file.write(json.dumps({"v": 1, **asdict(one)}, sort_keys=True).encode() + b"\n")
        file.flush()
        sync(file.fileno(), path)
    sync_folder(path.parent)


def read_forgotten(path: Path) -> Iterator[Forgotten]:
    """All lines of the file; none if there is none. A line that a crash cut off was never acknowledged. Raises
    ValueError for another version."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.endswith("\n"):
            return
        plain = json.loads(line)
        if plain.pop("v") != 1:
            raise ValueError(f"{path.name}: lines of a version that this release does not read")
        hashes, blinded = tuple(plain.pop("key_hashes")), tuple(plain.pop("blinded"))
        yield Forgotten(**plain, key_hashes=hashes, blinded=blinded)
