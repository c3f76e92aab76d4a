"""Which reader a file needs, and its items."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from cdp.catalog.v1 import catalog_pb2 as pb
from services.ingest.feeds.item import RawItem, Reading
from services.ingest.feeds.read_csv import encoding_of, read_csv
from services.ingest.feeds.read_xml import read_xml
from services.ingest.feeds.source import FeedSource

_SPACE = b" \t\r\n\x00"
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_XML = (pb.FEED_FORMAT_MERCHANT, pb.FEED_FORMAT_YML)
Progress = Callable[[int, int], None]


def read_items(
    path: Path, format_: pb.FeedFormat.ValueType, reading: Reading, limit_bytes: int, progress: Progress
) -> Iterator[RawItem]:
    """The items of a feed's file, gzip or not. `progress` is told of bytes read and bytes in all, before each item.
    Raises INVALID with the reason why the file cannot be read to its end."""
    is_xml = format_ in _XML or (format_ == pb.FEED_FORMAT_UNSPECIFIED and _looks_like_xml(path, limit_bytes))
    if not is_xml and not reading.encoding:
        with closing(FeedSource(path, limit_bytes)) as source:
            reading = replace(reading, encoding=encoding_of(source))
    with closing(FeedSource(path, limit_bytes)) as source:
        for item in read_xml(source, reading) if is_xml else read_csv(source, reading):
            progress(source.read_bytes, source.total_bytes)
            yield item


def _looks_like_xml(path: Path, limit_bytes: int) -> bool:
    with closing(FeedSource(path, limit_bytes)) as source:
        head = source.read(4_096)
    for mark in _MARKS:
        head = head.removeprefix(mark)
    return head.lstrip(_SPACE).startswith(b"<")
