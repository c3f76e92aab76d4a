"""Commits of folds: a log that is full or away is waited for. A worker that ended instead would take what it serves
away from readers as well, and would find the log no emptier when it is started again."""

from __future__ import annotations

import asyncio

from core.errors import CdpError, Code
from core.eventlog.protocol import Commit, Committed, EventLog, Fence, Partition
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)

_PAUSE_S = 1.0


async def commit_patiently(log: EventLog, partition: Partition, fence: Fence, commit: Commit) -> Committed:
    """Commit once the log takes it. A commit that names its upstream position may be asked for again whatever happened
    to the reply; another one only while the log refuses it (EXHAUSTED). Raises every refusal that time does not mend,
    such as FENCED."""
    told = False
    while True:
        try:
            return await log.commit(partition, fence, commit)
        except CdpError as error:
            later = error.code is Code.EXHAUSTED or (error.code is Code.UNAVAILABLE and commit.source is not None)
            if not later:
                raise
            if not told:
                told = True
                _LOG.warning("commit waits for the log", workspace=partition.workspace, reason=error.reason)
            await asyncio.sleep(error.retry_after_s or _PAUSE_S)
