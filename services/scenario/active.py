"""The active runs of one workspace in memory. Those that wait, nearly all of them, are kept as they are stored."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

from core.scenario.run import Run, State
from services.scenario.codec import Head, decode_run, encode_run, head_of


class Active(MutableMapping[str, Run]):
    """Runs by id. Reading one that waits makes it anew from its bytes; nothing is shared between two readings."""

    def __init__(self) -> None:
        self._rows: dict[str, Run | bytes] = {}

    def __getitem__(self, run_id: str) -> Run:
        row = self._rows[run_id]
        return decode_run(row) if isinstance(row, bytes) else row

    def __setitem__(self, run_id: str, run: Run) -> None:
        self._rows[run_id] = encode_run(run) if run.state is State.WAITING else run

    def __delitem__(self, run_id: str) -> None:
        del self._rows[run_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._rows

    def keep(self, run: Run, stored: bytes) -> None:
        """Keep a run whose bytes are known already."""
        self._rows[run.run_id] = stored if run.state is State.WAITING else run

    def keep_waiting(self, run_id: str, stored: bytes) -> None:
        """Keep what was stored of a run whose head says that it waits."""
        self._rows[run_id] = stored

    def heads(self) -> Iterator[tuple[str, Head]]:
        """Every run's id and head, in no order."""
        for run_id, row in self._rows.items():
            yield run_id, self._head(row)

    def head(self, run_id: str) -> Head:
        """The head of one run, without reading it."""
        return self._head(self._rows[run_id])

    @staticmethod
    def _head(row: Run | bytes) -> Head:
        return head_of(row) if isinstance(row, bytes) else Head.of(row)
