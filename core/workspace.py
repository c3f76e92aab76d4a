"""Workspaces (customer companies) and API keys: their rules and how they are kept. No secret is ever kept."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from hashlib import sha256

from core.errors import Violation, invalid
from core.events.checks import Bad, clean_name

BUCKETS = 256
#: Key scopes by number: those of cdp.workspace.v1.Scope.
SCOPES = {1: "write", 2: "read", 3: "full", 4: "admin"}
ADMIN = 4

_ID = re.compile(r"[a-z0-9][a-z0-9-]{1,62}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_SECRET = re.compile(r"cdp_([a-z0-9]{12})_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class WorkspaceRecord:
    """A workspace as it is kept. `version` counts its changes from 1."""

    id: str
    display_name: str
    zone: str
    currency: str
    bucket: int
    created_at_us: int
    version: int

    @property
    def etag(self) -> str:
        """Changes with the record."""
        return f"v{self.version}"


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key as it is kept: `secret_hash` is the SHA-256 of the whole secret, in hex."""

    id: str
    workspace_id: str
    display_name: str
    scope: int
    secret_hash: str
    created_at_us: int
    revoked: bool = False


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


def new_key(secret: str, workspace_id: str, display_name: str, scope: int, now_us: int) -> KeyRecord:
    """The record of a key with `secret` (see `secret_text`). Raises INVALID / BAD_KEY_REQUEST."""
    key_id = key_id_of(secret)
    name = clean_name(display_name or "key")
    if key_id is None:
        raise invalid("BAD_KEY_REQUEST", "this is no secret of the platform's form")
    if isinstance(name, Bad):
        raise invalid(
            "BAD_KEY_REQUEST", f"display_name: {name.description}", Violation("display_name", name.description)
        )
    if scope not in SCOPES:
        what = f"one of {', '.join(SCOPES.values())}"
        raise invalid("BAD_KEY_REQUEST", f"scope: {what}", Violation("scope", what))
    return KeyRecord(key_id, workspace_id, name, scope, hash_of(secret), now_us)


def secret_text(key_id: str, random_text: str) -> str:
    """The secret that a caller gets to see: 12 characters name the key, 43 characters are 256 random bits."""
    return f"cdp_{key_id}_{random_text}"


def key_id_of(secret: str) -> str | None:
    """The key that `secret` belongs to by its form; None when it is no secret of ours."""
    found = _SECRET.fullmatch(secret)
    return found[1] if found else None


def hash_of(secret: str) -> str:
    """What is kept of a secret."""
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def opens(key: KeyRecord | None, secret: str) -> bool:
    """Whether `secret` is that of `key` and the key is in force, compared in constant time."""
    kept = key.secret_hash if key is not None else "0" * 64
    same = hmac.compare_digest(kept.encode(), hash_of(secret).encode())
    return key is not None and same and not key.revoked


def encode(record: WorkspaceRecord | KeyRecord) -> bytes:
    """The stored form."""
    return json.dumps(asdict(record), ensure_ascii=False, separators=(",", ":")).encode()


def workspace_from(stored: bytes) -> WorkspaceRecord:
    """The record of `encode`."""
    return WorkspaceRecord(**json.loads(stored))


def key_from(stored: bytes) -> KeyRecord:
    """The record of `encode`."""
    return KeyRecord(**json.loads(stored))


def _bad(path: str, what: str) -> Exception:
    return invalid("BAD_WORKSPACE", f"{path}: {what}", Violation(path, what))
