"""Snapshots of an index as files: written aside, synced, renamed; read back only if every checksum holds.

A file is a header line (JSON: format, workspace, position, digest, and per section its name, length and SHA-256)
followed by the sections. The newest whole one of this workspace is used; a damaged or foreign one is named in the log
and passed over, and with none the index is folded from the log's start.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from pathlib import Path

from core.errors import CdpError
from core.index.digest import digest
from core.index.index import Index
from core.index.root import Root
from core.index.section import Section
from core.index.snapshot import decode, encode
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)
_FORMAT = 1
_KEPT = 3


class DamagedSnapshotError(Exception):
    """The file is not what its header says, or is another workspace's; the message says which."""


class SnapshotStore:
    """The snapshots of one workspace under `folder`."""

    def __init__(self, folder: Path, workspace_id: str) -> None:
        self._folder = folder
        self._workspace_id = workspace_id
        self._position = 0

    def load(self) -> Index:
        """The index of the newest whole snapshot, or an empty one."""
        for path in sorted(self._folder.glob("*.snapshot"), reverse=True):
            try:
                index = read_snapshot(path, self._workspace_id)
            except DamagedSnapshotError as error:
                _LOG.error("snapshot passed over", file=path.name, error=str(error))
                continue
            self._position = index.position
            _LOG.info("snapshot loaded", file=path.name, position=index.position)
            return index
        return Index()

    async def keep(self, root: Root) -> None:
        """Write `root` unless its position is on disk already; forget all but the newest three. An error of the
        disk is raised: what was not synced must not be built upon."""
        if root.position <= self._position:
            return
        await asyncio.to_thread(self._write, root)
        self._position = root.position

    def _write(self, root: Root) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        write_snapshot(self._folder / f"{root.position:020d}.snapshot", root, self._workspace_id)
        for old in sorted(self._folder.glob("*.snapshot"))[:-_KEPT]:
            old.unlink()


def write_snapshot(path: Path, root: Root, workspace_id: str) -> None:
    """Write `root` so that `path` is either whole or not there."""
    sections = list(encode(root))
    header = {
        "format": _FORMAT,
        "workspace": workspace_id,
        "position": root.position,
        "digest": digest(root),
        "sections": [
            {"name": one.name, "bytes": len(one.data), "sha256": hashlib.sha256(one.data).hexdigest()}
            for one in sections
        ],
    }
    draft = path.with_suffix(".draft")
    with draft.open("wb") as file:
        file.write(json.dumps(header).encode() + b"\n")
        for section in sections:
            file.write(section.data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_snapshot(path: Path, workspace_id: str) -> Index:
    """The index in the file. Raises DamagedSnapshotError for anything that is not exactly what was written."""
    with path.open("rb") as file:
        try:
            header = json.loads(file.readline())
            if header["format"] != _FORMAT:
                raise DamagedSnapshotError(f"format {header['format']}, this version reads {_FORMAT}")
            if header["workspace"] != workspace_id:
                raise DamagedSnapshotError("it belongs to another workspace")
            sections = [_section(file.read(part["bytes"]), part) for part in header["sections"]]
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedSnapshotError(f"the header is unreadable ({error})") from error
        if file.read(1):
            raise DamagedSnapshotError("there are bytes behind the last section")
    try:
        index = decode(sections)
    except CdpError as error:
        raise DamagedSnapshotError(error.message) from error
    found = digest(index.root())
    if index.position != header["position"] or found != header["digest"]:
        raise DamagedSnapshotError(f"the digest is {found}, the header says {header['digest']}")
    return index


def _section(data: bytes, part: dict[str, str]) -> Section:
    if hashlib.sha256(data).hexdigest() != part["sha256"]:
        raise DamagedSnapshotError(f"section {part['name']} does not match its checksum")
    return Section(part["name"], data)
