"""When uploads and reports of imports go."""

from __future__ import annotations

from dataclasses import replace

from cdp.bulk.v1 import bulk_pb2 as pb
from core.clock import DAY_US
from services.ingest.bulk.files import FileState
from services.ingest.bulk.retention import Retention
from services.ingest.bulk.run import ImportRun, ImportState
from services.ingest.bulk.spec import spec_bytes

NOW_US = 1_790_000_000_000_000
FILE = FileState("p.csv", 10, complete=True, changed_at_us=NOW_US - 5)


def _run(number: int, state: ImportState, ended_at_us: int, *, rejected: int = 0, dry_run: bool = False) -> ImportRun:
    spec = spec_bytes(pb.ImportSpec(kind=pb.IMPORT_KIND_CONTACTS, file="p.csv"))
    return ImportRun(number, state, spec, dry_run, False, NOW_US - 10, ended_at_us=ended_at_us, rejected=rejected)


DONE = _run(1, ImportState.DONE, NOW_US)


def test_a_file_goes_with_its_report_after_so_many_days() -> None:
    kept = Retention(7)
    for now_us, over in ((NOW_US, False), (NOW_US + 7 * DAY_US - 1, False), (NOW_US + 7 * DAY_US, True)):
        assert kept.uploads_over([FILE], [DONE], now_us) == ["p.csv"] * over
        assert kept.reports_over([DONE], now_us) == [1] * over


def test_without_days_what_ended_well_goes_at_once_and_the_rest_after_one() -> None:
    kept = Retention(0)
    assert (kept.uploads_over([FILE], [DONE], NOW_US), kept.reports_over([DONE], NOW_US)) == (["p.csv"], [1])
    for run in (
        replace(DONE, rejected=1),
        replace(DONE, dry_run=True),
        replace(DONE, state=ImportState.FAILED),
        replace(DONE, state=ImportState.CANCELLED),
    ):
        last_us = NOW_US + DAY_US - 1
        assert (kept.uploads_over([FILE], [run], last_us), kept.reports_over([run], last_us)) == ([], [])
        assert (kept.uploads_over([FILE], [run], last_us + 1), kept.reports_over([run], last_us + 1)) == (
            ["p.csv"],
            [1],
        )


def test_a_file_that_an_import_reads_stays_whatever_others_did() -> None:
    reading = _run(2, ImportState.RUNNING, 0)
    cancelled = _run(3, ImportState.CANCELLED, NOW_US)
    later_us = NOW_US + 90 * DAY_US
    assert Retention(7).uploads_over([FILE], [DONE, reading, cancelled], later_us) == []
    assert Retention(7).reports_over([DONE, reading, cancelled], later_us) == [1, 3]


def test_the_last_import_of_a_file_counts() -> None:
    again = _run(2, ImportState.DONE, NOW_US + 5 * DAY_US)
    assert Retention(7).uploads_over([FILE], [again, DONE], NOW_US + 8 * DAY_US) == []
    assert Retention(7).uploads_over([FILE], [again, DONE], NOW_US + 12 * DAY_US) == ["p.csv"]


def test_a_file_that_came_after_the_import_waits_for_its_own() -> None:
    newer = replace(FILE, changed_at_us=NOW_US + DAY_US)
    kept = Retention(0)
    assert kept.uploads_over([newer], [DONE], NOW_US + DAY_US) == []
    assert kept.uploads_over([newer], [DONE], NOW_US + 2 * DAY_US) == ["p.csv"]


def test_what_nobody_imports_goes_too_but_not_the_day_it_is_seen_first() -> None:
    old = FileState("old.csv", 10, complete=True, changed_at_us=0)
    part = FileState("part.csv", 10, complete=False, changed_at_us=NOW_US)
    kept = Retention(7)
    assert kept.uploads_over([old, part], [], NOW_US) == []
    assert kept.uploads_over([old, part], [], NOW_US + DAY_US) == ["old.csv"]
    assert kept.uploads_over([], [], NOW_US + DAY_US) == []
    assert kept.uploads_over([old, part], [], NOW_US + 7 * DAY_US) == [], "they are seen anew"
    assert kept.uploads_over([old, part], [], NOW_US + 8 * DAY_US) == ["old.csv", "part.csv"]
