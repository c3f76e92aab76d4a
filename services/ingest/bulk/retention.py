"""How long what people sent as files is kept: uploads and reports hold personal data, and go when nobody needs them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from core.clock import DAY_US
from services.ingest.bulk.files import FileState
from services.ingest.bulk.run import UNDER_WAY, ImportRun, ImportState

#: What is kept at once no longer still waits so long for somebody to mend it, to fetch its report, or to import it.
_LEAST_US = DAY_US


@dataclass(frozen=True, slots=True)
class Retention:
    """`days` after the end of an import its upload and its report go. 0: at once, when it has ended well (whole, no
    row refused, no dry run), and after a day otherwise."""

    days: int
    #: When this process first saw a file that no import has read.
    _seen_us: dict[str, int] = field(default_factory=dict)

    def report_until_us(self, run: ImportRun) -> int:
        """From when on the report of an ended import is gone."""
        well = run.state is ImportState.DONE and not run.rejected and not run.dry_run
        return run.ended_at_us + (self.days * DAY_US or (0 if well else _LEAST_US))

    def reports_over(self, runs: Iterable[ImportRun], now_us: int) -> list[int]:
        """Imports whose reports are to go."""
        return [run.number for run in runs if run.state not in UNDER_WAY and self.report_until_us(run) <= now_us]

    def uploads_over(self, files: Collection[FileState], runs: Iterable[ImportRun], now_us: int) -> list[str]:
        """Files that are to go: each when the last import that read it is over, and one that came after it, or that no
        import has read, so long after it arrived, at the least a day after this process first saw it."""
        newest: dict[str, ImportRun] = {}
        busy = set()
        for run in sorted(runs, key=lambda run: run.number):
            name = run.whole_spec.file
            newest[name] = run
            if run.state in UNDER_WAY:
                busy.add(name)
        there = {file.name for file in files}
        for gone in self._seen_us.keys() - there:
            del self._seen_us[gone]
        found = []
        for file in files:
            if file.name in busy:
                continue
            last = newest.get(file.name)
            if last is not None and file.complete and file.changed_at_us <= last.ended_at_us:
                until_us = self.report_until_us(last)
            else:
                # It may have been put there with an old date.
                seen_us = self._seen_us.setdefault(file.name, now_us)
                until_us = max(file.changed_at_us + (self.days * DAY_US or _LEAST_US), seen_us + _LEAST_US)
            if until_us <= now_us:
                found.append(file.name)
        return found
