"""The five roles a process can play."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """A service. The value names its log partitions, leases, health entry and settings; it never changes."""

    INGEST = "ingest"
    PROFILE_UNIFICATION = "profile_unification"
    SEGMENT_ENGINE = "segment_engine"
    SCENARIO = "scenario"
    CHANNEL = "channel"


ALL_ROLES: tuple[Role, ...] = tuple(Role)
