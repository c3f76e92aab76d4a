"""The schema on every log: two processes that change it at once agree, and whoever comes later reads the same."""

from __future__ import annotations

import asyncio

import pytest

from core.clock import ManualClock
from core.errors import CdpError
from core.eventlog.protocol import Partition
from core.events.schema import MOST_NAMES, Family, Place, Schema
from core.events.schema_changes import Want, declared, renamed
from core.schema import Kind
from services.ingest.schema_store import SERVICE, SchemaStore
from tests.contract.subject import Subject

NOW_US = 1_700_000_000_000_000


def attribute(name: str) -> Place:
    return Place(Family.ATTRIBUTE, "", name)


def stores(subject: Subject, where: Partition, count: int) -> list[SchemaStore]:
    """The schema of one workspace in several processes."""
    clock = ManualClock(NOW_US)
    logs = [subject.again if number % 2 else subject.log for number in range(count)]
    return [SchemaStore(log, clock, where.workspace, where.bucket) for log in logs]


async def test_who_learns_first_decides_for_all(subject: Subject) -> None:
    where = subject.partition(SERVICE)
    pods = stores(subject, where, 3)
    kinds = (Kind.TEXT, Kind.BOOLEAN, Kind.INTEGER)
    for number in range(8):
        name = attribute(f"n{number}")
        found = await asyncio.gather(*(pod.learn([Want(name, kind)]) for pod, kind in zip(pods, kinds, strict=True)))
        assert len({schema.kind(name) for schema in found}) == 1
    [later] = stores(subject, where, 1)
    assert await later.read() == found[0]
    assert [change.action for _, change in await later.changes(0, 100)] == ["learned"] * 8


async def test_changes_at_once_lose_nothing(subject: Subject) -> None:
    where = subject.partition(SERVICE)
    pods = stores(subject, where, 4)

    async def declare(pod: SchemaStore, number: int) -> Schema:
        place = attribute(f"n{number}")
        return await pod.change(lambda schema, now: declared(schema, place, Kind.TEXT, "", "", now), "me", "declared")

    done = await asyncio.gather(*(declare(pods[number % 4], number) for number in range(40)))
    assert max(schema.version for schema in done) == 40
    newest = [await pod.refreshed() for pod in pods]
    assert all(schema == newest[0] for schema in newest)
    assert [one.key for one in newest[0].definitions()] == sorted(f"n{number}" for number in range(40))


async def test_two_renames_to_one_name_and_the_last_free_place(subject: Subject) -> None:
    where = subject.partition(SERVICE)
    most = MOST_NAMES[Family.ATTRIBUTE]
    pods = stores(subject, where, 2)
    await pods[0].learn([Want(attribute(f"n{number}"), Kind.TEXT) for number in range(most - 1)])

    async def rename(pod: SchemaStore, name: str) -> str:
        try:
            await pod.change(lambda schema, _: renamed(schema, attribute(name), "wanted"), "me", "renamed")
        except CdpError as error:
            return error.reason
        return ""

    answers = await asyncio.gather(rename(pods[0], "n1"), rename(pods[1], "n2"))
    assert sorted(answers) == ["", "NAME_TAKEN"]
    await asyncio.gather(*(pod.learn([Want(attribute(f"last{n}"), Kind.TEXT)]) for n, pod in enumerate(pods)))
    schemas = [await pod.refreshed() for pod in pods]
    assert [schema.room(Family.ATTRIBUTE, "") for schema in schemas] == [0, 0]
    assert len([one for one in schemas[0].definitions() if one.key.startswith("last")]) == 1


async def test_nothing_is_written_where_nothing_changes(subject: Subject) -> None:
    where = subject.partition(SERVICE)
    [pod] = stores(subject, where, 1)
    assert (await pod.read()).version == 0
    for _ in range(3):
        await pod.learn([Want(attribute("hat"), Kind.TEXT)])
    assert (await subject.log.bounds(where))[1] == 1
    with pytest.raises(CdpError) as caught:
        await pod.change(lambda schema, _: renamed(schema, attribute("nobody"), "x"), "me", "renamed")
    assert caught.value.reason == "NO_SUCH_NAME"
    assert (await pod.learn([Want(attribute("shoe"), Kind.TEXT)])).version == 2
