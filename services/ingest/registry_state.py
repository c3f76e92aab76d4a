"""What the registry of workspaces and keys holds, and one change of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.api_keys import KeyRecord
from core.errors import not_found
from core.workspace import WorkspaceRecord


@dataclass(frozen=True, slots=True)
class Created:
    """A new key (and workspace); `secret` is shown this once, and empty when a repeated request made nothing new."""

    workspace: WorkspaceRecord
    key: KeyRecord
    secret: str


@dataclass(frozen=True, slots=True)
class State:
    """Everything, as of log position `position`; -1: not read yet. `requests` are request ids -> key ids."""

    position: int = -1
    workspaces: Mapping[str, WorkspaceRecord] = field(default_factory=dict)
    keys: Mapping[str, KeyRecord] = field(default_factory=dict)
    requests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """A workspace as it becomes, and a key where one changed; what the audit trail says of it."""

    workspace: WorkspaceRecord
    kind: str
    name: str
    action: str
    key: KeyRecord | None = None
    request: str = ""


def known_workspace(state: State, workspace_id: str) -> WorkspaceRecord:
    """The workspace, or NOT_FOUND / NO_SUCH_WORKSPACE."""
    record = state.workspaces.get(workspace_id)
    if record is None:
        raise not_found("NO_SUCH_WORKSPACE", f"there is no workspace {workspace_id!r}")
    return record
