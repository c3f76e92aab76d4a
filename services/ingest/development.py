"""The development key of the embedded mode: made on the first start, the same on every later one."""

from __future__ import annotations

import secrets
from pathlib import Path

from core.api_keys import ADMIN, key_id_of
from core.errors import CdpError, Code
from services.ingest.key_desk import KeyDesk
from services.ingest.registry import Registry, new_secret

WORKSPACE_ID = "dev"
KEY_FILE = "dev-key"
_ACTOR = "embedded mode"


async def ensure_development_key(registry: Registry, data_dir: Path, zone: str = "UTC") -> str | None:
    """The secret of an admin key of workspace "dev", kept in `data_dir`/dev-key (readable by its owner only).

    Both are made when they are not there. None when there are workspaces but none called "dev": then somebody set
    this installation up, and nothing is opened behind their back. Raises UNAVAILABLE while the log does not answer.
    """
    await registry.refresh()
    known = {record.id for record in registry.workspaces()}
    if known and WORKSPACE_ID not in known:
        return None
    path = data_dir / KEY_FILE
    secret = _read(path)
    if secret is None:
        secret = new_secret()
        _write(path, secret)
    if WORKSPACE_ID not in known:
        await registry.create_workspace(WORKSPACE_ID, "Development", zone, "", _ACTOR, secret=secret)
        return secret
    try:
        registry.open(secret)
    except CdpError as error:
        if error.code is not Code.UNAUTHENTICATED:
            raise
        # Lost with the registry, or revoked: then another one.
        if any(key.id == key_id_of(secret) for key in registry.keys(WORKSPACE_ID)):
            secret = new_secret()
            _write(path, secret)
        await KeyDesk(registry).create(WORKSPACE_ID, "development", ADMIN, _ACTOR, secret=secret)
    return secret


def _read(path: Path) -> str | None:
    if not path.exists():
        return None
    secret = path.read_text().strip()
    return secret if key_id_of(secret) is not None else None


def _write(path: Path, secret: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    draft.touch(mode=0o600)
    draft.write_text(secret + "\n")
    draft.replace(path)
