"""Definitions: versions, etags, deletion and audit survive a reload."""

from __future__ import annotations

import pytest

from core.clock import ManualClock
from core.errors import CdpError
from core.eventlog.memory import MemoryLog
from core.eventlog.protocol import Commit, Partition
from services.runtime.definitions import DefinitionChange, Definitions
from services.runtime.waiter import LoopWaiter

PARTITION = Partition("segment_engine", "w1", 7)


class Store:
    def __init__(self) -> None:
        self.log = MemoryLog(ManualClock(1_000), LoopWaiter())

    async def commit(self, definitions: Definitions, change: DefinitionChange) -> None:
        fence = await self.log.acquire("segment_engine:7", "me", 10.0)
        assert fence is not None
        await self.log.commit(PARTITION, fence, Commit(None, None, [], change.writes, 1_000))
        definitions.applied(change)

    async def load(self) -> Definitions:
        return await Definitions.load(self.log, PARTITION, "segment")


async def test_versions_count_up_and_survive_a_reload() -> None:
    store = Store()
    definitions = await store.load()
    await store.commit(definitions, definitions.save("VIP", b"one", "", "ann", 1))
    first = definitions.get("VIP").revision
    await store.commit(definitions, definitions.save("VIP", b"two", first.etag, "bob", 2))
    again = await store.load()
    assert [stored.payload for stored in again.versions("VIP")] == [b"two", b"one"]
    assert again.get("VIP").revision.version == 2
    assert again.get("VIP", 1).payload == b"one"
    assert [(a.actor, a.action, a.version) for a in again.audit(10, "")[0]] == [
        ("bob", "saved", 2),
        ("ann", "saved", 1),
    ]


async def test_a_request_id_is_answered_again_after_a_reload() -> None:
    store = Store()
    definitions = await store.load()
    assert definitions.answered("VIP", "r1") is None
    await store.commit(definitions, definitions.save("VIP", b"one", "", "ann", 1, "r1"))
    await store.commit(definitions, definitions.save("VIP", b"two", "", "ann", 2))
    for one in (definitions, await store.load()):
        answered = one.answered("VIP", "r1")
        assert answered is not None
        assert answered.payload == b"one"
        assert one.answered("VIP", "") is None
        assert one.answered("other", "r1") is None


async def test_an_old_etag_is_refused() -> None:
    store = Store()
    definitions = await store.load()
    await store.commit(definitions, definitions.save("VIP", b"one", "", "ann", 1))
    with pytest.raises(CdpError) as caught:
        definitions.save("VIP", b"two", "not-the-etag", "bob", 2)
    assert caught.value.reason == "ETAG_MISMATCH"


async def test_a_deleted_name_is_gone_and_may_come_back() -> None:
    store = Store()
    definitions = await store.load()
    await store.commit(definitions, definitions.save("VIP", b"one", "", "ann", 1))
    await store.commit(definitions, definitions.delete("VIP", "", "ann", 2))
    with pytest.raises(CdpError) as caught:
        definitions.get("VIP")
    assert caught.value.reason == "NO_SUCH_SEGMENT"
    assert definitions.newest() == []
    await store.commit(definitions, definitions.save("VIP", b"three", "", "ann", 3))
    assert definitions.get("VIP").revision.version == 3


async def test_audit_pages_hold_everything_once() -> None:
    store = Store()
    definitions = await store.load()
    for number in range(7):
        await store.commit(definitions, definitions.save(f"s{number}", b"x", "", "ann", number))
    names, token = [], ""
    while True:
        page, token = definitions.audit(3, token)
        names += [record.name for record in page]
        if not token:
            break
    assert names == [f"s{number}" for number in reversed(range(7))]


async def test_pages_of_the_newest_hold_everything_once_by_name() -> None:
    store = Store()
    definitions = await store.load()
    for number in (3, 0, 6, 2, 1, 5, 4):
        await store.commit(definitions, definitions.save(f"s{number}", b"x", "", "ann", number))
    await store.commit(definitions, definitions.delete("s4", "", "ann", 7))
    pages, token = [], ""
    while True:
        page, token = definitions.page(3, token)
        pages.append([stored.revision.name for stored in page])
        if not token:
            break
    assert pages == [["s0", "s1", "s2"], ["s3", "s5", "s6"]]
    assert definitions.page(0, "s6") == ([], "")


@pytest.mark.parametrize("name", ["", " x", "x ", "a\nb", "x" * 201])
async def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(CdpError) as caught:
        (await Store().load()).save(name, b"", "", "ann", 1)
    assert caught.value.reason == "BAD_NAME"
