"""Launches on their way: the instants of schedules come, contacts are fixed, and pages of them are started.

A page of starts and the launch's cursor are one commit. Launches take turns, so that a small one does not wait for a
large one, and none goes on while runs that were started wait to be driven.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from core.errors import CdpError, Code
from core.query.local_time import find_zone
from core.scenario.definition import ProductTrigger, ScheduleTrigger
from core.scenario.launch import Launch, LaunchKind, advanced, cancelled, fixed, held, occurrence_of
from core.scenario.plan import Plan
from core.scenario.reentry import PRODUCT_VALUE
from core.scenario.schedule import latest_due, next_due
from services.runtime.failpoints import failpoint
from services.runtime.telemetry import get_logger
from services.scenario.catalogue import Catalogue
from services.scenario.journal import Journal
from services.scenario.launches import Launches
from services.scenario.sources import Sources
from services.scenario.starts import Starts
from services.scenario.states import ScenarioState

_LOG = get_logger(__name__)

#: Contacts of one page: starting them takes some milliseconds, in which nothing else is done.
_PAGE = 50
#: So many launches have a turn in one step: pages one after the other, questions about contacts at the same time.
_TURNS = 16
#: While so many runs wait to be driven, no more are started.
_BACKLOG = 1_000
_PAUSE_S = 1.0
DRAINED = "scenario_drained"
APPROVAL, ACTIVE, MEMBERS = "approval", "active", "members"


class Launcher:
    """Brings the launches of one workspace on. `seen`: the position of the profile log as folded."""

    def __init__(
        self,
        journal: Journal,
        launches: Launches,
        starts: Starts,
        catalogue: Catalogue,
        sources: Sources,
        zone: str,
        seen: Callable[[], int],
        backlog: Callable[[], int],
    ) -> None:
        self._journal = journal
        self._launches = launches
        self._starts = starts
        self._catalogue = catalogue
        self._sources = sources
        self._zone = zone
        self._seen = seen
        self._backlog = backlog
        self._next_due_us: dict[tuple[str, int, int], int | None] = {}
        self._pauses: dict[str, float] = {}

    async def step(self) -> bool:
        """Let schedules come due, and give every launch one turn. True if anything was done: there may be more."""
        worked = await self._come_due()
        now_s = time.monotonic()
        due = [one for one in self._launches.open() if self._pauses.get(one.id, 0.0) <= now_s][:_TURNS]
        turns = await asyncio.gather(*(self._turn(launch) for launch in due))
        return worked or any(turns)

    # --- schedules ------------------------------------------------------------------------------------------------

    async def _come_due(self) -> bool:
        worked = False
        for plan in list(self._catalogue.scheduled()):
            if self._is_due(plan):
                async with self._journal.changing:
                    worked |= self._plan_launch(plan)
                    await self._journal.commit_runs()
                failpoint("scenario.launch_planned")
        return worked

    def _is_due(self, plan: Plan) -> bool:
        after_us = self._after_us(plan)
        key = (plan.name, plan.version, after_us)
        if key not in self._next_due_us:
            self._next_due_us = {other: due for other, due in self._next_due_us.items() if other[0] != plan.name}
            self._next_due_us[key] = next_due(_schedule(plan), self._zone_of(plan), after_us)
        due_us = self._next_due_us[key]
        return due_us is not None and due_us <= self._journal.now_us()

    def _plan_launch(self, plan: Plan) -> bool:
        """Of several instants that nobody was there to see, the latest alone is launched."""
        if not self._catalogue.may_start(plan.name) or self._catalogue.newest(plan.name) is not plan:
            return False
        due_us = latest_due(_schedule(plan), self._zone_of(plan), self._after_us(plan), self._journal.now_us())
        if due_us is None:
            return False
        self._catalogue.states.dealt_with(plan.name, due_us)
        self._launches.put(
            Launch(
                f"{plan.name}@{plan.version}:{due_us}",
                LaunchKind.SCHEDULE,
                plan.name,
                plan.version,
                due_us,
                _schedule(plan).segment,
                {},
                self._seen(),
                held_by=MEMBERS,
            )
        )
        return True

    def _after_us(self, plan: Plan) -> int:
        return max(self._catalogue.states.of(plan.name).after_us, self._catalogue.since_us(plan.name))

    def _zone_of(self, plan: Plan) -> ZoneInfo:
        zone = find_zone(_schedule(plan).zone or self._zone) or find_zone("UTC")
        assert zone is not None
        return zone

    # --- launches -------------------------------------------------------------------------------------------------

    async def _turn(self, launch: Launch) -> bool:
        over = self._over_because(launch)
        if over:
            return await self._keep(cancelled(launch, over, self._journal.now_us()))
        if self._catalogue.is_paused(launch.scenario):
            return await self._keep(held(launch, ACTIVE))
        try:
            # What peers refuse may be asked again; what the journal refuses ends the shard.
            members = await self._asked(launch) if launch.contacts is None else None
            waits = members is None and await self._needs_approval(launch)
        except CdpError as error:
            return await self._failed(launch, error)
        if members is not None:
            return await self._fix(launch, members)
        if waits:
            self._pauses[launch.id] = time.monotonic() + _PAUSE_S
            return await self._keep(held(launch, APPROVAL))
        if self._backlog() >= _BACKLOG:
            return False
        return await self._page(launch, await self._launches.members(launch.id))

    def _over_because(self, launch: Launch) -> str:
        over = self._catalogue.over_because(launch.scenario, launch.version)
        if not over and self._catalogue.states.of(launch.scenario).state is ScenarioState.DRAINING:
            return DRAINED
        return over

    async def _asked(self, launch: Launch) -> NDArray[np.uint32]:
        """Who they are."""
        plan = self._catalogue.plan(launch.scenario, launch.version)
        if isinstance(plan.definition.trigger, ProductTrigger):
            product = {PRODUCT_VALUE: launch.values[PRODUCT_VALUE]}
            return await self._sources.bound_members(launch.segment, product, launch.min_position)
        return await self._sources.members_at(launch.segment, launch.due_at_us, launch.min_position)

    async def _fix(self, launch: Launch, members: NDArray[np.uint32]) -> bool:
        """Keep who they are: it is asked once, however often the launch goes on after a restart."""
        failpoint("scenario.before_launch_fixed")
        async with self._journal.changing:
            after = fixed(launch, len(members), self._journal.now_us())
            if not after.is_done:
                self._launches.fix(launch.id, members)
            self._launches.put(after)
            await self._journal.commit_runs()
        return True

    async def _needs_approval(self, launch: Launch) -> bool:
        """Of a launch that nobody looked at when it began, for more contacts than anybody agreed to."""
        if launch.cursor or launch.kind is LaunchKind.PRODUCT or launch.contacts is None:
            return False
        if launch.contacts <= self._catalogue.states.of(launch.scenario).approved:
            return False
        return launch.contacts > await self._sources.approval_contacts()

    async def _page(self, launch: Launch, members: NDArray[np.uint32]) -> bool:
        plan = self._catalogue.plan(launch.scenario, launch.version)
        async with self._journal.changing:
            if self._over_because(launch) or self._catalogue.is_paused(launch.scenario):
                return True  # looked at again at once
            now_us = self._journal.now_us()
            started = refused = 0
            for contact in members[launch.cursor : launch.cursor + _PAGE].tolist():
                position = max(launch.min_position, self._seen())
                owner = self._starts.owner(contact)
                if owner is not None and owner != contact and _has(members, owner):
                    refused += 1  # two of them became one person, who has a turn of their own
                elif self._starts.start(plan, occurrence_of(launch, contact), position, now_us).changed:
                    started += 1
                else:
                    refused += 1
            self._launches.put(advanced(launch, started, refused, now_us))
            failpoint("scenario.before_launch_page")
            await self._journal.commit_runs()
        failpoint("scenario.after_launch_page")
        return True

    async def _keep(self, launch: Launch) -> bool:
        if launch == self._launches.get(launch.id):
            return False
        async with self._journal.changing:
            self._launches.put(launch)
            await self._journal.commit_runs()
        return True

    async def _failed(self, launch: Launch, error: CdpError) -> bool:
        """A question that can never be answered ends the launch; any other is asked again after a pause."""
        if error.code in (Code.INVALID, Code.NOT_FOUND):
            _LOG.error("launch ended", launch=launch.id, reason=error.reason, error=error.message)
            return await self._keep(cancelled(launch, f"failed:{error.reason}", self._journal.now_us()))
        if launch.id not in self._pauses:
            _LOG.warning("launch could not go on, trying again", launch=launch.id, reason=error.reason)
        self._pauses = {other: until for other, until in self._pauses.items() if until > time.monotonic()}
        self._pauses[launch.id] = time.monotonic() + _PAUSE_S
        return False


def _has(members: NDArray[np.uint32], contact: int) -> bool:
    place = int(np.searchsorted(members, contact))
    return place < len(members) and int(members[place]) == contact


def _schedule(plan: Plan) -> ScheduleTrigger:
    trigger = plan.definition.trigger
    if not isinstance(trigger, ScheduleTrigger):
        raise ValueError(f"scenario {plan.name!r} has no schedule")
    return trigger
