"""`cdp import` against a running platform, and an import that waits for unification."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from cdp.bulk.v1 import bulk_pb2 as pb
from services.ingest.bulk.worker import BulkShard
from services.runtime.roles import Role
from tests.flow.bulk_house import EVENTS, BulkHouse, bulk_house
from tests.flow.platform import eventually

ROOT = Path(__file__).parents[2]


async def _command(house: BulkHouse, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services", "import", *arguments),
        *("--address", house.platform.address(Role.INGEST), "--key", house.platform.key),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    return process.returncode or 0, (out + error).decode()


async def test_a_file_from_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "orders of 2025.csv"
    plain = tmp_path / "views.csv"
    text = "who,product_id,when,price\n" + "".join(f"u{i}@example.com,p{i},2025-01-02,{i}\n" for i in range(50))
    plain.write_text(text + "u@example.com,p,never,1\n")
    file.write_text(text)
    columns = ("--map", "who=identifier.email", "--map", "when=time")
    async with bulk_house(tmp_path / "house") as house:
        code, said = await _command(house, str(plain), "--kind", "events", "--event-type", "product_viewed")
        assert (code, "[BAD_IMPORT]" in said) == (2, True), said
        rest = (str(plain), "--kind", "events", "--event-type", "product_viewed", *columns)
        code, said = await _command(house, *rest, "--dry-run")
        assert (code, "50 would be accepted" in said, "when -> time" in said) == (1, True, True), said
        assert (await house.facts()).written == 0
        rejected = tmp_path / "rejected.csv"
        code, said = await _command(house, *rest, "--rejected", str(rejected))
        assert (code, "1 BAD_TIME" in said) == (1, True), said
        assert rejected.read_text().splitlines()[1].startswith("51,BAD_TIME,when,")
        assert (await house.facts()).written == 50
        code, said = await _command(house, str(file), "--kind", "events", "--event-type", "x", *columns)
        assert (code, "[BAD_FILE_NAME]" in said) == (2, True), said


async def test_an_import_waits_for_unification_and_can_be_cancelled_then(tmp_path: Path) -> None:
    content = "email,product_id\n" + "".join(f"u{i}@example.com,p{i}\n" for i in range(12_000))
    async with bulk_house(tmp_path) as house:
        ingest = house.platform.host(Role.INGEST).service(Role.INGEST)
        workspace = house.platform.host(Role.INGEST).runtime.workspaces.all()[0]
        shard: BulkShard = ingest._bulk.shard_of(workspace.id)  # type: ignore[attr-defined]
        shard._importer.most_behind = 4
        await house.upload("e.csv", content.encode())
        operation = await house.start(pb.ImportSpec(kind=EVENTS, file="e.csv", event_type="product_viewed"))

        async def waiting() -> bool:
            return (await house.shown(1)).waiting

        await eventually(waiting, "the import waits")
        held = await house.shown(1)
        assert held.state == pb.IMPORT_STATE_RUNNING and held.rows_read < 12_000
        # Unification tells how far it is, and the import goes on.
        shard._importer.way.consumers.set("profile_unification", 1_000)
        ended = await house.ended(operation)
        assert (ended.state, ended.rows_accepted) == (pb.IMPORT_STATE_DONE, 12_000)
