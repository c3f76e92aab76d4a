"""A process that folds ingest's log of one workspace to its end, with the real shard; the environment may kill it."""

from __future__ import annotations

import asyncio
import sys

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from core.clock import ManualClock
from core.eventlog.protocol import EventLog
from core.identity.rules import IdentityRules
from services.profile_unification.folder import Folder
from services.profile_unification.worker import UnificationShard
from services.runtime.caller import Workspace
from services.runtime.context import Runtime
from services.runtime.lease import LeaseKeeper
from services.runtime.redis_log import RedisLog
from services.runtime.settings import Settings
from services.runtime.stubs import Stubs
from services.runtime.workspaces import WorkspaceDirectory
from tests.flow.unification_house import BUCKET, OWN, UPSTREAM, WORKSPACE
from tests.unit.profile.people import T

LEASE = f"profile_unification:{BUCKET}"


async def fold_all(log: EventLog, folder: str, entries_a_commit: int) -> None:
    """Fold everything that ingest's log holds beyond the stored position."""
    settings = Settings.from_environment({"CDP_DATA_DIR": folder})
    stubs = Stubs(lambda _: "127.0.0.1:1", "token", 1 << 20)
    leases = LeaseKeeper(log, "child", 1.0)
    runtime = Runtime(settings, ManualClock(T), log, stubs, WorkspaceDirectory(stubs, "token"), leases, "child")
    try:
        fence = await leases.acquire(LEASE, timeout_s=10)
        workspace = Workspace(WORKSPACE, WORKSPACE, "UTC", "EUR", BUCKET, T)
        rules = IdentityRules()
        shard = await UnificationShard.open(runtime, workspace, OWN, fence, rules)
        state = await Folder.load(log, OWN, rules, timeline=shard.timeline)
        while entries := await log.read(UPSTREAM, shard.folded, entries_a_commit, 1 << 30):
            await shard.fold(
                state,
                [
                    ingest_pb2.SubscribeResponse(
                        position=entry.position, batch=facts_pb2.AcceptedBatch.FromString(entry.payload)
                    )
                    for entry in entries
                ],
            )
            await shard.timeline.flush_if_long(fence, T)
    finally:
        await leases.close()


async def _main(url: str, folder: str) -> None:
    log = await RedisLog.connect(url)
    try:
        await fold_all(log, folder, 2)
    finally:
        await log.close()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
