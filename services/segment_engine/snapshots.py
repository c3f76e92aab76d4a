"""Snapshots of an index as files: only what is new is written, and it is read back only if every checksum holds.

Sections lie in `sections/`, named by their SHA-256: most of an index never changes under one name, so a snapshot writes
few of them. `<position>.snapshot` is the manifest: its own SHA-256 in the first line, then JSON with format, workspace,
epoch of the folded log, position, and name, length and SHA-256 of each section in order. Everything is written aside,
synced and renamed; the manifest comes last, so it names only what is there. The newest whole one of this workspace is
used; a damaged or foreign one is named in the log and passed over, and with none the index is folded from the start.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.errors import CdpError
from core.index.index import Index
from core.index.root import Root
from core.index.section import Section
from core.index.snapshot import decode, encode
from services.runtime.durable import sync, sync_folder
from services.runtime.telemetry import get_logger
from services.segment_engine.written_sections import Written, WrittenSections

_LOG = get_logger(__name__)
_FORMAT = 2
_KEPT = 3
_SECTIONS = "sections"


class DamagedSnapshotError(Exception):
    """The files are not what the manifest says, or are another workspace's; the message says which."""


class SnapshotStore:
    """The snapshots of one workspace under `folder`."""

    def __init__(self, folder: Path, workspace_id: str) -> None:
        self._folder = folder
        self._workspace_id = workspace_id
        self._written = WrittenSections()
        self._erased = 0
        self.position = 0
        self.epoch = ""

    def load(self) -> Index:
        """The index of the newest whole snapshot, or an empty one; `position` and `epoch` (of the log that was folded)
        are its own from then on."""
        for path in sorted(self._folder.glob("*.snapshot"), reverse=True):
            try:
                index = read_snapshot(path, self._workspace_id)
                manifest = _manifest(path, self._workspace_id)
            except DamagedSnapshotError as error:
                _LOG.error("snapshot passed over", file=path.name, error=str(error))
                continue
            self.position, self.epoch = index.position, manifest["epoch"]
            self._written = WrittenSections.read(manifest["sections"])
            self._erased = index.contacts.erased_count
            _LOG.info("snapshot loaded", file=path.name, position=index.position)
            return index
        return Index()

    def discard(self) -> None:
        """Forget all snapshots: they are of a log that is no more."""
        for path in self._folder.glob("*.snapshot"):
            path.unlink()

    async def keep(self, root: Root, epoch: str) -> None:
        """Write `root` unless its position is on disk already; forget all but the newest three, or all
        others where somebody was erased since the last one. A disk that is full or
        broken leaves those that are there, and the next call tries again; a failed fsync ends the process: what was
        not synced must not be built upon."""
        if root.position <= self.position:
            return
        try:
            await asyncio.to_thread(self._write, root, epoch)
        except OSError as error:
            _LOG.warning("snapshot cannot be written", workspace=self._workspace_id, error=error.strerror)
            return
        self.position = root.position

    def _write(self, root: Root, epoch: str) -> None:
        path = self._folder / f"{root.position:020d}.snapshot"
        write_snapshot(path, root, self._workspace_id, epoch, self._written)
        manifests = sorted(self._folder.glob("*.snapshot"))
        # Whoever was erased since the last one is in all that are older.
        erased = len(root.contacts.erased())
        kept = _KEPT if erased == self._erased else 1
        for old in manifests[:-kept]:
            old.unlink()
        self._forget_sections(manifests[-kept:])
        self._erased = erased

    def _forget_sections(self, manifests: list[Path]) -> None:
        """Delete sections that no manifest names. A manifest that cannot be read keeps them all."""
        named: set[str] = set()
        for path in manifests:
            try:
                named.update(part["sha256"] for part in _manifest(path, self._workspace_id)["sections"])
            except DamagedSnapshotError:
                return
        for section in (self._folder / _SECTIONS).iterdir():
            if section.name not in named:
                section.unlink()


def write_snapshot(
    path: Path, root: Root, workspace_id: str, epoch: str = "", written: WrittenSections | None = None
) -> None:
    """Write `root` so that the manifest `path` is either whole or not there. Sections that are there are kept; those
    that `written` knows to be the same as before are not even made, and it remembers the others."""
    written = WrittenSections() if written is None else written
    sections = path.parent / _SECTIONS
    sections.mkdir(parents=True, exist_ok=True)
    parts = []
    for draft in encode(root):
        same = written.same(draft)
        if same is None or not (sections / same.sha256).exists():
            slices = draft.slices()
            same = _digest(slices)
            if not (sections / same.sha256).exists():
                _write_whole(sections / same.sha256, slices)
            written.remember(draft, same)
        parts.append({"name": draft.name, "bytes": same.length, "sha256": same.sha256})
    written.keep_only({part["name"] for part in parts})
    sync_folder(sections)
    manifest = {
        "format": _FORMAT,
        "workspace": workspace_id,
        "epoch": epoch,
        "position": root.position,
        "sections": parts,
    }
    body = json.dumps(manifest, indent=1).encode()
    _write_whole(path, [memoryview(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)])
    sync_folder(path.parent)


def read_snapshot(path: Path, workspace_id: str) -> Index:
    """The index behind the manifest. Raises DamagedSnapshotError for anything that is not exactly what was written."""
    manifest = _manifest(path, workspace_id)
    try:
        index = decode([_section(path.parent / _SECTIONS, part) for part in manifest["sections"]])
    except CdpError as error:
        raise DamagedSnapshotError(error.message) from error
    if index.position != manifest["position"]:
        raise DamagedSnapshotError(f"it holds position {index.position}, the manifest says {manifest['position']}")
    return index


def _manifest(path: Path, workspace_id: str) -> dict[str, Any]:
    checksum, _, body = path.read_bytes().partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != checksum:
        raise DamagedSnapshotError("the manifest does not match its checksum")
    manifest: dict[str, Any] = json.loads(body)
    if manifest["format"] != _FORMAT:
        raise DamagedSnapshotError(f"format {manifest['format']}, this version reads {_FORMAT}")
    if manifest["workspace"] != workspace_id:
        raise DamagedSnapshotError("it belongs to another workspace")
    return manifest


def _section(folder: Path, part: dict[str, Any]) -> Section:
    path = folder / part["sha256"]
    if not path.exists():
        raise DamagedSnapshotError(f"section {part['name']} is missing")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != part["sha256"]:
        raise DamagedSnapshotError(f"section {part['name']} does not match its checksum")
    return Section(part["name"], data)


def _digest(slices: Sequence[memoryview]) -> Written:
    digest = hashlib.sha256()
    for part in slices:
        digest.update(part)
    return Written(digest.hexdigest(), sum(map(len, slices)))


def _write_whole(path: Path, slices: Sequence[memoryview]) -> None:
    draft = path.with_name(path.name + ".draft")
    with draft.open("wb") as file:
        for part in slices:
            file.write(part)
        file.flush()
        sync(file.fileno(), draft)
    draft.replace(path)
