"""What a process gives to the services it hosts."""

from __future__ import annotations

from dataclasses import dataclass

from core.clock import Clock
from core.eventlog.protocol import EventLog
from services.runtime.lease import LeaseKeeper
from services.runtime.settings import Settings
from services.runtime.stubs import Stubs
from services.runtime.workspaces import WorkspaceDirectory


@dataclass(frozen=True, slots=True)
class Runtime:
    """The edge of one process. `owner` is its gRPC address as peers reach it (host:port)."""

    settings: Settings
    clock: Clock
    log: EventLog
    stubs: Stubs
    workspaces: WorkspaceDirectory
    leases: LeaseKeeper
    owner: str
