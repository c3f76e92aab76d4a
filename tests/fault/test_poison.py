"""Bad bytes among good ones, written to ingest's log behind its back: set aside with their cause, and nothing stops."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import grpc
import pyarrow.parquet as pq
import pytest

from cdp.deadletter.v1 import deadletter_pb2 as pb
from cdp.deadletter.v1 import deadletter_pb2_grpc
from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from cdp.profile.v1 import profile_pb2, profile_pb2_grpc
from core.clock import ManualClock
from core.eventlog.protocol import Commit, Entry, Partition, TableWrite
from core.events.columns import Identifier
from core.profile.fold import DeadLetter
from services.ingest.archive import write_ranges
from services.profile_unification.tables import DEAD_LETTERS, dead_letter_key, dead_letter_row
from services.runtime.errors import from_rpc
from services.runtime.partitions import lease_of, partition
from services.runtime.roles import Role
from tests.fault.processes import ROOT
from tests.flow.platform import Platform
from tests.flow.unification_house import payload_of
from tests.unit.profile.people import T, event, update

ROLES = (Role.INGEST, Role.PROFILE_UNIFICATION, Role.CHANNEL)
ELSEWHERE = {f"CDP_{name}_ADDRESS": "127.0.0.1:1" for name in ("SEGMENT", "SCENARIO")}
ANN = Identifier("external_id", "ann")
GHOST = Identifier("external_id", "0815")


@dataclass
class Shop:
    """A client of both services, and a way behind their backs."""

    platform: Platform
    ingest: ingest_pb2_grpc.IngestServiceStub
    profile: profile_pb2_grpc.ProfileServiceStub
    letters: deadletter_pb2_grpc.DeadLetterServiceStub
    address: str

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """With the workspace's key."""
        return self.platform.metadata

    def where(self, role: Role) -> Partition:
        """The workspace's log of a role."""
        return partition(role, self.platform.host(role).runtime.workspaces.all()[0])

    async def behind(self, payload: bytes) -> int:
        """Write to ingest's log as a broken program would."""
        return (await self.platform.log.append(self.where(Role.INGEST), [payload], self.platform.clock.now_us())).last

    async def track(self, message_id: str, who: Identifier = ANN) -> int:
        """A good event; its position."""
        names = [facts_pb2.Identifier(kind=who.kind, value=who.value)]
        one = ingest_pb2.Event(type="site_visited", message_id=message_id, identifiers=names)
        request = ingest_pb2.TrackRequest(event=one)
        return int((await self.ingest.Track(request, metadata=self.metadata, timeout=10)).position)

    async def timeline(self, position: int, who: Identifier = ANN) -> list[str]:
        """Ids of a person's events once `position` is folded."""
        wait = profile_pb2.BatchGetRequest(min_upstream_position=position)
        await self.profile.BatchGet(wait, metadata=self.metadata, timeout=20)
        one = facts_pb2.Identifier(kind=who.kind, value=who.value)
        request = profile_pb2.GetRequest(identifier=one, timeline_size=1_000)
        answer = await self.profile.Get(request, metadata=self.metadata, timeout=10)
        return sorted(one.id for one in answer.timeline)

    async def dead(self, reason: str = "") -> list[pb.DeadLetter]:
        """All dead letters, a page of two at a time."""
        found: list[pb.DeadLetter] = []
        token = ""
        while True:
            request = pb.ListDeadLettersRequest(reason=reason, page_size=2, page_token=token)
            answer = await self.letters.ListDeadLetters(request, metadata=self.metadata, timeout=10)
            found += answer.dead_letters
            token = answer.next_page_token
            if not token:
                return found

    async def replay(self, letter: pb.DeadLetter, request_id: str = "") -> pb.ReplayDeadLetterResponse:
        """Fold one again."""
        request = pb.ReplayDeadLetterRequest(position=letter.position, number=letter.number, request_id=request_id)
        return await self.letters.ReplayDeadLetter(request, metadata=self.metadata, timeout=20)


@asynccontextmanager
async def open_shop(folder: Path) -> AsyncIterator[Shop]:
    async with (
        Platform(folder, ManualClock(T), (ROLES,), ELSEWHERE) as platform,
        platform.channel(Role.INGEST) as channel,
    ):
        yield Shop(
            platform,
            ingest_pb2_grpc.IngestServiceStub(channel),
            profile_pb2_grpc.ProfileServiceStub(channel),
            deadletter_pb2_grpc.DeadLetterServiceStub(channel),
            platform.address(Role.INGEST),
        )


def poisons(rng: Random) -> list[bytes]:
    """What a disk, a network or a program can make of a batch: noise, cut ones, and ones with flipped bits."""
    good = payload_of(
        [event(f"ghost{n}", T + n, GHOST) for n in range(9)]
        + [event("order:ghost:completed", T, GHOST, type_="order_completed")]
        + [update("tells", T, GHOST, attributes={"n": 1})]
    )
    made = [b"\xff" * 40, rng.randbytes(200), good[: len(good) // 2], good[:-1]]
    for _ in range(25):
        broken = bytearray(good)
        for place in rng.sample(range(len(good)), rng.randint(1, 4)):
            broken[place] ^= 1 << rng.randrange(8)
        made.append(bytes(broken))
    return made


async def test_neighbours_of_bad_bytes_are_applied_and_nothing_stops(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    async with open_shop(tmp_path) as shop:
        good = []
        for number, poison in enumerate(poisons(Random(seed))):
            good.append(f"good-{number:03d}")
            await shop.track(good[-1])
            await shop.behind(poison)
        position = await shop.track("last")
        assert await shop.timeline(position) == [*good, "last"]
        dead = await shop.dead()
        whole = [one for one in dead if not one.message_id]
        assert {one.tries for one in whole} == {3}
        assert {1 + 1, 3 + 1} <= {one.position for one in whole}, "noise and a cut batch are set aside whole"
        assert all(one.reason and not one.detail for one in dead)
        counted = await shop.letters.CountDeadLetters(pb.CountDeadLettersRequest(), metadata=shop.metadata, timeout=10)
        assert sum(one.dead_letters for one in counted.counts) == len(dead)
        assert [one.position for one in dead] == sorted(one.position for one in dead)


async def test_a_warehouse_reads_past_an_unreadable_entry(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        await shop.track("before")
        await shop.behind(b"\xff" * 40)
        last = await shop.track("after")
        call = shop.ingest.Subscribe(metadata=shop.metadata, timeout=10)
        await call.write(ingest_pb2.SubscribeRequest(start=ingest_pb2.SubscribeRequest.Start()))
        told = []
        async for answer in call:
            told.append((answer.position, list(answer.batch.events.ids), answer.unreadable))
            if answer.position == last:
                break
        assert told[1:] == [(1, ["before"], b""), (2, [], b"\xff" * 40), (3, ["after"], b"")]


def test_the_archive_keeps_the_bytes_that_are_no_batch(tmp_path: Path) -> None:
    rng = Random(4)
    payloads = [payload_of([event(f"e{n}", T, ANN)]) if n % 2 else rng.randbytes(60) for n in range(20)]
    entries = [Entry(n + 1, T, payload) for n, payload in enumerate(payloads)]
    [written] = write_ranges(tmp_path, entries)
    kept = pq.read_table(tmp_path / f"{written.name}.unreadable.parquet").to_pylist()
    assert {one["position"]: one["payload"] for one in kept} == {n + 1: payloads[n] for n in range(0, 20, 2)}
    assert all(one["cause"] for one in kept)
    ids = pq.read_table(tmp_path / f"{written.name}.parquet")["id"].to_pylist()
    assert ids == [f"e{n}" for n in range(1, 20, 2)]
    assert (written.first, written.last, written.events) == (1, 20, 10)


async def test_what_was_set_aside_is_folded_after_the_fix_and_counts_once(tmp_path: Path) -> None:
    """An event of somebody whose id is blocked; the fix is a rule that lets the id through."""
    async with open_shop(tmp_path) as shop:
        blocked = Identifier("external_id", "house")
        await _block(shop, blocked, on=True)
        await shop.behind(payload_of([event("late", T, blocked), event("good", T, ANN)]))
        assert await shop.timeline(await shop.track("next")) == ["good", "next"]
        [letter] = await shop.dead("NO_IDENTIFIER")
        assert (letter.message_id, letter.tries, letter.number) == ("late", 1, 0)

        still = await shop.replay(letter, "first")
        assert (still.folded, still.reason) == (False, "NO_IDENTIFIER")
        assert (await shop.replay(letter, "first")) == pb.ReplayDeadLetterResponse(
            reason=still.reason, detail=still.detail, upstream_position=still.upstream_position
        )
        assert [one.tries for one in await shop.dead()] == [2]

        await _block(shop, blocked, on=False)
        done = await shop.replay(letter, "second")
        assert done.folded
        again = await shop.replay(letter, "second")
        assert again.folded and again.upstream_position >= done.upstream_position
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await shop.replay(letter, "third")
        assert from_rpc(refused.value).reason == "NO_SUCH_DEAD_LETTER"
        assert await shop.timeline(done.upstream_position, blocked) == ["late"]
        assert await shop.dead() == []
        # The id is remembered: sent again by its sender, it is a duplicate.
        await shop.behind(payload_of([event("late", T, blocked)]))
        assert await shop.timeline(await shop.track("end"), blocked) == ["late"]


async def test_an_entry_that_an_older_release_could_not_read(tmp_path: Path) -> None:
    """It is put among the dead letters as that release did, and folded as a whole; parts of it may come in between."""
    original = payload_of([event("one", T, GHOST), event("two", T, GHOST), update("u", T, GHOST)])
    async with open_shop(tmp_path) as shop:
        await _set_aside(shop, 7, original)
        await shop.behind(payload_of([event("two", T, GHOST)]))  # its sender had sent it once more
        [letter] = await shop.dead()
        shown = await shop.letters.GetDeadLetter(
            pb.GetDeadLetterRequest(position=7), metadata=shop.metadata, timeout=10
        )
        assert (shown.original, shown.dead_letter.detail, shown.HasField("content")) == (b"", "", False)
        full = pb.GetDeadLetterRequest(position=7, with_content=True)
        shown = await shop.letters.GetDeadLetter(full, metadata=shop.metadata, timeout=10)
        assert (shown.original, list(shown.content.events.ids)) == (original, ["one", "two"])
        done = await shop.replay(letter)
        assert done.folded
        assert await shop.timeline(done.upstream_position, GHOST) == ["one", "two"]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await shop.replay(letter)
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_an_operator_looks_and_replays(tmp_path: Path) -> None:
    """The command, as a process of its own. It prints nothing of what people sent unless it is told to."""
    blocked = Identifier("email", "ann@example.com")
    async with open_shop(tmp_path) as shop:
        await _block(shop, blocked, on=True)
        await shop.behind(payload_of([event(f"m{n}", T, blocked) for n in range(3)]))
        await shop.behind(b"\xff" * 40)
        await shop.timeline(await shop.track("after"))
        counts = await _command(shop, "count")
        assert counts == (0, "       1  DecodeError\n       3  NO_IDENTIFIER\n       4  in all\n")
        code, listed = await _command(shop, "list", "--reason", "NO_IDENTIFIER")
        assert (code, [line.split()[-1] for line in listed.splitlines()]) == (0, ["m0", "m1", "m2"])
        place = listed.split()[0]
        code, shown = await _command(shop, "show", place)
        assert code == 0
        assert blocked.value not in listed + shown
        assert blocked.value in (await _command(shop, "show", place, "--content"))[1]
        await _block(shop, blocked, on=False)
        code, said = await _command(shop, "replay", "--all")
        assert (code, said.splitlines()[-1]) == (1, "3 folded, 1 set aside again")
        assert await _command(shop, "replay", "--reason", "NO_IDENTIFIER") == (0, "0 folded, 0 set aside again\n")
        assert await shop.timeline(await shop.track("end"), blocked) == ["m0", "m1", "m2"]


async def _command(shop: Shop, *words: str) -> tuple[int, str]:
    """Exit code and output of `cdp dead-letters`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "services", "dead-letters", "--address", shop.address, "--key", shop.platform.key),
        *words,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode()


async def _set_aside(shop: Shop, position: int, original: bytes) -> None:
    own, runtime = shop.where(Role.PROFILE_UNIFICATION), shop.platform.host(Role.PROFILE_UNIFICATION).runtime
    await shop.timeline(await shop.track("first"))
    fence = runtime.leases.fence(lease_of(Role.PROFILE_UNIFICATION, own.bucket))
    assert fence is not None
    row = dead_letter_row(position, DeadLetter("", "KeyError", "of an older release"), 3, original)
    write = TableWrite(DEAD_LETTERS, {dead_letter_key(position, 0): row})
    await runtime.log.commit(own, fence, Commit(None, None, (), [write], T))


async def _block(shop: Shop, one: Identifier, *, on: bool) -> None:
    answer = await shop.profile.GetIdentityRules(
        profile_pb2.GetIdentityRulesRequest(), metadata=shop.metadata, timeout=10
    )
    rules = answer.rules
    del rules.blocked[:]
    if on:
        rules.blocked.add(kind=one.kind, value=one.value)
    request = profile_pb2.UpdateIdentityRulesRequest(rules=rules)
    await shop.profile.UpdateIdentityRules(request, metadata=shop.metadata, timeout=20)
