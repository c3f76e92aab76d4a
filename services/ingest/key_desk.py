"""Changes of API keys: made, changed, given a new secret, revoked; each is one record of the audit trail."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace

from core.api_keys import SCOPES, KeyRecord, changed_key, new_key, rotated, secret_text
from core.errors import conflict, not_found
from core.limits import Limits
from services.ingest.registry import Registry, new_secret
from services.ingest.registry_state import Change, Created, State, known_workspace


class KeyDesk:
    """The keys of every workspace. Nothing tells a key of another workspace from one that is not there."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def create(
        self,
        workspace_id: str,
        display_name: str,
        scope: int,
        actor: str,
        *,
        secret: str = "",
        request_id: str = "",
        origins: Sequence[str] = (),
        expires_at_us: int = 0,
        limits: Limits | None = None,
    ) -> Created:
        """Make a key. A repeated `request_id` answers what it made before, without the secret."""
        secret = secret or new_secret()
        request = f"key:{workspace_id}:{request_id}" if request_id else ""

        def decide(state: State) -> Change | Created:
            workspace = known_workspace(state, workspace_id)
            before = state.requests.get(request)
            if before is not None:
                return Created(workspace, state.keys[before], "")
            key = new_key(
                secret, workspace_id, display_name, scope, self._registry.now_us(),
                origins=origins, expires_at_us=expires_at_us, limits=limits,
            )  # fmt: skip
            if key.id in state.keys:
                raise conflict("KEY_EXISTS", "there is a key of this id already")
            return Change(workspace, "key", f"{key.display_name} ({SCOPES[scope]})", "created", key, request)

        return await self._registry.apply(decide, actor, secret)

    async def change(
        self,
        workspace_id: str,
        key_id: str,
        actor: str,
        *,
        display_name: str = "",
        origins: Sequence[str] | None = None,
        limits: Limits | None = None,
    ) -> KeyRecord:
        """Change what is given. Raises NOT_FOUND / NO_SUCH_KEY."""

        def decide(state: State) -> Change:
            key = _own(state, workspace_id, key_id)
            changed = changed_key(key, display_name, origins, limits)
            return Change(known_workspace(state, workspace_id), "key", changed.display_name, "saved", changed)

        return (await self._registry.apply(decide, actor)).key

    async def rotate(self, workspace_id: str, key_id: str, grace_us: int, actor: str) -> Created:
        """Give a key a new secret; the former one opens for `grace_us` more. Raises NOT_FOUND / NO_SUCH_KEY."""
        secret = secret_text(key_id, secrets.token_urlsafe(32))

        def decide(state: State) -> Change:
            key = rotated(_own(state, workspace_id, key_id), secret, grace_us, self._registry.now_us())
            return Change(known_workspace(state, workspace_id), "key", key.display_name, "rotated", key)

        return await self._registry.apply(decide, actor, secret)

    async def revoke(self, workspace_id: str, key_id: str, actor: str) -> KeyRecord:
        """Take a key out of force, its former secret as well; again is no error. Raises NOT_FOUND / NO_SUCH_KEY."""

        def decide(state: State) -> Change | Created:
            key = _own(state, workspace_id, key_id)
            workspace = known_workspace(state, workspace_id)
            if key.revoked:
                return Created(workspace, key, "")
            return Change(workspace, "key", key.display_name, "revoked", replace(key, revoked=True))

        return (await self._registry.apply(decide, actor)).key


def _own(state: State, workspace_id: str, key_id: str) -> KeyRecord:
    key = state.keys.get(key_id)
    if key is None or key.workspace_id != workspace_id:
        raise not_found("NO_SUCH_KEY", f"there is no key {key_id!r}")
    return key
