"""What every reader of a feed's format gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

UNKNOWN_FORMAT = "UNKNOWN_FEED_FORMAT"
BAD_ROW = "BAD_ROW"


class RawItem(NamedTuple):
    """One item: its number in the file from 1, the line where it begins (0: not known), and its texts by the names of
    `core.catalog.offer`. `wrong` refuses it before they are looked at."""

    number: int
    line: int
    fields: Mapping[str, str]
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read a file: what the feed's definition tells; empty texts are found out."""

    encoding: str = ""
    delimiter: str = ""
    columns: Mapping[str, str] | None = None
