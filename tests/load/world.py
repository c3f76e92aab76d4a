"""The snapshot that the platform starts from: contacts and history as they would have been folded, written by the
engine's own code, at the position that unification's log has reached.

The first contacts are the registered ones, under the numbers and ids that the log knows, with a history besides; the
others exist in the snapshot alone, and no event is sent for them. The history ends when the log begins. It is made in a
process of its own, `python -m tests.load.world`, so that its memory is free again while the server is measured.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from core.index.bulk import StateColumns
from core.index.index import Index
from services.segment_engine.snapshots import SnapshotStore, write_snapshot
from tests.bench.memory import peak_resident_bytes
from tests.bench.ours_load import event_columns, load_contacts
from tests.bench.platform_process import ROOT
from tests.bench.workload import END_US, Contacts, Workload
from tests.load.plan import LoadPlan
from tests.load.registering import Registered

_BATCH = 100_000


@dataclass(frozen=True, slots=True)
class WorldOrder:
    """What is to be written into `folder`; `keys` names a file: ids of contacts from `first` on, one a line."""

    folder: str
    first: int
    keys: str
    workspace_id: str
    position: int
    epoch: str
    until_us: int
    contacts: int
    events: int
    seed: int


def write_world(data_dir: Path, registered: Registered, plan: LoadPlan) -> dict[str, object]:
    """Write the snapshot in a process of its own; how long that took and how much it is. The platform must not run."""
    keys = data_dir / "keys.txt"
    keys.write_text("\n".join(registered.keys))
    order = WorldOrder(
        str(data_dir / "snapshots" / registered.workspace_id),
        registered.first,
        str(keys),
        registered.workspace_id,
        registered.position,
        registered.epoch,
        registered.before_us,
        plan.contacts,
        plan.events,
        plan.seed,
    )
    command = [sys.executable, "-m", "tests.load.world", json.dumps(asdict(order))]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def make_world(order: WorldOrder) -> dict[str, object]:
    """Fold the workload and write it as the only snapshot."""
    started_s = time.perf_counter()
    index = _folded(order)
    folded_s = time.perf_counter() - started_s
    folder = Path(order.folder)
    SnapshotStore(folder, order.workspace_id).discard()
    write_snapshot(folder / f"{order.position:020d}.snapshot", index.root(), order.workspace_id, order.epoch)
    sizes = [section.stat().st_size for section in (folder / "sections").iterdir()]
    return {
        "folded_s": round(folded_s, 1),
        "written_s": round(time.perf_counter() - started_s - folded_s, 1),
        "snapshot_mb": sum(sizes) >> 20,
        "sections": len(sizes),
        "peak_mb": peak_resident_bytes() >> 20,
    }


def _folded(order: WorldOrder) -> Index:
    workload = Workload(order.contacts, order.events, order.seed)
    shift_us = order.until_us - END_US
    index = Index()
    contacts = workload.draw_contacts()
    contacts.created_us[:] += shift_us
    load_contacts(index, contacts, lambda n: None)
    index.apply_columns([_registered(order, contacts)], order.position)
    del contacts
    for batch in workload.draw_events():
        batch.at_us[:] += shift_us
        for first in range(0, len(batch), _BATCH):
            index.apply(event_columns(batch.part(first, first + _BATCH)), (), order.position)
        index.root()
    index.compact()
    index.position = order.position
    return index


def _registered(order: WorldOrder, contacts: Contacts) -> StateColumns:
    """The active contacts under the ids that unification gave them."""
    keys = Path(order.keys).read_text().split()
    numbers = np.arange(order.first, order.first + len(keys), dtype=np.uint32)
    known = np.ones(len(keys), np.bool_)
    return StateColumns(numbers, keys, known, known.astype(np.uint8), contacts.created_us[numbers])


def main() -> None:
    """Do the order that stands in the arguments."""
    print(json.dumps(make_world(WorldOrder(**json.loads(sys.argv[1])))))


if __name__ == "__main__":
    main()
