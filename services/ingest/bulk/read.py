"""A file of an import, opened by its format."""

from __future__ import annotations

from pathlib import Path

from cdp.bulk.v1 import bulk_pb2 as pb
from services.ingest.bulk.read_csv import CsvRows
from services.ingest.bulk.read_ndjson import NdjsonRows
from services.ingest.bulk.read_parquet import ParquetRows
from services.ingest.bulk.rows import Mark, RowSource


def open_rows(path: Path, spec: pb.ImportSpec, start: Mark | None = None) -> RowSource:
    """The rows of a checked spec's file from a place on. Raises INVALID with the reason why it cannot be read."""
    if spec.format == pb.FILE_FORMAT_CSV:
        return CsvRows(path, spec.encoding, spec.delimiter, start)
    if spec.format == pb.FILE_FORMAT_NDJSON:
        return NdjsonRows(path, start)
    return ParquetRows(path, start)
