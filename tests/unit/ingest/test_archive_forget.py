"""People are taken out of archived ranges; everybody else's rows stay as they were."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from cdp.facts.v1 import facts_pb2
from core.eventlog.protocol import Entry
from core.events.columns import Event, EventColumnsBuilder, Identifier
from core.identity.rules import IdentityRules
from services.ingest.archive import write_ranges
from services.ingest.archive_forget import Forgetting, forget_in_file
from services.runtime.facts import columns_to_proto

T = 1_700_000_000_000_000
ANN, BOB = Identifier("email", "ann@example.com"), Identifier("email", "bob@example.com")
COOKIE = Identifier("anonymous_id", "shared cookie")


def entry(position: int) -> Entry:
    """Three events and two updates, some of Ann."""
    builder = EventColumnsBuilder()
    for number, name in enumerate((Identifier("email", " Ann@EXAMPLE.com "), BOB, COOKIE)):
        params = {"who": name.value}
        builder.add(Event(f"{position}.{number}", "viewed", T, T, (name,), params, ({"name": name.value},)))
    batch = facts_pb2.AcceptedBatch(events=columns_to_proto(builder.build()))
    for one in (ANN, BOB):
        fact = batch.facts.add(id=f"{position}.{one.value}", occurred_at_us=T)
        fact.profile.identifiers.add(kind=one.kind, value=one.value)
        fact.profile.attributes["secret"].text = f"secret of {one.value}"
    return Entry(position, T, batch.SerializeToString())


def test_rows_of_people_go(tmp_path: Path) -> None:
    [written] = write_ranges(tmp_path, [entry(1), entry(2)])
    wanted = Forgetting(frozenset({ANN}), {2: frozenset({"2.2"})}, IdentityRules())
    before = pq.read_table(tmp_path / f"{written.name}.parquet").to_pylist()
    events, facts, row = forget_in_file(tmp_path, written.name, wanted)
    assert (events, facts, row) == (3, 2, b'{"events": 3, "facts": 2}')
    after = pq.read_table(tmp_path / f"{written.name}.parquet").to_pylist()
    assert [one["id"] for one in after] == ["1.1", "1.2", "2.1"]
    assert after == [one for one in before if one["id"] in ("1.1", "1.2", "2.1")]
    left = pq.read_table(tmp_path / f"{written.name}.facts.parquet").to_pylist()
    assert [one["id"] for one in left] == ["1.bob@example.com", "2.bob@example.com"]
    assert forget_in_file(tmp_path, written.name, wanted) == (0, 0, row)
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*.parquet"))
    assert b"ann@example" not in kept.lower()
    assert not list(tmp_path.rglob("*.draft"))


def test_a_range_of_no_one(tmp_path: Path) -> None:
    [written] = write_ranges(tmp_path, [Entry(1, T, facts_pb2.AcceptedBatch().SerializeToString())])
    wanted = Forgetting(frozenset({ANN}), {}, IdentityRules())
    assert forget_in_file(tmp_path, written.name, wanted)[:2] == (0, 0)
