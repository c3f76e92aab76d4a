"""One import from its beginning to its end, as it is kept and shown."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import Enum

from google.longrunning import operations_pb2
from google.protobuf import any_pb2

from cdp.bulk.v1 import bulk_pb2 as pb
from core.clock import SECOND_US
from core.errors import CdpError, Code, invalid
from services.ingest.bulk.frames import EntryFrame, Tally
from services.ingest.bulk.rows import Mark
from services.runtime.errors import to_status

OPERATIONS = "operations/imports/"
CANCELLED = "IMPORT_CANCELLED"


class ImportState(Enum):
    """Where an import is; the values are kept."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


#: An import in one of these goes on after a restart.
UNDER_WAY = frozenset({ImportState.QUEUED, ImportState.RUNNING})
#: Of the stored form.
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class ImportRun:
    """An import. `spec` is a serialised pb.ImportSpec with all columns. `row` and `offset` are the place up to which
    everything is durable, `report_bytes` how long the report of refused rows is by then. `told_at_us`: when rows
    without a time happened. `resumed_at_us` and `resumed_rows`: where the present process began, for its speed."""

    number: int
    state: ImportState
    spec: bytes
    dry_run: bool
    again: bool
    began_at_us: int
    key_id: str = ""
    request_id: str = ""
    ended_at_us: int = 0
    told_at_us: int = 0
    digest: str = ""
    row: int = 0
    offset: int = 0
    report_bytes: int = 0
    bytes_read: int = 0
    bytes_total: int = 0
    read: int = 0
    accepted: int = 0
    rejected: int = 0
    facts: int = 0
    by_reason: Mapping[str, int] = field(default_factory=dict)
    resumed_at_us: int = 0
    resumed_rows: int = 0
    resumed_bytes: int = 0
    waiting: bool = False
    same_as: int = 0
    preview: bytes = b""
    reason: str = ""
    description: str = ""

    @property
    def mark(self) -> Mark:
        """Where to go on."""
        return Mark(self.row, self.offset)

    @property
    def whole_spec(self) -> pb.ImportSpec:
        """The spec."""
        return pb.ImportSpec.FromString(self.spec)

    def reached(self, frame: EntryFrame) -> ImportRun:
        """The import after a frame whose entry is durable."""
        tally = Tally(self.read, self.accepted, self.rejected, self.facts, dict(self.by_reason)) + frame.tally
        return replace(
            self,
            row=frame.row,
            offset=frame.offset,
            bytes_read=frame.bytes_read,
            report_bytes=self.report_bytes + len(frame.rejected),
            read=tally.read,
            accepted=tally.accepted,
            rejected=tally.rejected,
            facts=tally.facts,
            by_reason=tally.by_reason,
            waiting=False,
        )

    def ended(self, state: ImportState, now_us: int, reason: str = "", description: str = "") -> ImportRun:
        """The import at its end."""
        return replace(self, state=state, ended_at_us=now_us, waiting=False, reason=reason, description=description)

    @property
    def key(self) -> bytes:
        """Of the stored form."""
        return f"{self.number:010d}".encode()

    def encode(self) -> bytes:
        """The stored form. Rows that a dry run shows are no part of it: people's data have their own places."""
        found = pb.Preview.FromString(self.preview)
        del found.first[:]
        kept = replace(self, preview=found.SerializeToString())
        fields = {**asdict(kept), "state": self.state.value, "format": _FORMAT}
        for name in ("spec", "preview"):
            fields[name] = base64.b64encode(fields[name]).decode()
        return json.dumps(fields, ensure_ascii=False, sort_keys=True).encode()

    @staticmethod
    def decode(stored: bytes) -> ImportRun:
        """The import of `encode`. Raises INTERNAL / IMPORT_FORMAT for one that a later release wrote."""
        fields = json.loads(stored)
        if fields.pop("format") != _FORMAT:
            raise CdpError(Code.INTERNAL, "IMPORT_FORMAT", f"an import of another format; this release reads {_FORMAT}")
        for name in ("spec", "preview"):
            fields[name] = base64.b64decode(fields[name])
        return ImportRun(**{**fields, "state": ImportState(fields["state"])})

    def to_proto(self, now_us: int) -> pb.Import:
        """The import on the wire, its speed as of `now_us`."""
        seconds = max((self.ended_at_us or now_us) - (self.resumed_at_us or self.began_at_us), 1) / SECOND_US
        done = self.state is ImportState.DONE
        speed = (self.bytes_read - self.resumed_bytes) / seconds
        left = self.bytes_total - self.bytes_read
        shown = pb.Import(
            operation=operation_name(self.number),
            number=self.number,
            spec=self.whole_spec,
            state=_STATES[self.state],
            dry_run=self.dry_run,
            began_at_us=self.began_at_us,
            ended_at_us=self.ended_at_us,
            rows_read=self.read,
            rows_accepted=self.accepted,
            rows_rejected=self.rejected,
            facts=self.facts,
            bytes_read=self.bytes_read,
            bytes_total=self.bytes_total,
            rows_per_second=min(round((self.read - self.resumed_rows) / seconds), 2**32 - 1),
            progress_units=10_000 if done else self.bytes_read * 10_000 // self.bytes_total if self.bytes_total else 0,
            remaining_s=round(left / speed) if speed > 0 and self.state is ImportState.RUNNING else 0,
            waiting=self.waiting,
            digest=self.digest,
            reason=self.reason,
            description=self.description,
            same_as=self.same_as,
            rejected_by_reason=self.by_reason,
        )
        if self.preview:
            shown.preview.MergeFromString(self.preview)
        return shown

    def to_operation(self, now_us: int) -> operations_pb2.Operation:
        """The import as a long-running operation."""
        shown = any_pb2.Any()
        shown.Pack(self.to_proto(now_us))
        operation = operations_pb2.Operation(
            name=operation_name(self.number), metadata=shown, done=self.state not in UNDER_WAY
        )
        if self.state is ImportState.FAILED:
            operation.error.CopyFrom(to_status(invalid(self.reason, self.description)))
        elif self.state is ImportState.CANCELLED:
            operation.error.code = 1  # google.rpc.Code.CANCELLED, as the service of operations wants it
            operation.error.message = "the import was cancelled; what was accepted before stays"
        elif operation.done:
            operation.response.CopyFrom(shown)
        return operation


_STATES = {state: pb.ImportState.Value(f"IMPORT_STATE_{state.name}") for state in ImportState}


def operation_name(number: int) -> str:
    """The name of an import as an operation."""
    return f"{OPERATIONS}{number}"
