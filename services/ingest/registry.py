"""The registry of workspaces and keys: kept in ingest's own partition, followed by every process that hosts ingest."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cdp.definition.v1 import definition_pb2
from core.api_keys import ADMIN, KeyRecord, encode_key, key_from, key_id_of, new_key, opens, secret_text
from core.clock import Clock
from core.errors import CdpError, Code, conflict, unavailable
from core.eventlog.protocol import Commit, EventLog, Partition, TableWrite
from core.limits import Limits, checked_limits
from core.workspace import WorkspaceRecord, changed_workspace, encode, new_workspace, workspace_from
from services.ingest.registry_state import Change, Created, State, known_workspace
from services.runtime.caller import Caller, Scope, Workspace
from services.runtime.lease import LeaseKeeper
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)

PARTITION = Partition("ingest", "_registry", 0)
LEASE = "ingest_registry:0"
_LEASE_WAIT_S = 15.0
_FOLLOW_S = 5.0
_RETRY_S = 0.2
_READ_ENTRIES = 256
_READ_BYTES = 1 << 20


def zone_exists(zone: str) -> bool:
    """Whether the pinned zone data knows `zone`."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def new_secret() -> str:
    """A fresh secret with its key id in it."""
    return secret_text(secrets.token_hex(6), secrets.token_urlsafe(32))


def as_workspace(record: WorkspaceRecord) -> Workspace:
    """The workspace as callers carry it."""
    return Workspace(record.id, record.display_name, record.zone, record.currency, record.bucket, record.created_at_us)


class Registry:
    """Reads are from memory; a change takes the registry's lease, reads what is newest, commits, and lets go."""

    def __init__(self, log: EventLog, clock: Clock, leases: LeaseKeeper) -> None:
        self._log = log
        self._clock = clock
        self._leases = leases
        self._state = State()
        self._etag = ""
        self._changing = asyncio.Lock()
        self._changed = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to follow the stored registry; `ready` once it was read."""
        if self._follower is None:
            self._follower = asyncio.create_task(self._follow(), name="ingest-registry")

    async def stop(self) -> None:
        """Stop following. Idempotent."""
        task, self._follower = self._follower, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def refresh(self) -> None:
        """Read what is newest now, instead of when the follower gets to it."""
        async with self._changing:
            await self._load()

    def ready(self) -> bool:
        """Whether it was read at least once."""
        return self._state.position >= 0

    @property
    def etag(self) -> str:
        """Changes with the list of workspaces; never empty once ready."""
        return self._etag

    def workspaces(self) -> tuple[WorkspaceRecord, ...]:
        """All workspaces, by id. Raises UNAVAILABLE / REGISTRY_LOADING until ready."""
        self._require_ready()
        return tuple(self._state.workspaces[key] for key in sorted(self._state.workspaces))

    def workspace(self, workspace_id: str) -> WorkspaceRecord:
        """One workspace, or NOT_FOUND / NO_SUCH_WORKSPACE."""
        self._require_ready()
        return known_workspace(self._state, workspace_id)

    def keys(self, workspace_id: str) -> tuple[KeyRecord, ...]:
        """The keys of a workspace, oldest first."""
        self._require_ready()
        own = [key for key in self._state.keys.values() if key.workspace_id == workspace_id]
        return tuple(sorted(own, key=lambda key: (key.created_at_us, key.id)))

    def key(self, key_id: str) -> KeyRecord | None:
        """The key of this id, or None."""
        return self._state.keys.get(key_id)

    def now_us(self) -> int:
        """The instant by which keys are in force."""
        return self._clock.now_us()

    async def wait_changed(self, etag: str, timeout_s: float) -> None:
        """Return when `etag` is not the newest, or after `timeout_s`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._etag == etag:
                    await self._changed.wait()

    def open(self, secret: str) -> tuple[WorkspaceRecord, KeyRecord]:
        """The workspace and key behind `secret`. Raises UNAUTHENTICATED / NO_KEY or BAD_KEY."""
        self._require_ready()
        if not secret:
            raise CdpError(Code.UNAUTHENTICATED, "NO_KEY", "send an API key")
        key_id = key_id_of(secret)
        key = self._state.keys.get(key_id) if key_id is not None else None
        if not opens(key, secret, self._clock.now_us()) or key is None:
            raise CdpError(Code.UNAUTHENTICATED, "BAD_KEY", "this API key opens nothing: revoked or expired?")
        return self._state.workspaces[key.workspace_id], key

    async def authenticate(self, secret: str) -> Caller:
        """The caller behind an API key; errors are those of `open`."""
        workspace, key = self.open(secret)
        return Caller(as_workspace(workspace), Scope(key.scope), key.id, key.display_name, key.origins)

    async def create_workspace(
        self,
        workspace_id: str,
        display_name: str,
        zone: str,
        currency: str,
        actor: str,
        *,
        secret: str = "",
        request_id: str = "",
    ) -> Created:
        """Make a workspace and its first key, of scope admin. An empty `workspace_id` or `secret` is made here.
        A repeated `request_id` answers what it made before, without the secret. Raises CONFLICT / WORKSPACE_EXISTS."""
        secret = secret or new_secret()
        made_id = workspace_id or f"w{secrets.token_hex(6)}"
        request = f"workspace:{request_id}" if request_id else ""

        def decide(state: State) -> Change | Created:
            before = state.requests.get(request)
            if before is not None:
                key = state.keys[before]
                return Created(state.workspaces[key.workspace_id], key, "")
            if made_id in state.workspaces:
                raise conflict("WORKSPACE_EXISTS", f"there is a workspace {made_id!r} already")
            now_us = self._clock.now_us()
            workspace = new_workspace(made_id, display_name, zone, currency, now_us, zone_exists)
            key = new_key(secret, made_id, "first key", ADMIN, now_us)
            return Change(workspace, "workspace", made_id, "created", key, request)

        return await self.apply(decide, actor, secret)

    async def update_workspace(
        self, workspace_id: str, display_name: str, zone: str, currency: str, etag: str, actor: str
    ) -> WorkspaceRecord:
        """Change what is not empty. Raises CONFLICT / ETAG_MISMATCH when `etag` is given and is not the newest."""

        def decide(state: State) -> Change:
            record = known_workspace(state, workspace_id)
            if etag and etag != record.etag:
                raise conflict("ETAG_MISMATCH", "the workspace was changed meanwhile; read it again")
            changed = changed_workspace(record, display_name, zone, currency, zone_exists)
            return Change(changed, "workspace", workspace_id, "saved")

        return (await self.apply(decide, actor)).workspace

    async def limit_workspace(self, workspace_id: str, limits: Limits, actor: str) -> WorkspaceRecord:
        """Set what a workspace may send at most, all its keys together. Raises INVALID / BAD_LIMITS."""
        checked = checked_limits(limits)

        def decide(state: State) -> Change:
            record = known_workspace(state, workspace_id)
            changed = replace(record, limits=checked, version=record.version + 1)
            return Change(changed, "workspace", workspace_id, "limited")

        return (await self.apply(decide, actor)).workspace

    async def audit(self, workspace_id: str, after: int, limit: int) -> tuple[list[definition_pb2.AuditRecord], int]:
        """Up to `limit` records of a workspace from beyond log position `after`, and the position to go on from
        (0: there are no more)."""
        found: list[definition_pb2.AuditRecord] = []
        while True:
            entries = await self._log.read(PARTITION, after, _READ_ENTRIES, _READ_BYTES)
            for entry in entries:
                after = entry.position
                stored = json.loads(entry.payload)
                if stored["workspace"] != workspace_id:
                    continue
                found.append(
                    definition_pb2.AuditRecord(
                        recorded_at_us=entry.recorded_at_us,
                        actor=stored["actor"],
                        action=stored["action"],
                        kind=stored["kind"],
                        name=stored["name"],
                        version=stored["version"],
                    )
                )
                if len(found) == limit:
                    return found, after
            if not entries:
                return found, 0

    async def apply(self, decide: Callable[[State], Change | Created], actor: str, secret: str = "") -> Created:
        """Make what `decide` says of the newest state, durably, in the name of `actor`; a `Created` is an answer that
        changes nothing. What `decide` raises is raised, and nothing is changed."""
        async with self._changing:
            fence = await self._leases.acquire(LEASE, _LEASE_WAIT_S)
            try:
                await self._load()
                change = decide(self._state)
                if isinstance(change, Created):
                    return change
                record = {"workspace": change.workspace.id, "actor": actor, "action": change.action}
                record |= {"kind": change.kind, "name": change.name}
                payload = json.dumps({**record, "version": change.workspace.version}, ensure_ascii=False).encode()
                writes = [TableWrite("workspaces", {change.workspace.id.encode(): encode(change.workspace)})]
                if change.key is not None:
                    writes.append(TableWrite("keys", {change.key.id.encode(): encode_key(change.key)}))
                    if change.request:
                        writes.append(TableWrite("requests", {change.request.encode(): change.key.id.encode()}))
                now_us = self._clock.now_us()
                await self._log.commit(PARTITION, fence, Commit(None, None, [payload], writes, now_us))
                await self._load()
            finally:
                await self._leases.release(LEASE)
        key = change.key if change.key is not None else KeyRecord("", change.workspace.id, "", 0, "", 0)
        return Created(change.workspace, key, secret)

    async def _follow(self) -> None:
        while True:
            try:
                if not self.ready() or await self._log.wait(PARTITION, self._state.position, _FOLLOW_S):
                    await self._load()
            except CdpError as error:
                _LOG.info("registry not read, trying again", reason=error.reason)
                await asyncio.sleep(_RETRY_S)

    async def _load(self) -> None:
        # The position is read first: what changes while the tables are read is read again by the follower.
        _, last = await self._log.bounds(PARTITION)
        if last == self._state.position:
            return
        workspaces = [workspace_from(value) async for _, value in self._log.scan(PARTITION, "workspaces")]
        keys = [key_from(value) async for _, value in self._log.scan(PARTITION, "keys")]
        requests = {key.decode(): value.decode() async for key, value in self._log.scan(PARTITION, "requests")}
        if last < self._state.position:
            return
        self._state = State(last, {record.id: record for record in workspaces}, {key.id: key for key in keys}, requests)
        listed = sorted(encode(record) for record in workspaces)
        self._etag = sha256(b"\n".join(listed)).hexdigest()[:16]
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _require_ready(self) -> None:
        if not self.ready():
            raise unavailable("REGISTRY_LOADING", "the registry of workspaces is not read yet", 0.2)
