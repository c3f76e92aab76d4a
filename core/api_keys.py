"""API keys: what they may do, from where, until when. No secret is ever kept, only its hash."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256

from core.errors import Violation, invalid
from core.events.checks import Bad, clean_name
from core.limits import Limits, checked_limits, limits_from

#: Key scopes by number: those of cdp.workspace.v1.Scope.
SCOPES = {1: "write", 2: "read", 3: "full", 4: "admin"}
WRITE, ADMIN = 1, 4

MAX_ORIGINS = 100
#: A rotated key's former secret opens for so long at most.
MAX_GRACE_US = 30 * 86_400_000_000

_SECRET = re.compile(r"cdp_([a-z0-9]{12})_[A-Za-z0-9_-]{43}")
_ORIGIN = re.compile(r"https?://(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key as it is kept: `secret_hash` is the SHA-256 of the whole secret, in hex.

    A key with `origins` is a browser's: it opens the HTTP endpoints only, and only to pages of these origins.
    `expires_at_us` 0: never. After a rotation the former secret opens as well, until `former_until_us`.
    """

    id: str
    workspace_id: str
    display_name: str
    scope: int
    secret_hash: str
    created_at_us: int
    revoked: bool = False
    origins: tuple[str, ...] = ()
    expires_at_us: int = 0
    limits: Limits = field(default_factory=Limits)
    former_hash: str = ""
    former_until_us: int = 0


def new_key(
    secret: str,
    workspace_id: str,
    display_name: str,
    scope: int,
    now_us: int,
    *,
    origins: Sequence[str] = (),
    expires_at_us: int = 0,
    limits: Limits | None = None,
) -> KeyRecord:
    """The record of a key with `secret` (see `secret_text`). Raises INVALID / BAD_KEY_REQUEST or BAD_LIMITS."""
    key_id = key_id_of(secret)
    if key_id is None:
        raise invalid("BAD_KEY_REQUEST", "this is no secret of the platform's form")
    if scope not in SCOPES:
        raise _bad("scope", f"one of {', '.join(SCOPES.values())}")
    if origins and scope != WRITE:
        raise _bad("origins", "only a key of scope write may stand in pages that everybody can read")
    if expires_at_us and expires_at_us <= now_us:
        raise _bad("expires_at_us", "lies in the past")
    record = KeyRecord(key_id, workspace_id, "", scope, hash_of(secret), now_us, expires_at_us=expires_at_us)
    return changed_key(record, display_name or "key", origins, limits)


def changed_key(
    record: KeyRecord, display_name: str, origins: Sequence[str] | None, limits: Limits | None
) -> KeyRecord:
    """`record` with what is given replaced; an empty name and None stay as they were. Raises INVALID /
    BAD_KEY_REQUEST or BAD_LIMITS."""
    name = clean_name(display_name or record.display_name)
    if isinstance(name, Bad):
        raise _bad("display_name", name.description)
    kept = record.origins if origins is None else _checked_origins(origins)
    if record.origins and not kept:
        raise _bad("origins", "a browser's key keeps at least one; make another key, or revoke this one")
    if kept and record.scope != WRITE:
        raise _bad("origins", "only a key of scope write may stand in pages that everybody can read")
    new_limits = record.limits if limits is None else checked_limits(limits)
    return replace(record, display_name=name, origins=kept, limits=new_limits)


def rotated(record: KeyRecord, secret: str, grace_us: int, now_us: int) -> KeyRecord:
    """`record` with `secret`, which carries the same key id; the former one opens for `grace_us` more.

    Raises INVALID / BAD_KEY_REQUEST for a grace that is too long, or a revoked key.
    """
    if record.revoked:
        raise _bad("id", "a revoked key stays closed; make another one")
    if not 0 <= grace_us <= MAX_GRACE_US:
        raise _bad("grace_s", f"from 0 to {MAX_GRACE_US // 1_000_000}")
    if key_id_of(secret) != record.id:
        raise ValueError("a rotated secret carries the id of its key")
    until_us = now_us + grace_us if grace_us else 0
    return replace(
        record,
        secret_hash=hash_of(secret),
        former_hash=record.secret_hash if grace_us else "",
        former_until_us=until_us,
    )


def secret_text(key_id: str, random_text: str) -> str:
    """The secret that a caller gets to see: 12 characters name the key, 43 characters are 256 random bits."""
    return f"cdp_{key_id}_{random_text}"


def key_id_of(secret: str) -> str | None:
    """The key that `secret` belongs to by its form; None when it is no secret of ours."""
    found = _SECRET.fullmatch(secret)
    return found[1] if found else None


def hash_of(secret: str) -> str:
    """What is kept of a secret."""
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def opens(key: KeyRecord | None, secret: str, now_us: int) -> bool:
    """Whether `secret` is that of `key` and the key is in force at `now_us`, compared in constant time."""
    given = hash_of(secret).encode()
    same = hmac.compare_digest((key.secret_hash if key is not None else "0" * 64).encode(), given)
    former = key.former_hash if key is not None and key.former_until_us > now_us else ""
    same_as_former = hmac.compare_digest((former or "0" * 64).encode(), given)
    if key is None or key.revoked or 0 < key.expires_at_us <= now_us:
        return False
    return same or same_as_former


def origin_allowed(origin: str, allowed: Sequence[str]) -> bool:
    """Whether a page of `origin` (scheme, host, port) may use a key with these origins; `https://*.shop.example` means
    every host below shop.example, not itself."""
    asked = origin.lower()
    for one in allowed:
        if "*" not in one:
            if asked == one:
                return True
            continue
        start, _, end = one.partition("*")
        if asked.startswith(start) and asked.endswith(end) and len(asked) > len(start) + len(end):
            return all(letter not in asked[len(start) : -len(end)] for letter in "/:@")
    return False


def encode_key(record: KeyRecord) -> bytes:
    """The stored form."""
    return json.dumps(asdict(record), ensure_ascii=False, separators=(",", ":")).encode()


def key_from(stored: bytes) -> KeyRecord:
    """The record of `encode_key`; fields that an earlier release did not know are empty."""
    plain = json.loads(stored)
    plain["origins"] = tuple(plain.get("origins", ()))
    plain["limits"] = limits_from(plain.get("limits", {}))
    return KeyRecord(**plain)


def _checked_origins(origins: Sequence[str]) -> tuple[str, ...]:
    if len(origins) > MAX_ORIGINS:
        raise _bad("origins", f"at most {MAX_ORIGINS}")
    kept = []
    for place, origin in enumerate(origins):
        text = origin.strip().lower().rstrip("/")
        host = text.partition("://")[2]
        if _ORIGIN.fullmatch(text) is None or len(text) > 300 or (host.startswith("*.") and "." not in host[2:]):
            raise _bad(f"origins[{place}]", "scheme and host, such as https://shop.example or https://*.shop.example")
        kept.append(text)
    return tuple(dict.fromkeys(kept))


def _bad(path: str, what: str) -> Exception:
    return invalid("BAD_KEY_REQUEST", f"{path}: {what}", Violation(path, what))
