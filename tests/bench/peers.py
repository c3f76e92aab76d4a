"""The peers that can be installed here, loaded with the workload that ours was loaded with: same seed, drawn again."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from rich.progress import Progress

from tests.bench.engine import Peer
from tests.bench.workload import Workload


def make_peers(folder: Path) -> tuple[tuple[Peer, ...], tuple[str, ...]]:
    """Empty peers that keep their files under `folder`, and the names of those that have no package here."""
    peers: list[Peer] = []
    missing: list[str] = []
    if find_spec("duckdb") is None:
        missing.append("DuckDB")
    else:
        from tests.bench.peer_duckdb import DuckDb

        peers.append(DuckDb(folder))
    if find_spec("chdb") is None:
        missing.append("ClickHouse")
    else:
        from tests.bench.peer_clickhouse import ClickHouse

        peers.append(ClickHouse(folder))
    return tuple(peers), tuple(missing)


def load_peers(peers: Sequence[Peer], workload: Workload, progress: Progress) -> None:
    """Fill all peers, and bring them into the best order for reading."""
    contacts = workload.draw_contacts()
    for peer in peers:
        peer.load_contacts(contacts)
    del contacts
    task = progress.add_task("peers' events", total=workload.events)
    for batch in workload.draw_events():
        for peer in peers:
            peer.load_events(batch)
        progress.advance(task, len(batch))
    for peer in peers:
        peer.loaded()
