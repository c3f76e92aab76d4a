"""Taking people out of the archive of accepted facts: their rows go, the files are written anew in place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cdp.facts.v1 import facts_pb2
from core.events.columns import Identifier
from core.identity.normalise import normalised
from core.identity.rules import IdentityRules
from services.runtime.durable import sync, sync_folder

EVENTS = ".parquet"
FACTS = ".facts.parquet"
_DRAFT = ".draft"


@dataclass(frozen=True, slots=True)
class Forgetting:
    """Who is to be found: whatever names one of `names` (normalised by `rules`), and the events of these ids in the
    entries at these positions."""

    names: frozenset[Identifier]
    events: Mapping[int, frozenset[str]]
    rules: IdentityRules


def is_wanted(wanted: Forgetting, one: Identifier) -> bool:
    """Whether an identifier, as it was sent or in its one form, names somebody who is to be forgotten."""
    return one in wanted.names or normalised(one, wanted.rules) in wanted.names


def forget_in_file(folder: Path, name: str, wanted: Forgetting) -> tuple[int, int, bytes]:
    """Rewrite one archived range without the people: how many events and facts went, and the range's row as it is now.
    Blocks. Broken off and done again, it leaves the same files."""
    events, left_events = _without(folder / f"{name}{EVENTS}", _gone_events, wanted)
    facts, left_facts = _without(folder / f"{name}{FACTS}", _gone_facts, wanted)
    return events, facts, json.dumps({"events": left_events, "facts": left_facts}).encode()


def _without(path: Path, gone_of: Any, wanted: Forgetting) -> tuple[int, int]:
    if not path.exists():  # the range has nothing of the kind
        return 0, 0
    table = pq.read_table(path)
    gone: NDArray[np.bool_] = gone_of(table, wanted)
    count = int(gone.sum())
    if count:
        draft = path.with_name(path.name + _DRAFT)
        pq.write_table(table.filter(pa.array(~gone)), draft, compression="zstd", write_statistics=True)
        with draft.open("rb") as file:
            sync(file.fileno(), draft)
        draft.replace(path)
        sync_folder(path.parent)
    return count, table.num_rows - count


def _gone_events(table: Any, wanted: Forgetting) -> NDArray[np.bool_]:
    gone = np.zeros(table.num_rows, np.bool_)
    lists = table.column("identifiers").combine_chunks()
    if isinstance(lists, pa.ChunkedArray):
        lists = lists.chunk(0) if lists.num_chunks else pa.array([], lists.type)
    if len(lists):
        flat = lists.flatten()
        mine = _are_wanted(flat.field("kind"), flat.field("value"), wanted)
        owners = np.repeat(np.arange(len(lists)), np.asarray(lists.value_lengths().fill_null(0)))
        gone[owners[mine]] = True
    if wanted.events:
        positions = table.column("position").to_numpy()
        for row in np.flatnonzero(np.isin(positions, np.fromiter(wanted.events, np.uint64))).tolist():
            if table.column("id")[row].as_py() in wanted.events[int(positions[row])]:
                gone[row] = True
    return gone


def _are_wanted(kinds: Any, values: Any, wanted: Forgetting) -> NDArray[np.bool_]:
    """Each distinct identifier is looked at once."""
    of_kind = {one.kind for one in wanted.names}
    known: dict[tuple[str, str], bool] = {}
    found = np.zeros(len(values), np.bool_)
    for place, pair in enumerate(zip(kinds.to_pylist(), values.to_pylist(), strict=True)):
        mine = known.get(pair)
        if mine is None:
            one = Identifier(*pair)
            mine = one in wanted.names
            if not mine and one.kind in of_kind:
                mine = normalised(one, wanted.rules) in wanted.names
            known[pair] = mine
        found[place] = mine
    return found


def _gone_facts(table: Any, wanted: Forgetting) -> NDArray[np.bool_]:
    return np.array([_is_gone(raw, wanted) for raw in table.column("fact").to_pylist()], np.bool_)


def _is_gone(raw: bytes, wanted: Forgetting) -> bool:
    fact = facts_pb2.AcceptedFact.FromString(raw)
    match fact.WhichOneof("fact"):
        case "profile":
            names = fact.profile.identifiers
        case "machine_mark":
            names = fact.machine_mark.identifiers
        case _:
            return False
    return any(is_wanted(wanted, Identifier(one.kind, one.value)) for one in names)
