"""Which partition and which lease belong to a role and a workspace."""

from __future__ import annotations

from core.eventlog.protocol import Partition
from core.eventlog.rules import lease_name
from services.runtime.caller import Workspace
from services.runtime.roles import Role


def partition(role: Role, workspace: Workspace) -> Partition:
    """The log and state of `role` for `workspace`."""
    return Partition(role.value, workspace.id, workspace.bucket)


def lease_of(role: Role, bucket: int) -> str:
    """The lease that the owner of `bucket` holds for `role`."""
    return lease_name(role.value, bucket)
