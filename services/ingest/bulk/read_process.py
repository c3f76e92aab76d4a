"""`python -m services.ingest.bulk.read_process`: a job on standard input, frames on standard output."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from cdp.bulk.v1 import bulk_pb2 as pb
from core.errors import CdpError
from core.events.schema import Schema
from core.events.schema_changes import Want
from services.ingest.bulk.door_rules import rules_in
from services.ingest.bulk.frames import AHEAD, EntryFrame, ReadJob, frame, wants_head
from services.ingest.bulk.reader import FileReader, learned_here
from services.runtime.failpoints import failpoint

#: Calls that are answered meanwhile come first.
_NICE = 10


class _Talk:
    """The reader's end. An owner that has gone ends the process at its next word."""

    def __init__(self) -> None:
        self._credit = AHEAD
        self.reader: FileReader | None = None

    def hear(self) -> dict[str, Any]:
        """The owner's next line."""
        line = sys.stdin.buffer.readline()
        if not line:
            os._exit(0)  # nobody is there to read on for
        heard: dict[str, Any] = json.loads(line)
        return heard

    def send(self, entry: EntryFrame) -> None:
        """Send a frame, once the owner has taken enough of those before."""
        while self._credit <= 0:
            self._take_in(self.hear())
        self._credit -= 1
        say(entry.encode())
        failpoint("bulk.reading")

    def learn(self, wants: Sequence[Want]) -> Schema:
        """Ask the owner for a schema that knows these names."""
        say(frame(wants_head(wants)))
        while True:
            heard = self.hear()
            if "learned" in heard:
                return rules_in(heard).schema
            self._take_in(heard)

    def _take_in(self, heard: dict[str, Any]) -> None:
        self._credit += 1
        if "schema" in heard and self.reader is not None:
            self.reader.use(rules_in(heard))


def main() -> None:
    """Read what standard input asks for."""
    os.nice(_NICE)
    talk = _Talk()
    heard = talk.hear()
    job, rules = ReadJob(**heard["job"]), rules_in(heard)
    spec = pb.ImportSpec.FromString(base64.b64decode(job.spec))

    def learn(wants: Sequence[Want]) -> Schema:
        if not job.dry_run or talk.reader is None:
            return talk.learn(wants)
        return learned_here(talk.reader.rules.schema, wants, job.told_at_us)

    try:
        talk.reader = FileReader(job, spec, rules, learn, talk.send)
        preview = talk.reader.read()
    except CdpError as error:
        say(frame({"refused": {"reason": error.reason, "message": error.message}}))
    else:
        say(frame({"done": True}, preview.SerializeToString()))


def say(words: bytes) -> None:
    """Write to the owner."""
    sys.stdout.buffer.write(words)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
