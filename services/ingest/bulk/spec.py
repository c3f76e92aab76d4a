"""What an import is asked to do: checked at the door, completed with defaults, kept as protobuf."""

from __future__ import annotations

import codecs
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cdp.bulk.v1 import bulk_pb2 as pb
from core.errors import CdpError, Violation, invalid
from services.ingest.bulk.files import is_file_name
from services.ingest.bulk.times import is_time_format

BAD_IMPORT = "BAD_IMPORT"

_MOST_COLUMNS = 2_000
_MOST_NAME = 200
_ENDS = {
    ".csv": pb.FILE_FORMAT_CSV,
    ".tsv": pb.FILE_FORMAT_CSV,
    ".txt": pb.FILE_FORMAT_CSV,
    ".ndjson": pb.FILE_FORMAT_NDJSON,
    ".jsonl": pb.FILE_FORMAT_NDJSON,
    ".parquet": pb.FILE_FORMAT_PARQUET,
}
DELIMITERS = ",;\t|"


def checked_spec(spec: pb.ImportSpec, zone: str) -> pb.ImportSpec:
    """The spec with its defaults; `zone` is the workspace's. Raises INVALID / BAD_IMPORT with every wrong field."""
    wrong: list[Violation] = []

    def need(holds: bool, field: str, what: str) -> None:
        if not holds:
            wrong.append(Violation(f"spec.{field}", what))

    kept = pb.ImportSpec()
    kept.CopyFrom(spec)
    kept.format = spec.format or _ENDS.get(spec.file[spec.file.rfind(".") :].lower(), pb.FILE_FORMAT_UNSPECIFIED)
    kept.encoding = spec.encoding or "utf-8"
    kept.zone = spec.zone or zone
    need(spec.kind in (1, 2, 3), "kind", "contacts, events or orders")
    need(is_file_name(spec.file), "file", "names one of the workspace's files")
    need(kept.format in (1, 2, 3), "format", "is not told by the end of the name: csv, ndjson or parquet")
    need(_is_encoding(kept.encoding), "encoding", "is no encoding such as windows-1251; UTF-16 and UTF-32 are not read")
    need(len(spec.delimiter) <= 1 and spec.delimiter not in ('"', "\r", "\n"), "delimiter", "one character, no quote")
    need(len(kept.list_separator) <= 8, "list_separator", "at most 8 characters")
    need(_is_zone(kept.zone), "zone", "is no time zone such as Europe/Kyiv")
    need(is_time_format(spec.time_format), "time_format", 'is none: "", unix_s, unix_ms, unix_us, or with %Y, %m, %d')
    need(len(spec.event_type) <= _MOST_NAME, "event_type", f"at most {_MOST_NAME} characters")
    need(len(spec.status) <= _MOST_NAME, "status", f"at most {_MOST_NAME} characters")
    need(len(spec.columns) <= _MOST_COLUMNS, "columns", f"at most {_MOST_COLUMNS}")
    named = [one.column for one in spec.columns]
    need(len(set(named)) == len(named), "columns", "lists a column twice")
    for number, one in enumerate(spec.columns):
        need(is_time_format(one.time_format), f"columns[{number}].time_format", "is no format of times")
        need(len(one.column) <= _MOST_NAME, f"columns[{number}].column", f"at most {_MOST_NAME} characters")
    if wrong:
        raise _refusal(wrong)
    return kept


def spec_bytes(spec: pb.ImportSpec) -> bytes:
    """The stored form: equal specs give equal bytes."""
    return spec.SerializeToString(deterministic=True)


def _is_encoding(name: str) -> bool:
    try:
        found = codecs.lookup(name)
        # Lines are found by their end in ASCII, so an encoding must hold it.
        return "\n,".encode(found.name) == b"\n," and "я".encode(found.name, "replace") != b""
    except (LookupError, UnicodeError, ValueError, TypeError):
        return False


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _refusal(wrong: list[Violation]) -> CdpError:
    told = "; ".join(f"{one.path}: {one.description}" for one in wrong)
    return invalid(BAD_IMPORT, f"the import cannot be done as it is asked for: {told}", *wrong)
