"""Snapshot files: whole or refused, never wrong numbers; only what is new is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

from core.events.columns import EventColumnsBuilder
from core.events.facts import AttributeWrite, ContactFact, ContactState, Erasure
from core.index.digest import digest
from core.index.index import Index
from services.segment_engine.snapshots import DamagedSnapshotError, SnapshotStore, read_snapshot, write_snapshot
from tests.generators.scene import make_scene
from tests.generators.world import batches


def filled(seed: int) -> Index:
    scene = make_scene(seed, questions=0)
    index = Index()
    for batch in batches(scene.random, scene.world.log):
        index.apply(batch.events, batch.facts, batch.position)
    return index


def sections(folder: Path) -> dict[str, int]:
    """Section file -> when it was written."""
    return {path.name: path.stat().st_mtime_ns for path in (folder / "sections").iterdir()}


def test_a_snapshot_is_read_back_as_it_was(tmp_path: Path) -> None:
    for seed in range(5):
        index = filled(seed)
        path = tmp_path / f"{seed}.snapshot"
        write_snapshot(path, index.root(), "w1")
        again = read_snapshot(path, "w1")
        assert again.position == index.position
        assert digest(again.root()) == digest(index.root())


def test_every_damage_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.snapshot"
    write_snapshot(path, filled(3).root(), "w1")
    random = Random(7)
    for file in (path, *(tmp_path / "sections").iterdir()):
        whole = file.read_bytes()
        for _ in range(8):
            file.write_bytes(whole[: random.randrange(len(whole))])
            with pytest.raises(DamagedSnapshotError):
                read_snapshot(path, "w1")
            flipped = bytearray(whole)
            flipped[random.randrange(len(whole))] ^= 1 << random.randrange(8)
            file.write_bytes(bytes(flipped))
            with pytest.raises(DamagedSnapshotError):
                read_snapshot(path, "w1")
        file.write_bytes(whole + b"x")
        with pytest.raises(DamagedSnapshotError):
            read_snapshot(path, "w1")
        file.unlink()
        if file != path:
            with pytest.raises(DamagedSnapshotError, match="missing"):
                read_snapshot(path, "w1")
        file.write_bytes(whole)
    read_snapshot(path, "w1")


def test_swapped_sections_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.snapshot"
    write_snapshot(path, filled(3).root(), "w1")
    first, second = sorted((tmp_path / "sections").iterdir())[:2]
    spare = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(spare)
    with pytest.raises(DamagedSnapshotError, match="checksum"):
        read_snapshot(path, "w1")


def test_another_workspace_s_snapshot_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.snapshot"
    write_snapshot(path, filled(1).root(), "w1")
    with pytest.raises(DamagedSnapshotError, match="another workspace"):
        read_snapshot(path, "w2")


async def test_the_newest_whole_snapshot_is_used_and_three_are_kept(tmp_path: Path) -> None:
    scene = make_scene(4, questions=0)
    index = Index()
    store = SnapshotStore(tmp_path, "w1")
    digests = {}
    for batch in batches(Random(1), scene.world.log)[:6]:
        index.apply(batch.events, batch.facts, batch.position)
        await store.keep(index.root(), "e1")
        digests[index.position] = digest(index.root())
    files = sorted(tmp_path.glob("*.snapshot"))
    assert len(files) == min(3, len(digests))
    assert digest(SnapshotStore(tmp_path, "w1").load().root()) == digests[index.position]
    files[-1].write_bytes(files[-1].read_bytes()[:-1])
    loaded = SnapshotStore(tmp_path, "w1").load()
    assert loaded.position < index.position
    assert loaded.position == 0 or digest(loaded.root()) == digests[loaded.position]


async def test_nobody_who_was_erased_is_in_an_older_snapshot(tmp_path: Path) -> None:
    index, store = Index(), SnapshotStore(tmp_path, "w1")
    nothing = replace(EventColumnsBuilder().build(), contacts=np.zeros(0, np.uint32))
    told: list[list[ContactFact]] = [
        [ContactState(1, "sentinel-key", True, 0, 5, 0), AttributeWrite(1, "city", "sentinel-city", 5, False, 0)],
        [ContactState(2, "key", True, 0, 5, 0)],
        [Erasure(1, 0)],
    ]
    for position, facts in enumerate(told, 1):
        assert position == 1 or _holding(tmp_path, b"sentinel")
        index.apply(nothing, facts, position)
        await store.keep(index.root(), "e1")
    assert [path.name for path in tmp_path.glob("*.snapshot")] == [f"{3:020d}.snapshot"]
    assert _holding(tmp_path, b"sentinel") == []
    again = SnapshotStore(tmp_path, "w1")
    index = again.load()
    for position in range(4, 8):
        index.apply(nothing, [ContactState(3, "k", True, 0, 5, 0)], position)
        await again.keep(index.root(), "e1")
    assert len(list(tmp_path.glob("*.snapshot"))) == 3


def _holding(folder: Path, text: bytes) -> list[Path]:
    """The files that hold `text`."""
    return [path for path in folder.rglob("*") if path.is_file() and text in path.read_bytes()]


async def test_only_new_sections_are_written_and_old_ones_forgotten(tmp_path: Path) -> None:
    scene = make_scene(4, questions=0)
    index = Index()
    store = SnapshotStore(tmp_path, "w1")
    shared = 0
    for position in range(1, 30):
        for batch in batches(Random(1), scene.world.log, cuts=False):
            index.apply(batch.events.take(np.array([0], np.intp)), (), position)
        before = sections(tmp_path) if position > 1 else {}
        await store.keep(index.root(), "e1")
        after = sections(tmp_path)
        kept = before.keys() & after.keys()
        assert all(before[name] == after[name] for name in kept), "a section that is there is not written again"
        shared += len(kept)
    assert shared > 0
    named = set()
    for path in tmp_path.glob("*.snapshot"):
        named |= set(sections(tmp_path)) & {word.strip('",') for word in path.read_text().split()}
    assert set(sections(tmp_path)) == named
    assert not [name for name in sections(tmp_path) if name.endswith(".draft")]


def test_with_no_snapshot_the_index_is_empty(tmp_path: Path) -> None:
    assert SnapshotStore(tmp_path / "none", "w1").load().position == 0
