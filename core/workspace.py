"""Workspaces (customer companies): their rules and how they are kept."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256

from core.errors import Violation, invalid
from core.events.checks import Bad, clean_name
from core.limits import Limits, limits_from

BUCKETS = 256

_ID = re.compile(r"[a-z0-9][a-z0-9-]{1,62}")
_CURRENCY = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True, slots=True)
class WorkspaceRecord:
    """A workspace as it is kept. `version` counts its changes from 1. `limits` are set by the platform, not by the
    workspace itself."""

    id: str
    display_name: str
    zone: str
    currency: str
    bucket: int
    created_at_us: int
    version: int
    limits: Limits = field(default_factory=Limits)

    @property
    def etag(self) -> str:
        """Changes with the record."""
        return f"v{self.version}"


def bucket_of(workspace_id: str) -> int:
    """The bucket of a new workspace; kept with it, so that the rule may change later."""
    return int.from_bytes(sha256(workspace_id.encode()).digest()[:4], "big") % BUCKETS


def new_workspace(
    workspace_id: str, display_name: str, zone: str, currency: str, now_us: int, zone_exists: Callable[[str], bool]
) -> WorkspaceRecord:
    """A checked new workspace; empty `zone` is UTC, empty `currency` USD. Raises INVALID / BAD_WORKSPACE."""
    if _ID.fullmatch(workspace_id) is None:
        raise _bad("id", "2 to 63 small letters, digits and dashes")
    record = WorkspaceRecord(workspace_id, "", "", "", bucket_of(workspace_id), now_us, 0)
    return changed_workspace(record, display_name or workspace_id, zone or "UTC", currency or "USD", zone_exists)


def changed_workspace(
    record: WorkspaceRecord, display_name: str, zone: str, currency: str, zone_exists: Callable[[str], bool]
) -> WorkspaceRecord:
    """`record` with what is not empty replaced, one version on. Raises INVALID / BAD_WORKSPACE."""
    name = clean_name(display_name or record.display_name)
    if isinstance(name, Bad):
        raise _bad("display_name", name.description)
    zone, currency = zone or record.zone, currency or record.currency
    if not zone_exists(zone):
        raise _bad("zone", f"{zone!r} is no IANA zone, such as Europe/Kyiv")
    if _CURRENCY.fullmatch(currency) is None:
        raise _bad("currency", "three capital letters, such as EUR")
    return replace(record, display_name=name, zone=zone, currency=currency, version=record.version + 1)


def encode(record: WorkspaceRecord) -> bytes:
    """The stored form."""
    return json.dumps(asdict(record), ensure_ascii=False, separators=(",", ":")).encode()


def workspace_from(stored: bytes) -> WorkspaceRecord:
    """The record of `encode`; fields that an earlier release did not know are empty."""
    plain = json.loads(stored)
    plain["limits"] = limits_from(plain.get("limits", {}))
    return WorkspaceRecord(**plain)


def _bad(path: str, what: str) -> Exception:
    return invalid("BAD_WORKSPACE", f"{path}: {what}", Violation(path, what))
