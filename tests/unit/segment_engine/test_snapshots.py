"""Snapshot files: whole or refused, never wrong numbers."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

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
    whole = path.read_bytes()
    random = Random(7)
    damaged = tmp_path / "b.snapshot"
    for _ in range(40):
        damaged.write_bytes(whole[: random.randrange(len(whole))])
        with pytest.raises(DamagedSnapshotError):
            read_snapshot(damaged, "w1")
    header_end = whole.index(b"\n")
    for place in [random.randrange(header_end + 1, len(whole)) for _ in range(40)]:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << random.randrange(8)
        damaged.write_bytes(bytes(flipped))
        with pytest.raises(DamagedSnapshotError):
            read_snapshot(damaged, "w1")
    damaged.write_bytes(whole + b"x")
    with pytest.raises(DamagedSnapshotError, match="behind the last section"):
        read_snapshot(damaged, "w1")


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
    for batch in batches(Random(1), scene.world.log)[:6] or []:
        index.apply(batch.events, batch.facts, batch.position)
        await store.keep(index.root())
        digests[index.position] = digest(index.root())
    files = sorted(tmp_path.glob("*.snapshot"))
    assert len(files) == min(3, len(digests))
    assert digest(SnapshotStore(tmp_path, "w1").load().root()) == digests[index.position]
    files[-1].write_bytes(files[-1].read_bytes()[:-1])
    loaded = SnapshotStore(tmp_path, "w1").load()
    assert loaded.position < index.position
    assert loaded.position == 0 or digest(loaded.root()) == digests[loaded.position]


def test_with_no_snapshot_the_index_is_empty(tmp_path: Path) -> None:
    assert SnapshotStore(tmp_path / "none", "w1").load().position == 0
