"""The archive of unification's log: what was trimmed is read as before, and forgetting moves nobody else."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cdp.facts.v1 import facts_pb2
from core.clock import ManualClock
from core.errors import CdpError
from core.eventlog.memory import MemoryLog
from core.eventlog.protocol import Entry, Fence, Partition
from core.eventlog.rules import lease_name
from core.events.columns import Event, EventColumnsBuilder
from core.events.facts import AttributeWrite, ConsentWrite, ContactFact, ContactState, ListChange, Merge
from services.profile_unification import log_files
from services.profile_unification.archived_log import ArchivedLog, load_ranges
from services.profile_unification.forgetting import event_rows, fact_rows, without_people
from services.profile_unification.log_archive import LogArchive
from services.runtime.facts import columns_from_proto, fact_batch_to_proto
from services.runtime.waiter import LoopWaiter

T = 1_700_000_000_000_000
OWN = Partition("profile_unification", "w", 3)


def entry_of(position: int, chance: random.Random, people: int = 5) -> bytes:
    """An entry about contacts 1 to `people`; all that tells of contact n holds the text "of n."."""
    builder = EventColumnsBuilder()
    contacts: list[int] = []
    for row in range(chance.randrange(6)):
        contact = chance.randrange(1, people + 1)
        contacts.append(contact)
        params: dict[str, str | tuple[str, ...]] = {"note": f"of {contact}.", "tags": (f"tag of {contact}.", "common")}
        items = ({"name": f"item of {contact}."},) * chance.randrange(3)
        builder.add(Event(f"{position}.{row} of {contact}.", "viewed", T + position, T, (), params, items))
    facts: list[ContactFact] = []
    for _ in range(chance.randrange(5)):
        contact, before = chance.randrange(1, people + 1), chance.randrange(len(contacts) + 1)
        text, item = f"of {contact}.", chance.randrange(3)
        some: list[ContactFact] = [
            ContactState(contact, text, True, 1, T, before, item=item),
            AttributeWrite(contact, "city", text, T, False, before, item),
            ListChange(contact, text, True, T, False, before, item),
            ConsentWrite(contact, "email", "", "granted", text, text, T, False, before, item),
        ]
        facts.append(chance.choice(some))
    facts.sort(key=lambda fact: fact.before_event)
    columns = replace(builder.build(), contacts=np.array(contacts, np.uint32))
    return fact_batch_to_proto(columns, tuple(facts), position).SerializeToString()


@pytest.mark.parametrize("seed", range(40))
def test_an_entry_without_some_people(seed: int) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)
    payload = entry_of(1, chance)
    before = facts_pb2.FactBatch.FromString(payload)
    gone: set[int] = set()
    for contact in chance.sample(range(1, 6), 2):
        gone.add(contact)
        left, events, facts = without_people(payload, frozenset({contact}))
        if not events and not facts:
            assert left == payload
        payload = left
        assert without_people(payload, frozenset(gone)) == (payload, 0, 0)
    for contact in range(1, 6):
        text = f"of {contact}.".encode()
        assert (text in payload) == (text in before.SerializeToString() and contact not in gone)
    after = facts_pb2.FactBatch.FromString(payload)
    rows = columns_from_proto(before.events)
    kept = event_rows(after)
    of = np.frombuffer(before.events.contacts, np.uint32)
    assert kept.tolist() == [row for row, contact in enumerate(of.tolist()) if contact not in gone]
    assert list(columns_from_proto(after.events).rows()) == [list(rows.rows())[row] for row in kept.tolist()]
    assert [before.facts[row].contact for row in fact_rows(after).tolist()] == [fact.contact for fact in after.facts]
    for number, fact in zip(fact_rows(after).tolist(), after.facts, strict=True):
        assert fact.before_event == sum(row < before.facts[number].before_event for row in kept.tolist())


def test_merges_of_two_who_are_gone_go() -> None:
    columns = replace(EventColumnsBuilder().build(), contacts=np.zeros(0, np.uint32))
    payload = fact_batch_to_proto(columns, (Merge(1, 2, 0), Merge(3, 2, 0)), 1).SerializeToString()
    left, events, facts = without_people(payload, frozenset({1, 2}))
    assert (events, facts) == (0, 1)
    assert facts_pb2.FactBatch.FromString(left).facts[0].contact == 3


async def archived(log: MemoryLog, clock: ManualClock, folder: Path) -> LogArchive:
    """An archive under its lease."""
    fence = await log.acquire(lease_name("profile_unification", OWN.bucket), "me", 1e6)
    assert isinstance(fence, Fence)
    archive = LogArchive(log, clock, OWN, fence, folder / OWN.workspace, 10)
    await archive.open()
    return archive


async def everything(log: ArchivedLog | MemoryLog, step: int) -> list[Entry]:
    """All entries, read in steps."""
    found: list[Entry] = []
    while some := await log.read(OWN, len(found), step, 1 << 20):
        found += some
    return found


@pytest.mark.parametrize("seed", range(5))
async def test_what_was_trimmed_is_read_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)
    monkeypatch.setattr(log_files, "_GROUP_ENTRIES", 4)
    clock = ManualClock(T)
    log = MemoryLog(clock, LoopWaiter())
    archive, reader = await archived(log, clock, tmp_path), ArchivedLog(log, tmp_path)
    written: list[bytes] = []
    for _ in range(6):
        fresh = [entry_of(len(written) + number, chance) for number in range(chance.randrange(1, 12))]
        written += fresh
        clock.advance(1_000)
        await log.append(OWN, fresh, clock.now_us())
        whole = await everything(reader, chance.randrange(1, 9))
        assert [one.payload for one in whole] == written
        await archive.through(len(written) - chance.randrange(2))
        first = await archive.trim(len(written) - chance.randrange(3))
        assert first <= archive.archived + 1
        assert await everything(reader, chance.randrange(1, 9)) == whole
    gone = frozenset({2, 4})
    await archive.through(len(written))
    await archive.trim(len(written) + 1)
    files, events, facts = await archive.forget(gone, len(written))
    assert files and events and facts
    assert await archive.forget(gone, len(written)) == (0, 0, 0)
    left = [without_people(payload, gone)[0] for payload in written]
    assert [one.payload for one in await everything(reader, 5)] == left
    assert len(list((tmp_path / OWN.workspace).iterdir())) == len(await load_ranges(log, OWN))
    (tmp_path / OWN.workspace / "stray.parquet.draft").write_bytes(b"x")
    again = await archived(log, clock, tmp_path)
    assert again.archived == len(written)
    assert [one.payload for one in await everything(ArchivedLog(log, tmp_path), 5)] == left
    assert not list((tmp_path / OWN.workspace).glob("*.draft"))
    with pytest.raises(CdpError, match="begins at position"):
        await ArchivedLog(log, tmp_path / "elsewhere").read(Partition("profile_unification", "w", 3), 0, 1, 1)
