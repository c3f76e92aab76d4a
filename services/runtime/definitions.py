"""Saved definitions of one kind in one workspace: versions, etags, deletion and the audit of who changed what.

State tables: "definition_versions" (kind/name/version -> record), "definition_requests" (kind/name/request id ->
version) and "audit" (ordinal -> record). The owner of the partition loads them once and keeps them in memory; a change
is made of `TableWrite`s that the caller commits together with its own outputs, then told back by `applied`.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from dataclasses import asdict, dataclass, replace

from cdp.definition.v1 import definition_pb2
from core.errors import conflict, invalid, not_found
from core.eventlog.protocol import EventLog, Partition, TableWrite
from services.runtime.pages import number_of, page_entries

_MAX_NAME_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Revision:
    """Which version of which definition, saved when and by whom. `etag` changes with every version."""

    name: str
    version: int
    etag: str
    saved_at_us: int
    saved_by: str
    deleted: bool

    def to_proto(self) -> definition_pb2.Revision:
        """The wire form."""
        return definition_pb2.Revision(**asdict(self))


@dataclass(frozen=True, slots=True)
class Stored:
    """One version with its content, opaque here."""

    revision: Revision
    payload: bytes


@dataclass(frozen=True, slots=True)
class Audit:
    """One change. `ordinal` counts from 1 within the partition and kind."""

    ordinal: int
    recorded_at_us: int
    actor: str
    action: str
    kind: str
    name: str
    version: int

    def to_proto(self) -> definition_pb2.AuditRecord:
        """The wire form."""
        fields = asdict(self)
        del fields["ordinal"]
        return definition_pb2.AuditRecord(**fields)


@dataclass(frozen=True, slots=True)
class DefinitionChange:
    """A change that is decided but not yet durable: commit `writes`, then call `Definitions.applied`."""

    stored: Stored
    audit: Audit
    writes: tuple[TableWrite, ...]
    request_id: str = ""


class Definitions:
    """All definitions of `kind` ("segment", "scenario", "template") of one partition."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._versions: dict[str, list[Stored]] = {}
        self._audit: list[Audit] = []
        self._answered: dict[str, int] = {}  # "name/request id" -> the version that it made

    @staticmethod
    async def load(log: EventLog, partition: Partition, kind: str) -> Definitions:
        """Read what is stored."""
        self = Definitions(kind)
        prefix = f"{kind}/".encode()
        async for key, value in log.scan(partition, "definition_versions"):
            if key.startswith(prefix):
                stored = _decode(value)
                self._versions.setdefault(stored.revision.name, []).append(stored)
        for versions in self._versions.values():
            versions.sort(key=lambda stored: stored.revision.version)
        async for key, value in log.scan(partition, "definition_requests"):
            if key.startswith(prefix):
                self._answered[key[len(prefix) :].decode()] = int(value)
        async for key, value in log.scan(partition, "audit"):
            if key.startswith(prefix):
                self._audit.append(Audit(**json.loads(value)))
        self._audit.sort(key=lambda record: record.ordinal)
        return self

    def get(self, name: str, version: int = 0) -> Stored:
        """The newest version (0) or a given one. NOT_FOUND if there is none, or if the newest says deleted."""
        versions = self._versions.get(name, [])
        if version:
            for stored in versions:
                if stored.revision.version == version:
                    return stored
        elif versions and not versions[-1].revision.deleted:
            return versions[-1]
        raise not_found(f"NO_SUCH_{self._kind.upper()}", f"there is no {self._kind} {name!r}")

    def newest(self) -> list[Stored]:
        """The newest version of everything that is not deleted, by name."""
        newest = (self._versions[name][-1] for name in sorted(self._versions))
        return [stored for stored in newest if not stored.revision.deleted]

    def page(self, page_size: int, page_token: str) -> tuple[list[Stored], str]:
        """A page of `newest` beyond the name that `page_token` is; the next token is empty at the end."""
        rest = [stored for stored in self.newest() if stored.revision.name > page_token]
        page = rest[: page_entries(page_size)]
        return page, page[-1].revision.name if len(page) < len(rest) else ""

    def versions(self, name: str) -> list[Stored]:
        """All versions, newest first, deletions included. NOT_FOUND if there never was one."""
        if name not in self._versions:
            raise not_found(f"NO_SUCH_{self._kind.upper()}", f"there is no {self._kind} {name!r}")
        return self._versions[name][::-1]

    def answered(self, name: str, request_id: str) -> Stored | None:
        """What saving `name` under this request id made before; None for a new one, and without an id."""
        version = self._answered.get(f"{name}/{request_id}") if request_id else None
        return None if version is None else self.get(name, version)

    def save(
        self, name: str, payload: bytes, etag: str, actor: str, now_us: int, request_id: str = ""
    ) -> DefinitionChange:
        """The next version of `name`. A given `etag` must be the newest one's (CONFLICT / ETAG_MISMATCH). A
        `request_id` is remembered with it: ask `answered` first."""
        if not name or len(name) > _MAX_NAME_CHARACTERS or not name.isprintable() or name != name.strip():
            raise invalid(
                "BAD_NAME", f"a name has 1 to {_MAX_NAME_CHARACTERS} printable characters and no space at its ends"
            )
        change = self._next(name, payload, etag, actor, now_us, deleted=False)
        if not request_id:
            return change
        version = str(change.stored.revision.version).encode()
        request = TableWrite("definition_requests", {f"{self._kind}/{name}/{request_id}".encode(): version})
        return replace(change, writes=(*change.writes, request), request_id=request_id)

    def delete(self, name: str, etag: str, actor: str, now_us: int) -> DefinitionChange:
        """A last version that says deleted; the name may be saved again later."""
        return self._next(name, self.get(name).payload, etag, actor, now_us, deleted=True)

    def _next(
        self, name: str, payload: bytes, etag: str, actor: str, now_us: int, *, deleted: bool
    ) -> DefinitionChange:
        versions = self._versions.get(name, [])
        newest = versions[-1].revision if versions else None
        if etag and (newest is None or newest.etag != etag):
            raise conflict("ETAG_MISMATCH", f"{self._kind} {name!r} was changed meanwhile: read it again")
        version = 1 if newest is None else newest.version + 1
        digest = hashlib.sha256(b"%d/%s/" % (version, name.encode()) + payload).hexdigest()[:16]
        stored = Stored(Revision(name, version, digest, now_us, actor, deleted), payload)
        audit = Audit(len(self._audit) + 1, now_us, actor, "deleted" if deleted else "saved", self._kind, name, version)
        versions_write = TableWrite("definition_versions", {f"{self._kind}/{name}/{version}".encode(): _encode(stored)})
        return DefinitionChange(stored, audit, (versions_write, self._audit_write(audit)))

    def noted(self, name: str, action: str, actor: str, now_us: int) -> tuple[Audit, TableWrite]:
        """A record of something that was done with `name` and makes no version of it: commit the write, then call
        `took_note`."""
        version = self.get(name).revision.version
        audit = Audit(len(self._audit) + 1, now_us, actor, action, self._kind, name, version)
        return audit, self._audit_write(audit)

    def took_note(self, audit: Audit) -> None:
        """Take over a record that has been committed."""
        self._audit.append(audit)

    def _audit_write(self, audit: Audit) -> TableWrite:
        return TableWrite("audit", {f"{self._kind}/{audit.ordinal}".encode(): json.dumps(asdict(audit)).encode()})

    def applied(self, change: DefinitionChange) -> None:
        """Take over a change that has been committed."""
        revision = change.stored.revision
        self._versions.setdefault(revision.name, []).append(change.stored)
        self._audit.append(change.audit)
        if change.request_id:
            self._answered[f"{revision.name}/{change.request_id}"] = revision.version

    def audit(self, page_size: int, page_token: str) -> tuple[list[Audit], str]:
        """Changes, newest first, from the opaque `page_token` on; the next token is empty at the end. INVALID /
        BAD_PAGE_TOKEN for a token that no answer gave."""
        before = max(number_of(page_token), 1) if page_token else len(self._audit) + 1
        page = self._audit[max(0, before - 1 - page_entries(page_size)) : before - 1][::-1]
        return page, str(page[-1].ordinal) if page and page[-1].ordinal > 1 else ""


def _encode(stored: Stored) -> bytes:
    return json.dumps({**asdict(stored.revision), "payload": b64encode(stored.payload).decode()}).encode()


def _decode(value: bytes) -> Stored:
    fields = json.loads(value)
    payload = b64decode(fields.pop("payload"))
    return Stored(Revision(**fields), payload)
