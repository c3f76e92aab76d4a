"""One import of a feed, from its beginning to its end, as it is kept and shown."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from enum import Enum

from google.longrunning import operations_pb2
from google.protobuf import any_pb2

from cdp.catalog.v1 import catalog_pb2 as pb
from core.clock import SECOND_US
from core.errors import CdpError, invalid
from services.ingest.feeds.job import StageProgress
from services.runtime.errors import to_status


class RunState(Enum):
    """Where a run is; the values are kept, the numbers are those of the wire."""

    QUEUED = "queued"
    FETCHING = "fetching"
    READING = "reading"
    HELD = "held"
    APPLYING = "applying"
    DONE = "done"
    NOT_MODIFIED = "not_modified"
    FAILED = "failed"
    REJECTED = "rejected"


#: A run in one of these goes on after a restart.
UNDER_WAY = frozenset({RunState.QUEUED, RunState.FETCHING, RunState.READING, RunState.APPLYING})
ENDED = frozenset({RunState.DONE, RunState.NOT_MODIFIED, RunState.FAILED, RunState.REJECTED})
#: Of the stored form.
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class FeedRun:
    """A run. `upload` names the file that it reads; empty: the feed's URL. `told_at_us` is the instant from which its
    products hold: when the file was at hand. `applied_seq`: the last staged row known to be in the log. `etag` and
    `last_modified` are the server's, `next_edge_us` when a sale of the file begins or ends next (0: none), `low_stock`
    the limit that it told products with, `version` that of the feed's definition. `removes_all`: it takes the feed's
    products out and reads no file. `foreign`: how many items told prices in another currency than `home`, the
    workspace's (empty: an earlier release did not say)."""

    feed: str
    number: int
    state: RunState
    began_at_us: int
    request_id: str = ""
    upload: str = ""
    removes_all: bool = False
    ended_at_us: int = 0
    told_at_us: int = 0
    bytes_read: int = 0
    bytes_total: int = 0
    read: int = 0
    accepted: int = 0
    rejected: int = 0
    changed: int = 0
    new: int = 0
    missing: int = 0
    removed: int = 0
    known_before: int = 0
    applied: int = 0
    applied_seq: int = 0
    etag: str = ""
    last_modified: str = ""
    next_edge_us: int = 0
    low_stock: int = 0
    version: int = 0
    home: str = ""
    foreign: int = 0
    reason: str = ""
    description: str = ""

    def reached(self, progress: StageProgress) -> FeedRun:
        """The run after what its staging tells."""
        tally = progress.tally
        return replace(
            self,
            bytes_read=progress.bytes_read,
            bytes_total=progress.bytes_total,
            read=tally.read,
            accepted=tally.accepted,
            rejected=tally.rejected,
            changed=tally.changed,
            new=tally.new,
            missing=tally.missing,
            known_before=tally.known_before,
            next_edge_us=tally.next_edge_us,
            foreign=tally.foreign,
        )

    def ended(self, state: RunState, now_us: int, reason: str = "", description: str = "") -> FeedRun:
        """The run at its end."""
        return replace(self, state=state, ended_at_us=now_us, reason=reason, description=description)

    @property
    def key(self) -> bytes:
        """Of the stored form."""
        return f"{self.feed}/{self.number}".encode()

    def encode(self) -> bytes:
        """The stored form."""
        return json.dumps({"format": _FORMAT, **asdict(self), "state": self.state.value}, ensure_ascii=False).encode()

    @staticmethod
    def decode(stored: bytes) -> FeedRun:
        """The run of `encode`, of this release or one before; what a later one has added is left out."""
        fields = {name: value for name, value in json.loads(stored).items() if name in FeedRun.__dataclass_fields__}
        return FeedRun(**{**fields, "state": RunState(fields["state"])})

    def to_proto(self, now_us: int) -> pb.FeedRun:
        """The run on the wire, its speed as of `now_us`."""
        seconds = max((self.ended_at_us or now_us) - self.began_at_us, 1) / SECOND_US
        return pb.FeedRun(
            feed=self.feed,
            number=self.number,
            state=_STATES[self.state],
            began_at_us=self.began_at_us,
            ended_at_us=self.ended_at_us,
            bytes_read=self.bytes_read,
            bytes_total=self.bytes_total,
            items_read=self.read,
            items_accepted=self.accepted,
            items_rejected=self.rejected,
            items_changed=self.changed,
            items_new=self.new,
            items_removed=self.removed,
            items_applied=self.applied,
            items_per_second=min(round(self.read / seconds), 2**32 - 1),
            reason=self.reason,
            description=self.description,
            known_before=self.known_before,
        )

    def to_operation(self, now_us: int) -> operations_pb2.Operation:
        """The run as a long-running operation. It is done when it has ended; held, it waits for a person."""
        shown = any_pb2.Any()
        shown.Pack(self.to_proto(now_us))
        operation = operations_pb2.Operation(
            name=operation_name(self.feed, self.number), metadata=shown, done=self.state in ENDED
        )
        if self.state is RunState.FAILED:
            operation.error.CopyFrom(to_status(self.failure()))
        elif operation.done:
            operation.response.CopyFrom(shown)
        return operation

    def failure(self) -> CdpError:
        """Why it failed."""
        return invalid(self.reason, self.description)


_STATES = {state: pb.FeedRunState.Value(f"FEED_RUN_STATE_{state.name}") for state in RunState}


def operation_name(feed: str, number: int) -> str:
    """The name of a run as an operation."""
    return f"operations/feeds/{feed}/runs/{number}"
