"""`python -m services.ingest.feeds.stage_process`: one job on standard input, progress on standard output."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from zoneinfo import ZoneInfo

from cdp.catalog.v1 import catalog_pb2 as pb
from core.catalog.offer import OfferRules
from core.errors import CdpError
from core.money.rates import Rate, Rates
from services.ingest.feeds.item import Reading
from services.ingest.feeds.job import DONE_LINE, StageJob, StageProgress, progress_line, refusal_line
from services.ingest.feeds.read import read_items
from services.ingest.feeds.staging import Staging, Tally
from services.ingest.feeds.store import FeedStore
from services.runtime.failpoints import failpoint
from services.runtime.telemetry import configure_logging

#: Calls that are answered meanwhile come first.
_NICE = 10
_TELL_S = 0.25


def main() -> None:
    """Stage what standard input asks for. A reader that has gone ends the process at its next line."""
    os.nice(_NICE)
    configure_logging("console", "warning")  # to standard error: standard output belongs to the answer
    job = StageJob(**json.loads(sys.stdin.readline()))
    try:
        stage(job)
    except CdpError as error:
        _tell(refusal_line(error))
    else:
        _tell(DONE_LINE)


def stage(job: StageJob) -> None:
    """Read the file and stage the run. Raises INVALID for a file that cannot be imported."""
    store = FeedStore(Path(job.store))
    read = [0, 0]
    told_s = time.monotonic()

    def reached(read_bytes: int, total_bytes: int) -> None:
        read[0], read[1] = read_bytes, total_bytes

    def tell(tally: Tally) -> None:
        nonlocal told_s
        if time.monotonic() - told_s > _TELL_S:
            told_s = time.monotonic()
            _tell(progress_line(StageProgress(tally, *read)))
            failpoint("feed.reading")

    try:
        rates = Rates(job.home).with_rates([Rate(*one) for one in job.rates], 0)
        rules = OfferRules(job.now_us, job.currency, job.low_stock, ZoneInfo(job.zone), rates)
        # Told before, and nothing known of it now: the store was lost, and what changed cannot be told. Nor can it
        # where the workspace counts in another currency than then.
        compare = (store.applied_run > 0 and job.same_currency) or not job.told_before
        staging = Staging(store, rules, job.maximum_items, compare, job.partial)
        reading = Reading(job.encoding, job.delimiter, job.columns)
        store.begin()
        items = read_items(Path(job.file), pb.FeedFormat.ValueType(job.format), reading, job.limit_bytes, reached)
        tally = staging.stage(items, tell)
        store.staged_whole(job.run)
        _tell(progress_line(StageProgress(tally, read[1], read[1])))
    finally:
        store.close()


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
