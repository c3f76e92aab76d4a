"""Streams, commits and state: what every log promises."""

from __future__ import annotations

import asyncio
import random

import pytest

from core.errors import CdpError, Code
from core.eventlog.protocol import Commit, Committed, Entry, Fence, Partition, TableWrite
from tests.contract.subject import Subject

NOW_US = 1_700_000_000_000_000
MANY = 1_000_000


async def rows(subject: Subject, partition: Partition, table: str) -> dict[bytes, bytes]:
    """The whole table; each row must come once."""
    found = [row async for row in subject.again.scan(partition, table)]
    assert len(found) == len(dict(found))
    return dict(found)


async def everything(subject: Subject, partition: Partition) -> list[Entry]:
    """All entries, read in small steps."""
    found: list[Entry] = []
    first, _ = await subject.again.bounds(partition)
    while step := await subject.again.read(partition, first - 1 + len(found), 7, MANY):
        found += step
    return found


async def test_positions_are_dense_from_one(subject: Subject) -> None:
    partition = subject.partition()
    assert await subject.log.bounds(partition) == (1, 0)
    assert await subject.log.append(partition, [b"a", b"b"], NOW_US) == Committed(True, 2, NOW_US)
    assert await subject.again.append(partition, [b"c"], NOW_US + 5) == Committed(True, 3, NOW_US + 5)
    assert await subject.again.bounds(partition) == (1, 3)
    assert await everything(subject, partition) == [
        Entry(1, NOW_US, b"a"),
        Entry(2, NOW_US, b"b"),
        Entry(3, NOW_US + 5, b"c"),
    ]


async def test_recorded_at_never_runs_back(subject: Subject) -> None:
    partition = subject.partition()
    fence = await subject.fence(partition)
    await subject.log.append(partition, [b"a"], NOW_US)
    assert (await subject.log.append(partition, [b"b"], NOW_US - 1)).recorded_at_us == NOW_US
    done = await subject.log.commit(partition, fence, Commit(None, None, [b"c"], [], NOW_US - 2))
    assert done == Committed(True, 3, NOW_US)
    assert [entry.recorded_at_us for entry in await everything(subject, partition)] == [NOW_US] * 3


async def test_an_empty_append_writes_nothing(subject: Subject) -> None:
    partition = subject.partition()
    assert await subject.log.append(partition, [], NOW_US) == Committed(False, 0, 0)
    await subject.log.append(partition, [b"a"], NOW_US)
    assert await subject.log.append(partition, [], NOW_US + 9) == Committed(False, 1, NOW_US)


async def test_many_writers_share_one_order(subject: Subject) -> None:
    partition = subject.partition()

    async def write(writer: int) -> list[tuple[int, bytes]]:
        own = []
        for number in range(20):
            payloads = [b"%d:%d:%d" % (writer, number, part) for part in range(1 + number % 3)]
            log = subject.log if writer % 2 else subject.again
            last = (await log.append(partition, payloads, NOW_US + number)).last
            own += [(last - len(payloads) + 1 + part, payload) for part, payload in enumerate(payloads)]
        return own

    acknowledged = dict(pair for own in await asyncio.gather(*map(write, range(16))) for pair in own)
    entries = await everything(subject, partition)
    assert {entry.position: entry.payload for entry in entries} == acknowledged
    assert [entry.position for entry in entries] == list(range(1, len(entries) + 1))
    stamps = [entry.recorded_at_us for entry in entries]
    assert stamps == sorted(stamps)


async def test_read_limits(subject: Subject) -> None:
    partition = subject.partition()
    await subject.log.append(partition, [b"x" * 10] * 5 + [b"y" * 5_000] + [b"z" * 10] * 4, NOW_US)

    async def positions(after: int, entries: int, size: int) -> list[int]:
        return [entry.position for entry in await subject.again.read(partition, after, entries, size)]

    assert await positions(0, 3, MANY) == [1, 2, 3]
    assert await positions(0, 100, 30) == [1, 2, 3]
    assert await positions(0, 100, 39) == [1, 2, 3]
    assert await positions(0, 100, 5_049) == [1, 2, 3, 4, 5]
    assert await positions(0, 100, 5_050) == [1, 2, 3, 4, 5, 6]
    assert await positions(5, 100, 30) == [6]  # larger than the limit, yet it comes
    assert await positions(6, 100, 1) == [7]
    assert await positions(6, 0, MANY) == []
    assert await positions(9, 100, MANY) == [10]
    assert await positions(10, 100, MANY) == []
    assert await positions(99, 100, MANY) == []


async def test_read_limit_over_random_sizes(subject: Subject) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    partition = subject.partition()
    payloads = [dice.randbytes(int(10 ** dice.uniform(0, 4.5))) for _ in range(60)]
    await subject.log.append(partition, payloads, NOW_US)
    for _ in range(40):
        after, entries, size = dice.randrange(60), dice.randrange(1, 70), dice.randrange(1, 100_000)
        expected: list[bytes] = []
        for payload in payloads[after : after + entries]:
            if expected and sum(map(len, expected)) + len(payload) > size:
                break
            expected.append(payload)
        found = await subject.again.read(partition, after, entries, size)
        assert [entry.payload for entry in found] == expected


async def test_wait_wakes(subject: Subject) -> None:
    partition, other = subject.partition(), subject.partition()
    assert not await subject.log.wait(partition, 0, 0.02)
    for writer in (subject.log, subject.again):  # one of this process, one of another
        _, last = await subject.log.bounds(partition)
        waiting = asyncio.create_task(subject.log.wait(partition, last, 5.0))
        later = asyncio.create_task(subject.log.wait(partition, last + 1, 0.1))
        elsewhere = asyncio.create_task(subject.log.wait(other, 0, 0.1))
        await asyncio.sleep(0)
        await writer.append(partition, [b"a"], NOW_US)
        assert await waiting
        assert not await later
        assert not await elsewhere
    assert await subject.log.wait(partition, 1, 0.0)  # it is there already


async def test_a_wait_can_be_cancelled(subject: Subject) -> None:
    partition = subject.partition()
    waiting = asyncio.create_task(subject.log.wait(partition, 0, 60.0))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await subject.log.append(partition, [b"a"], NOW_US)
    assert await subject.log.wait(partition, 0, 1.0)


async def test_commit_writes_state_outputs_and_position(subject: Subject) -> None:
    partition = subject.partition("profile_unification")
    fence = await subject.fence(partition)
    writes = [TableWrite("a", put={b"k": b"1", b"l": b"2"}), TableWrite("b", put={b"k": b"3"})]
    done = await subject.log.commit(partition, fence, Commit("ingest", 7, [b"x", b"y"], writes, NOW_US))
    assert done == Committed(True, 2, NOW_US)
    assert await subject.again.source_position(partition, "ingest") == 7
    assert await subject.again.source_position(partition, "clock") == 0
    assert await subject.again.get(partition, "a", [b"l", b"none", b"k"]) == [b"2", None, b"1"]
    assert await rows(subject, partition, "b") == {b"k": b"3"}
    assert [entry.payload for entry in await everything(subject, partition)] == [b"x", b"y"]


async def test_a_replayed_commit_does_nothing(subject: Subject) -> None:
    partition = subject.partition()
    fence = await subject.fence(partition)
    first = Commit("ingest", 7, [b"x"], [TableWrite("a", put={b"k": b"1"})], NOW_US)
    await subject.log.commit(partition, fence, first)
    for position in (7, 3):
        again = Commit("ingest", position, [b"y"], [TableWrite("a", put={b"k": b"2"}, drop=True)], NOW_US + 1)
        assert await subject.log.commit(partition, fence, again) == Committed(False, 1, NOW_US)
    assert await subject.again.get(partition, "a", [b"k"]) == [b"1"]
    assert await subject.again.source_position(partition, "ingest") == 7
    other = Commit("clock", 3, [], [], NOW_US)  # another source counts for itself
    assert (await subject.log.commit(partition, fence, other)).applied
    assert await subject.again.source_position(partition, "clock") == 3


async def test_commits_without_a_source_always_apply(subject: Subject) -> None:
    partition = subject.partition()
    fence = await subject.fence(partition)
    for number in range(3):
        done = await subject.log.commit(partition, fence, Commit(None, None, [b"x"], [], NOW_US))
        assert done == Committed(True, number + 1, NOW_US)
    for source, position in (("s", None), (None, 3), ("", 3), ("s", 0), ("s", 2**53)):
        with pytest.raises(CdpError) as refused:
            await subject.log.commit(partition, fence, Commit(source, position, [b"x"], [], NOW_US))
        assert (refused.value.code, refused.value.reason) == (Code.INVALID, "BAD_SOURCE")
    assert await subject.log.bounds(partition) == (1, 3)


async def test_table_writes_apply_in_order(subject: Subject) -> None:
    partition = subject.partition()
    fence = await subject.fence(partition)

    async def write(*writes: TableWrite) -> dict[bytes, bytes]:
        await subject.log.commit(partition, fence, Commit(None, None, [], writes, NOW_US))
        return await rows(subject, partition, "t")

    assert await write(TableWrite("t", put={b"a": b"1", b"b": b"2"})) == {b"a": b"1", b"b": b"2"}
    assert await write(TableWrite("t", put={b"c": b"3"}, delete=[b"a", b"none"])) == {b"b": b"2", b"c": b"3"}
    assert await write(TableWrite("t", put={b"b": b"4"}, delete=[b"b"])) == {b"b": b"4", b"c": b"3"}
    assert await write(TableWrite("t", put={b"d": b"5"}, drop=True)) == {b"d": b"5"}
    twice = (TableWrite("t", put={b"d": b"6", b"e": b"7"}), TableWrite("t", put={b"f": b"8"}, delete=[b"d"]))
    assert await write(*twice) == {b"e": b"7", b"f": b"8"}
    assert await write(TableWrite("t", drop=True)) == {}
    assert await write(TableWrite("t", delete=[b"e"])) == {}


async def test_bytes_are_bytes(subject: Subject) -> None:
    partition = subject.partition()
    fence = await subject.fence(partition)
    odd = [b"", b"\x00", b"\r\n$3\r\n", bytes(range(256)), b"\xff\xfe", "\u202e".encode()]
    put = dict(zip(odd, reversed(odd), strict=True))
    await subject.log.commit(partition, fence, Commit("s\u00e9:\x00", 1, odd, [TableWrite("t:{}\n", put=put)], NOW_US))
    assert [entry.payload for entry in await everything(subject, partition)] == odd
    assert await rows(subject, partition, "t:{}\n") == put
    assert await subject.again.get(partition, "t:{}\n", odd) == list(reversed(odd))
    assert await subject.again.source_position(partition, "s\u00e9:\x00") == 1


async def test_a_big_commit(subject: Subject) -> None:
    partition = subject.partition()
    fence = await subject.fence(partition)
    put = {b"key:%06d" % number: b"%d" % number + b"v" * 250 for number in range(20_001)}
    big = Commit("s", 1, [b"x" * 5_000_000], [TableWrite("t", put=put)], NOW_US)
    assert (await subject.log.commit(partition, fence, big)).applied
    assert await rows(subject, partition, "t") == put
    keys = list(put)
    assert await subject.again.get(partition, "t", [*keys, b"none"]) == [*put.values(), None]
    gone = Commit("s", 2, [], [TableWrite("t", delete=keys[:-1])], NOW_US)
    await subject.log.commit(partition, fence, gone)
    assert await rows(subject, partition, "t") == {keys[-1]: put[keys[-1]]}


async def test_partitions_are_strangers(subject: Subject) -> None:
    base = subject.partition("ingest", 7)
    others = [
        Partition("ingest", base.workspace, 8),
        Partition("channel", base.workspace, 7),
        Partition("ingest", base.workspace + ":t", 7),
    ]
    fence = await subject.fence(base)
    put = [TableWrite("t", put={b"k": b"v"})]
    await subject.log.commit(base, fence, Commit("s", 5, [b"x"], put, NOW_US))
    for other in others:
        assert await subject.log.bounds(other) == (1, 0)
        assert await subject.log.get(other, "t", [b"k"]) == [None]
        assert await rows(subject, other, "t") == {}
        assert await subject.log.source_position(other, "s") == 0
        assert await subject.log.epoch(other) != await subject.log.epoch(base)


async def test_the_epoch_of_a_stream_is_stable(subject: Subject) -> None:
    partition = subject.partition()
    before = await subject.log.epoch(partition)
    assert before
    await subject.log.append(partition, [b"a"], NOW_US)
    await subject.log.trim(partition, 2)
    assert await subject.again.epoch(partition) == before
    written_first = subject.partition()
    await subject.log.append(written_first, [b"a"], NOW_US)
    assert await subject.log.epoch(written_first) == await subject.again.epoch(written_first)


async def test_trim(subject: Subject) -> None:
    partition = subject.partition()
    fence = await subject.fence(partition)
    put = [TableWrite("t", put={b"k": b"v"})]
    await subject.log.commit(partition, fence, Commit("s", 1, [b"%d" % n for n in range(1, 11)], put, NOW_US))
    assert await subject.log.trim(partition, 1) == 0
    assert await subject.log.trim(partition, 4) == 3
    assert await subject.log.trim(partition, 4) == 0
    assert await subject.log.trim(partition, 2) == 0
    assert await subject.again.bounds(partition) == (4, 10)
    assert [entry.position for entry in await subject.again.read(partition, 3, 2, MANY)] == [4, 5]
    for after in (0, 2):
        with pytest.raises(CdpError) as refused:
            await subject.again.read(partition, after, 5, MANY)
        assert (refused.value.code, refused.value.reason) == (Code.NOT_FOUND, "LOG_TRIMMED")
    assert await subject.log.trim(partition, 99) == 7
    assert await subject.again.bounds(partition) == (11, 10)
    assert await subject.again.read(partition, 10, 5, MANY) == []
    with pytest.raises(CdpError, match="begins at position 11"):
        await subject.again.read(partition, 9, 5, MANY)
    assert await subject.again.get(partition, "t", [b"k"]) == [b"v"]
    assert (await subject.log.append(partition, [b"next"], NOW_US)).last == 11
    assert [entry.payload for entry in await subject.again.read(partition, 10, 5, MANY)] == [b"next"]


async def test_a_fence_must_be_of_the_bucket(subject: Subject) -> None:
    partition = subject.partition(bucket=17)
    for lease, reason in (
        ("a:18", "FENCE_OF_OTHER_BUCKET"),
        ("a", "BAD_LEASE_NAME"),
        (":3", "BAD_LEASE_NAME"),
        ("a:256", "BAD_LEASE_NAME"),
        ("a:017", "BAD_LEASE_NAME"),
    ):
        with pytest.raises(CdpError) as refused:
            await subject.log.commit(partition, Fence(lease, 1), Commit(None, None, [], [], NOW_US))
        assert (refused.value.code, refused.value.reason) == (Code.INVALID, reason)


async def test_a_closed_log_refuses(subject: Subject) -> None:
    partition = subject.partition()
    await subject.log.close()
    await subject.log.close()
    with pytest.raises(CdpError) as refused:
        await subject.log.append(partition, [b"a"], NOW_US)
    assert (refused.value.code, refused.value.reason) == (Code.UNAVAILABLE, "LOG_UNAVAILABLE")
