"""A launch: one scenario started for many contacts at once, page by page, each of them once.

Who they are is fixed when the launch begins: the members of a segment at one instant. A page and how far the launch has
come are kept in one step, so that whoever goes on after a restart neither leaves anybody out nor takes anybody twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from core.scenario.trigger import SEGMENT_VALUE, Occurrence
from core.schema import Scalar


class LaunchKind(StrEnum):
    """SCHEDULE: an instant of a cron expression. EXISTING: the members at its activation. PRODUCT: a product changed.
    EDIT: a segment was edited, where the scenario says that edits start it."""

    SCHEDULE = "schedule"
    EXISTING = "existing"
    PRODUCT = "product"
    EDIT = "edit"


@dataclass(frozen=True, slots=True)
class Launch:
    """`id` names it for ever, among the launches of its workspace. `min_position`: facts through this position of the
    profile log count. `contacts`: how many there are, None until they are fixed; the first `cursor` of them, in the
    order of their numbers, were `started` or `refused`. `held_by`: what it waits for, empty: nothing. `cancelled`: why
    it ended before all had their turn."""

    id: str
    kind: LaunchKind
    scenario: str
    version: int
    due_at_us: int
    segment: str
    values: Mapping[str, Scalar]
    min_position: int
    contacts: int | None = None
    cursor: int = 0
    started: int = 0
    refused: int = 0
    held_by: str = ""
    cancelled: str = ""
    ended_at_us: int = 0

    @property
    def is_done(self) -> bool:
        """Whether everybody had a turn, or nobody will any more."""
        return bool(self.cancelled) or self.cursor == self.contacts


def fixed(launch: Launch, contacts: int, now_us: int) -> Launch:
    """The launch with its contacts counted; without any it is done."""
    return replace(launch, contacts=contacts, held_by="", ended_at_us=0 if contacts else now_us)


def held(launch: Launch, held_by: str) -> Launch:
    """The launch, waiting for something."""
    return launch if launch.held_by == held_by else replace(launch, held_by=held_by)


def cancelled(launch: Launch, reason: str, now_us: int) -> Launch:
    """The launch, ended before its end."""
    return replace(launch, cancelled=reason, held_by="", ended_at_us=now_us)


def advanced(launch: Launch, started: int, refused: int, now_us: int) -> Launch:
    """The launch after a page of which so many contacts were started, and so many refused by re-entry or a limit."""
    after = replace(
        launch,
        cursor=launch.cursor + started + refused,
        started=launch.started + started,
        refused=launch.refused + refused,
        held_by="",
    )
    return replace(after, ended_at_us=now_us) if after.is_done else after


def occurrence_of(launch: Launch, contact: int) -> Occurrence:
    """What the launch starts for one contact."""
    return Occurrence(launch.id, launch.due_at_us, contact, {SEGMENT_VALUE: launch.segment, **launch.values})
